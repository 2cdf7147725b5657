"""One-parameter changes of stimuli and latents, against what the change is by definition."""

import math

import numpy as np
import pytest
import torch

import toy_lab
from actmax.engine.analyses.analysis import AnalysisContext
from actmax.engine.analyses.latent_axes import latent_axes
from actmax.engine.analyses.tuning.sweeps import SweepOptions, applicable, latent_sweeps, stimulus_sweeps
from actmax.models.spaces import Box, StimulusSpec

IMAGE, SERIES = StimulusSpec((3, 8, 8)), StimulusSpec((2, 12), -1.0, 1.0, "series")


def swept(stimulus, spec, **options):
    return {sweep.key: sweep for sweep in stimulus_sweeps(stimulus, spec, SweepOptions(**options))}


def at(sweep, value):
    return sweep.change(torch.tensor([value], dtype=torch.float64))[0]


@pytest.mark.parametrize("spec", [IMAGE, SERIES, StimulusSpec((1, 5, 9))])
def test_the_middle_value_changes_nothing_and_all_stay_within_the_range(spec):
    stimulus = torch.rand(spec.shape, generator=torch.Generator().manual_seed(0)) * (spec.high - spec.low) + spec.low
    found = swept(stimulus, spec, points=3)
    assert list(found) == applicable(spec)
    for sweep in found.values():
        assert sorted(sweep.values) == list(sweep.values)
        changed = sweep.change(torch.tensor(sweep.values, dtype=torch.float64))
        assert changed.shape == (len(sweep.values), *spec.shape)
        assert torch.allclose(changed[sweep.middle], stimulus, atol=1e-5)
        assert float(changed.min()) >= spec.low
        assert float(changed.max()) <= spec.high
        assert len(changed.unique(dim=0)) >= len(sweep.values) - 1  # half a turn is the same either way


def test_each_change_is_what_it_is_called():
    stimulus = torch.rand(IMAGE.shape, generator=torch.Generator().manual_seed(1))
    found = swept(stimulus, IMAGE)
    right, down = at(found["shift-x"], 3), at(found["shift-y"], 2)
    assert torch.allclose(right[:, :, 3:], stimulus[:, :, :-3], atol=1e-5)
    assert bool((right[:, :, :3] == 0.5).all())
    assert torch.allclose(down[:, 2:], stimulus[:, :-2], atol=1e-5)
    assert torch.allclose(at(found["rotation"], 90), stimulus.rot90(1, (1, 2)), atol=1e-4)
    assert torch.allclose(at(found["contrast"], 40), 0.5 + 0.4 * (stimulus - 0.5), atol=1e-6)
    assert torch.allclose(at(found["hue"], 120), stimulus.roll(1, 0), atol=1e-5)
    grey = torch.full(IMAGE.shape, 0.3)
    assert torch.allclose(at(swept(grey, IMAGE)["hue"], 77), grey, atol=1e-6)
    halved = at(found["scale"], 50)
    assert torch.allclose(halved[:, 2:6, 2:6], torch.nn.functional.avg_pool2d(stimulus, 2), atol=1e-5)
    series = torch.rand(SERIES.shape, generator=torch.Generator().manual_seed(2))
    assert torch.allclose(at(swept(series, SERIES)["shift-x"], -4)[:, :-4], series[:, 4:], atol=1e-5)


def test_latents_move_along_principal_axes_of_the_natural_ones():
    generator = toy_lab.decoder()
    assert isinstance(generator.latent, Box)
    assert generator.prior is not None
    bank = generator.prior.bank.double().numpy()
    values, vectors = np.linalg.eigh(np.cov(bank.T))
    axes = latent_axes(generator, 3, seed=0)
    for direction, value, vector in zip(axes.directions.double().numpy(), values[::-1], vectors.T[::-1], strict=False):
        assert np.linalg.norm(direction) == pytest.approx(math.sqrt(value), rel=1e-5)
        assert abs(direction @ vector) == pytest.approx(math.sqrt(value), rel=1e-5)
    latent = torch.zeros(5)
    context = AnalysisContext(toy_lab.network(), generator, [], [])
    sweep = latent_sweeps(latent, context, axes, SweepOptions(latent_reach=1.5))[0]
    moved = at(sweep, 1.5)
    assert torch.allclose(moved, generator((latent + 1.5 * axes.directions[0]).clamp(-2, 2)[None])[0], atol=1e-6)
    assert latent_axes(generator, 99, seed=0).directions.shape == (5, 5)


def test_without_natural_latents_axes_are_random_orthogonal_and_the_seeds():
    found = latent_axes(toy_lab.decoder(bank=0), 4, seed=5).directions.double()
    assert torch.allclose(found @ found.T, torch.eye(4, dtype=torch.float64) * (4 / math.sqrt(12)) ** 2, atol=1e-5)
    assert torch.equal(latent_axes(toy_lab.decoder(bank=0), 4, seed=5).directions.double(), found)
    assert not torch.equal(latent_axes(toy_lab.decoder(bank=0), 4, seed=6).directions.double(), found)


def test_codes_are_replaced_one_after_the_other():
    generator = toy_lab.codes()
    assert generator.prior is not None
    latent = torch.full((3, 3), 6)
    context = AnalysisContext(toy_lab.network(), generator, [], [], seed=4)
    sweep = latent_sweeps(latent, context, None, SweepOptions(latent_axes=2, points=5))[1]
    assert (sweep.values[0], sweep.values[-1], sweep.middle) == (0.0, 100.0, 0)
    assert torch.equal(at(sweep, 0), generator(latent[None])[0])
    whole = at(sweep, 100)
    assert any(torch.equal(whole, other) for other in generator(generator.prior.bank))
