"""Generators that make whatever a target takes: the contract over shapes, and what each promises."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from actmax.models.generators.cppn import CppnGenerator
from actmax.models.generators.fourier import FourierGenerator
from actmax.models.generators.generator import FitsStimulus, HasStep, Unfit
from actmax.models.generators.laplacian import LaplacianGenerator
from actmax.models.generators.maco import MacoGenerator
from actmax.models.generators.perturbation import PerturbationGenerator
from actmax.models.generators.pixel import PixelGenerator
from actmax.models.generators.series import SeriesGenerator
from actmax.models.generators.start_image import StartImageGenerator
from actmax.models.generators.testing import check_generator, check_slope
from actmax.models.options import InvalidOption
from actmax.models.spaces import StimulusSpec

IMAGE = [PixelGenerator, FourierGenerator, MacoGenerator, LaplacianGenerator, CppnGenerator]
SERIES = [PixelGenerator, LaplacianGenerator, SeriesGenerator]

sizes = st.tuples(st.integers(1, 3), st.integers(3, 17), st.integers(3, 17))


def made(kind, stimulus, **options):
    return kind.for_stimulus(kind.Options(**options), stimulus)


def around(kind, stimulus, **options):
    image = torch.rand(stimulus.shape, generator=torch.Generator().manual_seed(5)) * (stimulus.high - stimulus.low) + stimulus.low
    return kind(image, stimulus, kind.Options(image="unread", **options))


@given(sizes, st.sampled_from(IMAGE), st.sampled_from([(0.0, 1.0), (-1.0, 3.0)]))
@settings(max_examples=40, deadline=None)
def test_images_of_any_shape(shape, kind, bounds):
    generator = made(kind, StimulusSpec(shape, *bounds))
    check_generator(generator)
    check_slope(generator)
    assert isinstance(kind, FitsStimulus)
    assert isinstance(generator, HasStep)


@given(st.tuples(st.integers(1, 4), st.integers(2, 60)), st.sampled_from(SERIES))
@settings(max_examples=25, deadline=None)
def test_series_of_any_length(shape, kind):
    generator = made(kind, StimulusSpec(shape, -2.0, 1.0, "series"))
    check_generator(generator)
    check_slope(generator)


@given(sizes, st.sampled_from([1, 2, 5]))
@settings(max_examples=15, deadline=None)
def test_what_is_added_to_an_image_of_any_shape(shape, octaves):
    generator = around(StartImageGenerator, StimulusSpec(shape), octaves=octaves)
    check_generator(generator)
    check_slope(generator, step=1e-3)
    still = torch.zeros(1, *generator.latent.shape)
    assert torch.equal(generator(still)[0], generator.image)


@given(sizes, st.sampled_from(["linf", "l2", "l1"]), st.floats(0.004, 2), st.sampled_from([None, 1, 2]), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_perturbations_stay_in_the_ball_and_in_the_range(shape, norm, epsilon, size, seed):
    stimulus = StimulusSpec(shape, -0.5, 1.5)
    generator = around(PerturbationGenerator, stimulus, norm=norm, epsilon=epsilon, size=size)
    check_generator(generator)
    latents = torch.cat([generator.latent.sample(20, torch.Generator().manual_seed(seed)), generator.prior.bank[:5]])
    latents[0], latents[1] = 1.0, 0.0
    stimuli = generator(latents).double()
    apart = (stimuli - generator.image.double()).flatten(1)
    length = {"linf": apart.abs().amax(1), "l2": apart.norm(dim=1), "l1": apart.abs().sum(1)}[norm]
    rounding = 3e-7 * {"linf": 1, "l2": apart.shape[1] ** 0.5, "l1": apart.shape[1]}[norm]
    assert float(length.max()) <= epsilon + rounding
    assert float(length[1]) == 0
    inside = stimuli.flatten(1)[0] < 1.5 - 1e-6
    if bool(inside.all()):  # nothing was clipped: the ball is reached
        assert float(length[0]) == pytest.approx(epsilon, rel=1e-4, abs=max(1e-6, rounding))


def test_one_value_may_use_up_the_ball():
    for norm in ("linf", "l2", "l1"):
        generator = around(PerturbationGenerator, StimulusSpec((1, 4, 4), -9, 9), norm=norm, epsilon=0.5)
        latents = torch.zeros(1, 1, 4, 4)
        latents[0, 0, 2, 1] = generator.latent.low
        apart = generator(latents)[0] - generator.image
        assert float(apart[0, 2, 1]) == pytest.approx(-0.5, rel=1e-4)
        assert int((apart != 0).sum()) == 1


def test_tiles_are_square_and_cover_the_image():
    generator = around(PerturbationGenerator, StimulusSpec((3, 12, 24)), size=4, epsilon=0.1)
    assert generator.latent.shape == (3, 2, 4)
    tiles = generator.perturbation(torch.rand(1, 3, 2, 4))[0]
    assert all(len(tile.unique()) == 1 for tile in tiles.unfold(1, 6, 6).unfold(2, 6, 6).reshape(-1, 36))
    with pytest.raises(InvalidOption, match="at most as many") as caught:
        around(PerturbationGenerator, StimulusSpec((3, 12, 24)), size=25)
    assert caught.value.option == "size"


@pytest.mark.parametrize("epsilon", [0, -1, "0/3", "1/0", "a/b", float("nan")])
def test_no_ball_is_refused(epsilon):
    with pytest.raises(ValidationError, match="epsilon"):
        PerturbationGenerator.Options(image="x", epsilon=epsilon)


def test_epsilon_may_be_a_fraction():
    assert PerturbationGenerator.Options.model_validate({"image": "x", "epsilon": "8/255"}).epsilon == 8 / 255


@pytest.mark.parametrize("kind", [FourierGenerator, MacoGenerator, CppnGenerator])
def test_what_makes_images_says_so_to_a_series(kind):
    with pytest.raises(Unfit, match="makes images, the target takes a series 2 × 30"):
        made(kind, StimulusSpec((2, 30), 0, 1, "series"))


def test_an_image_without_a_phase_is_refused():
    with pytest.raises(Unfit, match="2 × 2 has no phases"):
        made(MacoGenerator, StimulusSpec((1, 2, 2)))


def test_series_are_no_images_and_keep_their_amplitude():
    with pytest.raises(Unfit, match="makes series, the target takes an image"):
        made(SeriesGenerator, StimulusSpec((3, 8, 8)))
    spec = StimulusSpec((2, 30), -1, 1, "series")
    generator = made(SeriesGenerator, spec, amplitude=[-0.25, 0.5])
    stimuli = generator(generator.latent.sample(50, torch.Generator().manual_seed(0)))
    assert float(stimuli.min()) >= -0.25
    assert float(stimuli.max()) <= 0.5
    assert float(stimuli.max() - stimuli.min()) > 0.7
    with pytest.raises(InvalidOption, match=r"values in \[-1, 1\]") as caught:
        made(SeriesGenerator, spec, amplitude=[0, 2])
    assert caught.value.option == "amplitude"
    with pytest.raises(ValidationError, match="has to rise"):
        SeriesGenerator.Options(amplitude=(0.5, 0.5))


def test_pixels_begin_at_the_mean_and_spread_that_was_asked():
    """Not with the spread for a mean."""
    for mapping in ("sigmoid", "clip"):
        generator = made(PixelGenerator, StimulusSpec((3, 40, 40), 2.0, 6.0), mean=0.3, std=0.05, mapping=mapping)
        begun = (generator(generator.prior.bank) - 2) / 4
        assert float(begun.mean()) == pytest.approx(0.3, abs=0.002)
        assert float(begun.std()) == pytest.approx(0.05, abs=0.002)


@pytest.mark.parametrize("kind", IMAGE)
def test_another_dtype_and_an_all_or_nothing_batch(kind):
    generator = made(kind, StimulusSpec((3, 9, 6)))
    latents = generator.prior.bank[:2]
    assert generator(latents.double()).dtype == torch.float32
    assert generator(latents[:0]).shape == (0, 3, 9, 6)


def test_the_same_bank_every_time_and_within_bounds():
    one, other = (made(FourierGenerator, StimulusSpec((3, 8, 8))).prior.bank for _ in range(2))
    assert torch.equal(one, other)
    assert np.isfinite(one.numpy()).all()
