"""Simulated neurons over 32 dimensions of 16 levels: a separable bump, and a divisively normalised random ReLU net.

Neither has natural latents or gradients: a closed loop without a generator. A seed draws the neuron, too.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from actmax.models.spaces import Box, Categorical, LatentSpace

from .problems import Family, SearchProblem, derived_seed, poisson

DIMENSIONS, LEVELS, PEAK = 32, 16, 50.0
"""The peak is in spikes a presentation."""
WIDTH = 1.5
"""Of the bump, standard deviations in a box of width 2: where a search starts, it answers with some 5 % of its peak."""
HIDDEN = 64

BOX = Box((DIMENSIONS,), -1.0, 1.0)
CODES = Categorical((DIMENSIONS,), LEVELS)
MIDDLES = (torch.arange(LEVELS).double() + 0.5) * (2.0 / LEVELS) - 1.0
"""Of the levels, in the box."""


class Bump:
    """A product of Gaussians, one a dimension, whose peak lies on a level."""

    def __init__(self, seed: int) -> None:
        generator = torch.Generator().manual_seed(derived_seed("bump", seed))
        self.centre = MIDDLES[torch.randint(LEVELS, (DIMENSIONS,), generator=generator)]
        self.peak = PEAK

    def __call__(self, x: Tensor) -> Tensor:
        """(n, 32) in [-1, 1] -> (n,) spikes."""
        return PEAK * (-(x.double() - self.centre).square().sum(1) / (2 * WIDTH**2)).exp()


class NormalisedReLU:
    """A random ReLU net, one hidden layer, divided by the activity of a pool of its units (Carandini and Heeger, 2012).

    Its peak is the best of 128 projected gradient ascents, which agree within a few per cent.
    """

    def __init__(self, seed: int) -> None:
        generator = torch.Generator().manual_seed(derived_seed("relu", seed))
        self.inner = torch.randn(DIMENSIONS, HIDDEN, generator=generator, dtype=torch.float64) / DIMENSIONS**0.5
        self.offset = 0.3 * torch.randn(HIDDEN, generator=generator, dtype=torch.float64)
        self.outer = torch.randn(HIDDEN, generator=generator, dtype=torch.float64) / HIDDEN**0.5
        self.scale = 1.0
        self.scale = PEAK / self._ascend(generator)
        self.peak = PEAK

    def __call__(self, x: Tensor) -> Tensor:
        """(n, 32) in [-1, 1] -> (n,) spikes."""
        hidden = (x.double() @ self.inner + self.offset).relu()
        return self.scale * (hidden @ self.outer).relu() / (0.2 + hidden.square().mean(1).sqrt())

    def _ascend(self, generator: torch.Generator) -> float:
        x = (2 * torch.rand(4096, DIMENSIONS, generator=generator, dtype=torch.float64) - 1) * BOX.high
        x = x[self(x).topk(128).indices].clone().requires_grad_()
        adam = torch.optim.Adam([x], lr=0.03)
        for _ in range(300):
            adam.zero_grad()
            (-self(x).sum()).backward()
            adam.step()
            with torch.no_grad():
                x.clamp_(-1.0, 1.0)
        with torch.no_grad():
            return float(self(x).max())


_bump = lru_cache(maxsize=32)(Bump)
_relu = lru_cache(maxsize=32)(NormalisedReLU)


def _problem(name: str, unit: str, seed: int) -> SearchProblem:
    kind, *features = name.split("-")
    neuron = (_bump if kind == "bump" else _relu)(derived_seed(unit, seed))
    coded = "codes" in features
    latent: LatentSpace = CODES if coded else BOX

    def clean(latents: Tensor) -> Tensor:
        return neuron(MIDDLES[latents.flatten(1)] if coded else latents.flatten(1))

    return SearchProblem(
        name,
        unit,
        latent,
        clean,
        digest="1",
        code_vectors=MIDDLES[:, None].float() if coded else None,
        noise=poisson if "poisson" in features else None,
        peak=neuron.peak,
    )


def families() -> dict[str, Family]:
    """Bump and net, clean and Poisson; the bump also as ordered codes."""
    found: dict[str, Family] = {}
    for kind, about in (("bump", "separable bump"), ("relu", "divisively normalised random ReLU net"), ("bump-codes", "the bump as codes")):
        for noisy in (False, True):
            name = f"{kind}-poisson" if noisy else kind

            def build(unit: str, seed: int, name: str = name) -> SearchProblem:
                return _problem(name, unit, seed)

            text = f"{about}, 32-D × 16 levels{', Poisson noise, peak 50 spikes' if noisy else ''}"
            found[name] = Family(build, ("0",), 3000 if noisy else 1000, ("0",), text)
    return found
