"""What is searched: latents, what is known of natural ones, and the responses of one unit; no engine, no wire."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from actmax.models.densities import Density
from actmax.models.spaces import LatentSpace

Noise = Callable[[Tensor, torch.Generator], Tensor]


class Missing(Exception):
    """A part that a problem needs is not here; the message says which."""


@dataclass(frozen=True)
class SearchProblem:
    """One unit behind one generator.

    Attributes
    ----------
    name, unit : str
        What it is called in results.
    latent : LatentSpace
        What is searched.
    clean : callable
        (n, *latent) -> (n,), the response without noise; differentiable, and taking relaxed codes, where ``differentiable``.
    digest : str
        Changes with whatever changes the responses; results of another digest are of another problem.
    bank : Tensor or None
        Natural latents, (m, *latent).
    density : callable or None
        Gives the density that was fitted to them.
    code_vectors : Tensor or None
        (cardinality, width), where codes have a place.
    differentiable : bool
        Whether optimizers get gradients.
    normal : bool
        Whether natural latents are standard normal, so that peers can start from them, too.
    noise : callable or None
        Clean responses to those of one presentation.
    peak : float or None
        The largest response, where it is known.
    ceiling : float or None
        A response that none exceeds and that searches do reach, as the spike count of a unit that fires at every step: runs end at it.
    """

    name: str
    unit: str
    latent: LatentSpace
    clean: Callable[[Tensor], Tensor]
    digest: str
    bank: Tensor | None = None
    density: Callable[[], Density] | None = None
    code_vectors: Tensor | None = None
    differentiable: bool = False
    normal: bool = False
    noise: Noise | None = None
    peak: float | None = None
    ceiling: float | None = None


def poisson(responses: Tensor, generator: torch.Generator) -> Tensor:
    """Spike counts whose expectation is the response."""
    return torch.poisson(responses.clamp(min=0.0).float(), generator=generator).to(responses)


def multiplicative(sigma: float) -> Noise:
    """Responses times 1 + σ × a standard normal draw, as in Wang and Ponce's comparison of evolutionary searches (2022)."""

    def noise(responses: Tensor, generator: torch.Generator) -> Tensor:
        return responses * (1.0 + sigma * torch.randn(responses.shape, generator=generator, dtype=responses.dtype))

    return noise


def is_noisy(name: str) -> bool:
    """Whether the problem of this name answers the same stimulus differently each time."""
    return "poisson" in name or "noise" in name


def derived_seed(*parts: object) -> int:
    """One seed, below 2⁶³, of anything that prints."""
    words = [zlib.crc32(str(part).encode()) for part in parts]
    return int(np.random.SeedSequence(words).generate_state(1, np.uint64)[0] >> 1)


@dataclass(frozen=True)
class Family:
    """Problems of one name.

    Attributes
    ----------
    build : callable
        (unit, seed) -> the problem; raises Missing. Synthetic neurons are drawn anew for each seed.
    units : tuple of str
        Those of the whole benchmark.
    budget : int
        Evaluations of the published comparison.
    first : tuple of str
        Units of a first, reduced grid.
    about : str
        One line for the tables.
    respond : callable or None
        (latents, units) -> (n, units): the clean responses of several units in one pass, where units share a network.
    """

    build: Callable[[str, int], SearchProblem]
    units: tuple[str, ...]
    budget: int
    first: tuple[str, ...]
    about: str
    respond: Callable[[Tensor, list[str]], Tensor] | None = None


def families() -> dict[str, Family]:
    """All problems by name."""
    from . import deep, gratings, neurons, vision

    return {**vision.families(), **neurons.families(), **gratings.families(), **deep.families()}
