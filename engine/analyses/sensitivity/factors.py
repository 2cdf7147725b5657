"""What is varied: the values of a stimulus, blocks of it, or its latents, each as one number between two bounds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ....models.spaces import Box, StimulusSpec
from ....models.targets.target import HasInputNames, Target
from ..analysis import AnalysisContext
from ..latent_axes import along_axis, drawn_latent, latent_axes

Kind = Literal["values", "blocks", "latents"]
MOST_VALUES = 64
"""Values of a stimulus that are varied one by one."""
FEW_VALUES = 32
"""Values up to which that is what happens by default."""


@dataclass(frozen=True)
class Factors:
    """Numbers that make a stimulus.

    Attributes
    ----------
    names : tuple of str
        One a factor, short.
    low, high : float
        Bounds of each.
    own : Tensor
        float64, (factors,): those of the optimum.
    make : callable
        Factors, (n, factors) float64 -> stimuli, (n, *stimulus) float32; gradients flow where ``smooth``.
    smooth : bool
        Whether stimuli change continuously with the factors.
    grid : tuple of int or None
        Rows and columns of blocks of an image, whose factors are row by row.
    says : str
        What the factors are, for a note.
    """

    names: tuple[str, ...]
    low: float
    high: float
    own: Tensor
    make: Callable[[Tensor], Tensor]
    smooth: bool = True
    grid: tuple[int, int] | None = None
    says: str = ""

    @property
    def middle(self) -> float:
        """Middle of the bounds."""
        return (self.low + self.high) / 2


def default_kind(target: Target) -> Kind:
    """Return what is varied where the options don't say: values where they are few or named, else blocks."""
    size = int(np.prod(target.stimulus.shape))
    return "values" if size <= FEW_VALUES or (isinstance(target, HasInputNames) and size <= MOST_VALUES) else "blocks"


def value_factors(stimulus: NDArray[np.float32], spec: StimulusSpec, target: Target) -> Factors:
    """Return the values of a stimulus as factors, each over its whole range."""
    names = tuple(target.input_names) if isinstance(target, HasInputNames) else tuple(map(str, range(stimulus.size)))
    own = torch.from_numpy(stimulus).double().flatten()
    says = f"Each value of the stimulus is varied over its range, {spec.low:g} to {spec.high:g}, independently of the others."
    return Factors(names, spec.low, spec.high, own, lambda rows: rows.float().reshape(-1, *spec.shape), says=says)


def block_factors(stimulus: NDArray[np.float32], spec: StimulusSpec, grid: int) -> Factors:
    """Return the visibility of each block of a stimulus as a factor: 0 is the middle of the range, 1 the optimum."""
    shown, middle = torch.from_numpy(stimulus), (spec.low + spec.high) / 2
    place, sides = _blocks(spec.shape[1:], grid)
    kind = "image" if spec.modality == "image" else "series"

    def make(rows: Tensor) -> Tensor:
        visible = rows.float()[:, place].unsqueeze(1)
        return middle + visible * (shown.to(rows.device) - middle)

    says = f"Each of {len(_names(sides))} blocks of the {kind} is faded between the middle of the range (0) and the optimum (1)."
    own = torch.ones(len(_names(sides)), dtype=torch.float64)
    return Factors(_names(sides), 0.0, 1.0, own, make, grid=sides if spec.modality == "image" else None, says=says)


def latent_factors(latent: NDArray[np.generic], context: AnalysisContext, axes: int, reach: float, grid: int) -> Factors:
    """Return steps along axes of a box of latents as factors; of codes, the share of each block that another latent's codes replace."""
    generator, own = context.generator, torch.from_numpy(np.asarray(latent))
    space = generator.latent

    def decoded(latents: Tensor) -> Tensor:
        return generator(latents.to(context.device)).float().cpu()

    if isinstance(space, Box):
        found = latent_axes(generator, axes, context.seed)
        directions = found.directions.flatten(1)

        def make(rows: Tensor) -> Tensor:
            steps = (rows.float() @ directions).reshape(-1, *space.shape)
            return decoded(along_axis(space, own, steps)(torch.ones(len(rows))))

        names = tuple(str(number) for number in range(1, len(directions) + 1))
        says = f"The optimum's latent is moved along {found.says}, up to {reach:g} standard deviations either way."
        return Factors(names, -reach, reach, torch.zeros(len(names), dtype=torch.float64), make, generator.differentiable, says=says)
    random = torch.Generator().manual_seed(context.seed)
    other = drawn_latent(generator, random)
    place, sides = _blocks(space.shape, grid)
    rank = _ranks(place, torch.randperm(space.size, generator=random).reshape(space.shape))

    def swapped(rows: Tensor) -> Tensor:
        return decoded(torch.where(rank < rows[:, place], other, own))

    says = f"A share of the codes of each of {len(_names(sides))} blocks, in random order, is replaced by those of another latent (0 to 1)."
    return Factors(_names(sides), 0.0, 1.0, torch.zeros(len(_names(sides)), dtype=torch.float64), swapped, smooth=False, says=says)


def _blocks(shape: Sequence[int], grid: int) -> tuple[Tensor, tuple[int, int]]:
    """Return the block of each place, int64 of ``shape``, and rows and columns of blocks: a line of grid² of them in one dimension."""
    if len(shape) == 2:
        sides = (min(grid, shape[0]), min(grid, shape[1]))
        row, column = (torch.arange(size) * side // size for size, side in zip(shape, sides, strict=True))
        return row[:, None] * sides[1] + column, sides
    size = int(np.prod(shape))
    across = min(grid * grid, size)
    return (torch.arange(size) * across // size).reshape(tuple(shape)), (1, across)


def _names(sides: tuple[int, int]) -> tuple[str, ...]:
    if sides[0] == 1:
        return tuple(str(number) for number in range(1, sides[1] + 1))
    return tuple(f"{row},{column}" for row in range(1, sides[0] + 1) for column in range(1, sides[1] + 1))


def _ranks(place: Tensor, order: Tensor) -> Tensor:
    """Return the rank of each place within its block by ``order``, as a share of the block, at the middle of each step."""
    rank = torch.empty(place.shape, dtype=torch.float64)
    for block in range(int(place.max()) + 1):
        within = place == block
        count = int(within.sum())
        rank[within] = (order[within].argsort().argsort().double() + 0.5) / count
    return rank
