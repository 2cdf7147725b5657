import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from actmax.models.densities import GaussianDensity
from actmax.models.generators.constrained import ConstrainedGenerator, Unconstrainable
from actmax.models.generators.generator import HasCodebook
from actmax.models.generators.photometry import fixed, most_contrast
from actmax.models.generators.testing import check_generator
from actmax.models.spaces import StimulusSpec
from toy_lab import codes, decoder

IMAGE = StimulusSpec((3, 6, 6))


def rms(generator, latents):
    density = generator.prior.density
    assert isinstance(density, GaussianDensity)
    return density.whiten(latents).norm(dim=1) / math.sqrt(generator.latent.size)


@pytest.mark.parametrize(
    "asked", [{"max_latent_std": 0.5}, {"luminance": 0.4}, {"contrast": 0.2}, {"max_latent_std": 1.0, "luminance": 0.6, "contrast": 0.1}]
)
def test_it_is_a_generator_with_any_inside(asked):
    check_generator(ConstrainedGenerator(decoder(), **asked))
    if "max_latent_std" not in asked:
        constrained = ConstrainedGenerator(codes(), **asked)
        check_generator(constrained)
        assert isinstance(constrained, HasCodebook)
    assert not isinstance(ConstrainedGenerator(decoder(), **asked), HasCodebook)


@given(st.floats(0.05, 3), st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_latents_stay_within_k_sigma_and_those_inside_are_left_alone(within, seed):
    inner = decoder()
    latents = inner.latent.sample(20, torch.Generator().manual_seed(seed))
    generator = ConstrainedGenerator(inner, max_latent_std=within)
    projected = generator.project(latents)
    inner.latent.check(projected)
    assert float(rms(inner, projected).max()) <= within
    inside = rms(inner, latents) <= within
    assert torch.equal(projected[inside], latents[inside])
    assert torch.allclose(rms(inner, projected)[~inside], torch.tensor(within), rtol=1e-4)
    again = generator.project(projected)
    assert torch.equal(again, projected)
    assert torch.equal(generator(projected), generator(latents))


def test_natural_latents_lie_about_one_sigma_out():
    inner = decoder(bank=500)
    assert inner.prior is not None
    assert float(rms(inner, inner.prior.bank).square().mean()) == pytest.approx(1, abs=0.1)


@given(st.floats(0.15, 0.85), st.floats(0.02, 0.9), st.sampled_from([0.3, 1.0, 2.0]), st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_luminance_and_contrast_are_kept_exactly_in_the_range(luminance, share, sharpness, seed):
    """Stimuli of all sorts: pale, bright, dark, and nearly binary."""
    random = torch.Generator().manual_seed(seed)
    bias = torch.randn(6, 1, 1, 1, generator=random)
    stimuli = torch.sigmoid(sharpness * (torch.randn(6, 3, 6, 6, generator=random) + bias))
    contrast = share * most_contrast(luminance, IMAGE)
    made = fixed(stimuli, IMAGE, luminance, contrast)
    assert float(made.min()) >= 0
    assert float(made.max()) <= 1
    assert torch.allclose(made.flatten(1).mean(1), torch.tensor(luminance), atol=1e-3)
    assert torch.allclose(made.flatten(1).std(1, unbiased=False), torch.tensor(contrast), atol=1e-3)
    order = stimuli.flatten(1).argsort(1)
    assert bool((made.flatten(1).gather(1, order).diff(dim=1) >= -1e-6).all())
    dim = fixed(stimuli, IMAGE, luminance, None)
    assert torch.allclose(dim.flatten(1).mean(1), torch.tensor(luminance), atol=1e-3)
    strong = fixed(stimuli, IMAGE, None, 0.45 * share)
    assert torch.allclose(strong.flatten(1).std(1, unbiased=False), torch.tensor(0.45 * share), atol=1e-3)


def test_another_range_and_a_flat_stimulus():
    series = StimulusSpec((2, 50), -1.0, 3.0, "series")
    stimuli = torch.rand(3, 2, 50, generator=torch.Generator().manual_seed(0)) * 4 - 1
    stimuli[2] = 0.7
    made = fixed(stimuli, series, 0.5, 1.2).flatten(1)
    assert made.mean(1).tolist() == pytest.approx([0.5] * 3, abs=1e-3)
    assert made[:2].std(1, unbiased=False).tolist() == pytest.approx([1.2] * 2, abs=4e-3)
    assert float(made[2].std()) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("asked", [(0.4, 0.12), (0.4, 0.35), (None, 0.35), (0.8, None)])
def test_gradients_are_those_of_the_rescaled_stimulus(asked):
    stimuli = torch.rand(2, 3, 6, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64).requires_grad_()
    weights = torch.randn(3, 6, 6, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    (slope,) = torch.autograd.grad((fixed(stimuli, IMAGE, *asked) * weights).sum(), stimuli)
    way = torch.randn(2, 3, 6, 6, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    with torch.no_grad():
        step = 1e-3
        ahead, behind = ((fixed(stimuli + sign * step * way, IMAGE, *asked) * weights).sum() for sign in (1, -1))
    assert float((slope * way).sum()) == pytest.approx(float(ahead - behind) / (2 * step), rel=0.05)
    # nothing that only changes what is fixed has a slope
    if None not in asked:
        assert abs(float((slope.flatten(1).sum(1)).max())) < 1e-3 * float(slope.abs().sum())


@pytest.mark.parametrize(
    ("make", "asked", "constraint", "says"),
    [
        (codes, {"max_latent_std": 1.0}, "max_latent_std", "codes have no mean"),
        (lambda: decoder(bank=0), {"max_latent_std": 1.0}, "max_latent_std", "no natural latents"),
        (decoder, {"luminance": 1.5}, "luminance", "no mean of 1.5"),
        (decoder, {"contrast": 0.6}, "contrast", "at most 0.49"),
        (decoder, {"luminance": 0.9, "contrast": 0.4}, "contrast", "luminance 0.9"),
    ],
)
def test_what_no_stimulus_can_keep_is_refused(make, asked, constraint, says):
    with pytest.raises(Unconstrainable, match=says) as caught:
        ConstrainedGenerator(make(), **asked)
    assert caught.value.constraint == constraint
