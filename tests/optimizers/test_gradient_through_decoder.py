"""Gradient searches of a box, end to end: a random deep decoder in front of the zoo's CNN."""

import pytest
import torch
from torch import nn

from actmax.engine.maximize import maximize
from actmax.models.generators.decoder import DecoderGenerator
from actmax.models.spaces import Box

LATENT = Box((128,), -3.0, 3.0)


@pytest.fixture(scope="module")
def decoder() -> DecoderGenerator:
    generator = torch.Generator().manual_seed(0)
    layers = nn.Sequential(
        nn.Linear(128, 256),
        nn.LeakyReLU(0.2),
        nn.Linear(256, 16 * 8 * 8),
        nn.LeakyReLU(0.2),
        nn.Unflatten(1, (16, 8, 8)),
        nn.Upsample(scale_factor=4, mode="bilinear"),
        nn.Conv2d(16, 3, 5, padding=2),
        nn.Sigmoid(),
    )
    for weights in layers.parameters():
        fan_in = weights[0].numel()
        weights.data = torch.randn(weights.shape, generator=generator) * (2.0 / fan_in) ** 0.5 if weights.ndim > 1 else weights * 0
    bank = torch.randn(200, 128, generator=generator).clamp(-3, 3)
    return DecoderGenerator(layers.requires_grad_(False), LATENT, bank=bank)


@pytest.mark.parametrize("prior", ["natural", "none"])
def test_every_gradient_search_passes_the_best_of_as_many_draws(decoder: DecoderGenerator, prior: str) -> None:
    def found(optimizer: str) -> float:
        result = maximize(decoder, "cifar10-cnn", "fc[3]", optimizer=optimizer, evaluations=50, seed=1, device="cpu", prior=prior)
        return result.searches[0].response

    baseline = found("random")
    for optimizer in ("adam", "normalised-ascent", "langevin"):
        assert found(optimizer) > baseline + 2.0, optimizer
