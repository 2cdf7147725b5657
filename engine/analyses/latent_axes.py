"""A few directions through a generator's latents, in which they are varied: principal axes of natural ones where those are known."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ...models.generators.generator import Generator
from ...models.spaces import Box, Categorical

MOST_NATURAL = 1000
"""Natural latents that principal axes are computed of, at most."""


@dataclass(frozen=True)
class LatentAxes:
    """Directions through a box of latents.

    Attributes
    ----------
    directions : Tensor
        float32, (axes, *latent), orthogonal, each as long as one standard deviation along it.
    mean : Tensor
        float32, (*latent): the mean natural latent, or the middle of the box.
    says : str
        What they are, for a note.
    """

    directions: Tensor
    mean: Tensor
    says: str


def latent_axes(generator: Generator, count: int, seed: int) -> LatentAxes:
    """Return ``count`` directions through the latents of ``generator``, or as many as there are.

    Parameters
    ----------
    generator : Generator
        Its latents are a :class:`actmax.models.spaces.Box`. Where it has natural latents, the axes are the principal ones of the first
        1,000, the longest first; else random ones, each as long as one standard deviation of uniform latents along it.
    count : int
        How many.
    seed : int
        Of random directions.
    """
    space = generator.latent
    assert isinstance(space, Box), "codes have no directions"
    if generator.prior is not None and generator.prior.bank.shape[0] > 1:
        bank = generator.prior.bank[:MOST_NATURAL].double().cpu().flatten(1)
        mean = bank.mean(0)
        _, lengths, axes = torch.linalg.svd(bank - mean, full_matrices=False)
        kept = min(count, int((lengths > 1e-9 * lengths.max().clamp(min=1e-30)).sum()))
        directions = axes[:kept] * (lengths[:kept] / math.sqrt(bank.shape[0] - 1))[:, None]
        largest = directions.gather(1, directions.abs().argmax(1, keepdim=True))
        directions = directions * torch.where(largest < 0, -1.0, 1.0)  # an axis has no sign of its own
        says = f"principal axes of {bank.shape[0]:,} natural latents, the longest first"
    else:
        mean = torch.full((space.size,), (space.low + space.high) / 2, dtype=torch.float64)
        drawn = torch.randn(space.size, min(count, space.size), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        directions = torch.linalg.qr(drawn).Q.T * ((space.high - space.low) / math.sqrt(12))
        says = "random directions, since no natural latents are known"
    return LatentAxes(directions.float().reshape(-1, *space.shape), mean.float().reshape(space.shape), says)


def along_axis(space: Box, latent: Tensor, direction: Tensor) -> Callable[[Tensor], Tensor]:
    """Return a function that moves ``latent`` along a direction, within the box: values (n,) in standard deviations -> (n, *latent)."""

    def moved(values: Tensor) -> Tensor:
        return (latent + values.float().view(-1, *(1 for _ in space.shape)) * direction).clamp(space.low, space.high)

    return moved


def drawn_latent(generator: Generator, random: torch.Generator) -> Tensor:
    """Return one latent, (*latent) on the CPU: a draw from the generator's prior where it has one, else a uniform one."""
    drawn = generator.latent if generator.prior is None else generator.prior
    return drawn.sample(1, random)[0].cpu()


def code_swaps(generator: Generator, latent: Tensor, seed: int) -> Callable[[Tensor], Tensor]:
    """Return a function that replaces a share of a latent's codes by those of another latent.

    Parameters
    ----------
    generator : Generator
        Its latents are :class:`actmax.models.spaces.Categorical`. The other latent is a natural one where those are known, else uniform.
    latent : Tensor
        int64, (*latent).
    seed : int
        Chooses the other latent, and the order in which positions are replaced.

    Returns
    -------
    callable
        Shares (n,), in per cent -> int64 (n, *latent).
    """
    space = generator.latent
    assert isinstance(space, Categorical), "only codes are replaced"
    random = torch.Generator().manual_seed(seed)
    other = drawn_latent(generator, random).flatten()
    rank = torch.randperm(space.size, generator=random)

    def swapped(percent: Tensor) -> Tensor:
        replaced = rank < (percent * (space.size / 100)).round()[:, None]
        return torch.where(replaced, other, latent.flatten()).reshape(-1, *space.shape)

    return swapped
