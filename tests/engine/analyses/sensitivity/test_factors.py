"""What factors make of stimuli and latents."""

import numpy as np
import torch

import toy_lab
from actmax.engine.analyses.analysis import AnalysisContext
from actmax.engine.analyses.latent_axes import latent_axes
from actmax.engine.analyses.sensitivity.factors import block_factors, default_kind, latent_factors, value_factors
from actmax.engine.components.registry import Resolver
from actmax.models.permissions import EVERYTHING
from actmax.models.spaces import StimulusSpec
from actmax.models.zoo.targets import DiabetesTarget

IMAGE = StimulusSpec((3, 6, 7))


def row(factors, *values):
    return factors.make(torch.tensor([values], dtype=torch.float64))[0]


def test_values_are_the_stimulus_itself():
    target = DiabetesTarget.from_options(DiabetesTarget.Options())
    stimulus = np.linspace(0, 1, 10, dtype=np.float32)[None]
    factors = value_factors(stimulus, target.stimulus, target)
    assert factors.names[2] == "bmi"
    assert torch.equal(factors.make(factors.own[None])[0], torch.from_numpy(stimulus))
    assert default_kind(target) == "values"
    assert default_kind(toy_lab.network()) == "blocks"


def test_blocks_fade_to_the_middle_of_the_range():
    stimulus = np.random.default_rng(0).random(IMAGE.shape, np.float32)
    factors = block_factors(stimulus, IMAGE, 2)
    assert factors.names == ("1,1", "1,2", "2,1", "2,2")
    assert np.allclose(factors.make(factors.own[None])[0], stimulus)
    faded = row(factors, 1, 0, 0.5, 1).numpy()
    assert np.array_equal(faded[:, :3, :4], stimulus[:, :3, :4])
    assert np.all(faded[:, :3, 4:] == 0.5)
    assert np.allclose(faded[:, 3:, :4], 0.5 + 0.5 * (stimulus[:, 3:, :4] - 0.5))
    series = block_factors(np.ones((2, 10), np.float32), StimulusSpec((2, 10), -1, 1, "series"), 2)
    assert series.grid is None
    assert row(series, 1, 0, 1, 1)[0].tolist() == [1.0] * 3 + [0.0] * 2 + [1.0] * 5


def test_latents_move_along_axes_from_the_optimum():
    generator = toy_lab.decoder()
    latent = torch.rand(5, generator=torch.Generator().manual_seed(0)) - 0.5
    factors = latent_factors(latent.numpy(), AnalysisContext(toy_lab.network(), generator, [], []), 3, 2.0, 4)
    axes = latent_axes(generator, 3, 0).directions
    assert (factors.names, factors.low, factors.high) == (("1", "2", "3"), -2.0, 2.0)
    expected = generator((latent + 0.5 * axes[0] - 1.5 * axes[2]).clamp(-2, 2)[None])[0]
    assert torch.allclose(row(factors, 0.5, 0, -1.5), expected, atol=1e-5)


def test_codes_of_a_block_are_replaced_by_those_of_another_latent():
    generator = toy_lab.codes()
    assert generator.prior is not None
    asked, latent = [], np.full((3, 3), 6)

    class Recording:
        latent, prior, stimulus, differentiable = generator.latent, generator.prior, generator.stimulus, True

        def __call__(self, latents):
            asked.append(latents)
            return generator(latents)

    factors = latent_factors(latent, AnalysisContext(toy_lab.network(), Recording(), [], []), 3, 2.0, 2)  # pyright: ignore[reportArgumentType]
    assert len(factors.names) == 4
    assert not factors.smooth
    for values in ((0, 0, 0, 0), (1, 1, 1, 1), (0.5, 0, 0, 0)):
        row(factors, *values)
    whole, other, half = (latents[0] for latents in asked)
    assert bool((whole == 6).all())
    assert any(torch.equal(other, one) for one in generator.prior.bank)
    block = torch.arange(3) * 2 // 3 == 0
    inside = block[:, None] & block
    assert int(((half == other) & (half != 6))[inside].sum()) <= 2 <= int((half == other)[inside].sum())
    assert bool((half[~inside] == 6).all())


def test_the_zoo_knows_the_names_of_its_table():
    found = Resolver(EVERYTHING).find("target", "diabetes", "target")
    assert found is DiabetesTarget
