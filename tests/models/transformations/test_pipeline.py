"""Chains of transformations: what is drawn, what is fused, and the recipes."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from actmax.engine.components.registry import find
from actmax.models.spaces import StimulusSpec
from actmax.models.transformations.crop import Crop
from actmax.models.transformations.gain import Gain
from actmax.models.transformations.jitter import Jitter
from actmax.models.transformations.noise import Noise
from actmax.models.transformations.pad import Pad
from actmax.models.transformations.pipeline import Pipeline
from actmax.models.transformations.presets import PRESETS
from actmax.models.transformations.rotate import Rotate
from actmax.models.transformations.shift import Shift

COLOUR, GREY, SERIES = StimulusSpec((3, 32, 24)), StimulusSpec((1, 40, 30), -1.0, 1.0), StimulusSpec((2, 50), modality="series")


def preset(name: str, stimulus: StimulusSpec, **changes) -> Pipeline:
    recipe = PRESETS[name](stimulus)
    steps = []
    for step, options in recipe.steps:
        kind = find("transformation", step, "name")
        steps.append(kind.from_options(kind.Options(**options), stimulus))
    return Pipeline(steps, stimulus, **{"samples": recipe.samples, **changes})


def stimuli(n: int, spec: StimulusSpec) -> torch.Tensor:
    made = torch.rand(n, *spec.shape, generator=torch.Generator().manual_seed(1))
    return made * (spec.high - spec.low) + spec.low


@pytest.mark.parametrize("spec", [COLOUR, GREY], ids=["colour", "grey"])
@pytest.mark.parametrize("name", sorted(PRESETS))
def test_recipes_keep_shape_depend_on_the_trial_alone_and_let_gradients_through(name, spec):
    pipeline = preset(name, spec, seed=4)
    shown, progress = stimuli(3, spec), torch.tensor([0.0, 0.2, 0.4])
    found = pipeline(shown, 7, progress)
    k = pipeline.samples
    assert found.shape == (3 * k, *spec.shape)
    assert bool(found.isfinite().all())
    apart = torch.cat([pipeline(shown[at : at + 1], 7 + at, progress[at : at + 1]) for at in range(3)])
    torch.testing.assert_close(apart, found, atol=1e-5, rtol=0)
    leaf = shown.clone().requires_grad_()
    (slope,) = torch.autograd.grad(pipeline(leaf, 7, progress).square().sum(), leaf)
    assert bool(slope.isfinite().all())
    assert float((slope.flatten(1) != 0).float().mean()) > 0.05
    if name != "mei":
        again = pipeline(shown, 100, progress)
        assert float((again - found).abs().amax((1, 2, 3)).min()) > 1e-3, "other trials meet other draws"
        if k > 1:
            own = found[:k]
            assert float((own[1:] - own[0]).abs().amax((1, 2, 3)).min()) > 1e-3, "samples of one stimulus differ"


def test_another_seed_draws_otherwise():
    shown = stimuli(2, COLOUR)
    one, other = (preset("lucid", COLOUR, seed=seed)(shown, 0, torch.zeros(2)) for seed in (1, 2))
    assert float((one - other).abs().max()) > 0.01


def test_recipes_are_those_of_the_literature_at_224_pixels():
    wide = StimulusSpec((3, 224, 224))
    assert [(name, dict(options)) for name, options in PRESETS["lucid"](wide).steps] == [
        ("pad", {"pixels": 12}),
        ("jitter", {"pixels": 8}),
        ("scale", {"range": [0.9, 1.1]}),
        ("rotate", {"degrees": [-10, 10]}),
        ("jitter", {"pixels": 4}),
    ]
    assert PRESETS["vit"](wide).steps[2] == ("roll", {"most": 32})
    assert PRESETS["maco"](wide).samples == 6
    assert PRESETS["lucid"](COLOUR).steps[0] == ("pad", {"pixels": 1})  # 12 of 224, of 24


def test_moves_of_whole_pixels_are_fused_without_loss():
    shown, progress = stimuli(5, COLOUR), torch.zeros(5)
    steps = [Pad(4), Jitter(6), Jitter(2)]
    pipeline = Pipeline(steps, COLOUR, seed=3)
    expected = shown
    for step, draws in zip(steps, pipeline.draws(0, 5, progress), strict=True):
        expected = step(expected, draws)
    assert expected.shape[2:] == (32, 24)
    torch.testing.assert_close(pipeline(shown, 0, progress), expected, atol=2e-5, rtol=0)


def test_a_chain_is_sampled_once():
    """As scipy samples the product of the maps: twice sampled, the picture would be blurrier."""
    shown = stimuli(1, COLOUR)
    pipeline = Pipeline([Rotate(30, 30), Rotate(-30, -30), Pad(2), Rotate(20, 20)], COLOUR, seed=3)
    found = pipeline(shown, 0, torch.zeros(1))[0, 1].numpy()
    angle = np.deg2rad(20)
    linear = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) @ np.diag([36 / 32, 28 / 24])
    middle = np.array([31, 23]) / 2
    expected = ndimage.affine_transform(shown[0, 1].numpy(), linear, middle - linear @ middle, order=1, mode="grid-constant", cval=0.5)  # pyright: ignore[reportArgumentType]
    np.testing.assert_allclose(found, expected, atol=3e-5)


def test_unlike_fills_are_sampled_apart():
    shown = stimuli(2, COLOUR)
    steps = [Shift(5, "edge"), Shift(5, "grey")]
    pipeline = Pipeline(steps, COLOUR, seed=3)
    draws = pipeline.draws(0, 2, torch.zeros(2))
    torch.testing.assert_close(pipeline(shown, 0, torch.zeros(2)), steps[1](steps[0](shown, draws[0]), draws[1]), atol=2e-5, rtol=0)


def test_a_series_moves_in_time_alone():
    shown = stimuli(4, SERIES)
    pipeline = Pipeline([Shift(6, "edge"), Gain(0.5, 2.0), Noise(0.0, 1e-9)], SERIES, seed=2)
    shift, gain, _ = pipeline.draws(0, 4, torch.zeros(4))
    found = pipeline(shown, 0, torch.zeros(4))
    assert found.shape == shown.shape
    for row in range(4):
        by = int(shift.whole(1, -6, 6)[row])
        moved = shown[row, :, (torch.arange(50) + by).clamp(0, 49)]
        expected = 0.5 + float(gain.between(0, 0.5, 2.0)[row]) * (moved - 0.5)
        torch.testing.assert_close(found[row], expected, atol=2e-5, rtol=0)


def test_larger_stimuli_come_out_as_the_target_takes_them():
    made, taken = StimulusSpec((3, 96, 72)), COLOUR
    shown = stimuli(2, made)
    pipeline = Pipeline([Crop(1 / 3, 1 / 3)], made, taken, samples=2, seed=1)
    found = pipeline(shown, 0, torch.zeros(2))
    assert found.shape == (4, 3, 32, 24)
    (draws,) = pipeline.draws(0, 2, torch.zeros(2))
    _, x, y = pipeline.steps[0].boxes(draws)  # type: ignore[attr-defined]
    left, top = 72 * float(x[1]) + 24, 96 * float(y[1]) + 32
    rows, columns = np.meshgrid(top + np.arange(32), left + np.arange(24), indexing="ij")
    expected = ndimage.map_coordinates(shown[0, 2].numpy(), [rows, columns], order=1, mode="nearest")
    np.testing.assert_allclose(found[1, 2].numpy(), expected, atol=3e-5)
    assert pipeline.plain(shown).shape == (2, 3, 32, 24)
    assert torch.equal(Pipeline([Noise(1.0)], made).plain(shown), shown)


def test_what_a_target_can_not_be_shown_is_clipped_only_where_asked():
    shown = stimuli(2, COLOUR)
    wild = Pipeline([Noise(2.0)], COLOUR)(shown, 0, torch.zeros(2))
    tame = Pipeline([Noise(2.0)], COLOUR, clip=True)(shown, 0, torch.zeros(2))
    assert float(wild.min()) < -1
    assert torch.equal(tame, wild.clamp(0, 1))


def test_nothing_gives_nothing_and_no_step_is_refused():
    assert preset("lucid", COLOUR)(stimuli(0, COLOUR), 0, torch.zeros(0)).shape == (0, 3, 32, 24)
    with pytest.raises(ValueError, match="at least one"):
        Pipeline([], COLOUR)
