"""The Transformation contract: stimuli and random draws in, changed stimuli out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import torch
from torch import Tensor

Fill = Literal["grey", "edge", "reflect"]
"""Values beyond a stimulus: the middle of its range, its outermost values, or its mirror image (about its edge)."""

Size = tuple[int, int]
"""Height and width; a series has height 1."""


@dataclass
class Draws:
    """The randomness of one application, a row a candidate; the same draws give the same change, in any batch.

    Attributes
    ----------
    uniform : Tensor
        float64, (n, variates) in [0, 1), on the CPU.
    progress : Tensor
        float64, (n,) in [0, 1]: the completed share of each candidate's search, for changes that fade.
    seeds : sequence of int
        (n,) seeds of :meth:`normal`.
    """

    uniform: Tensor
    progress: Tensor
    seeds: Sequence[int]

    @property
    def n(self) -> int:
        """Number of candidates."""
        return self.uniform.shape[0]

    def between(self, variate: int, low: float, high: float) -> Tensor:
        """Return uniform numbers in [low, high) from one variate.

        Parameters
        ----------
        variate : int
            Column of ``uniform``.
        low, high : float
            Bounds.

        Returns
        -------
        Tensor
            float64, (n,).
        """
        return low + (high - low) * self.uniform[:, variate]

    def whole(self, variate: int, low: int, high: int) -> Tensor:
        """Return whole numbers of low … high, all equally likely, from one variate.

        Parameters
        ----------
        variate : int
            Column of ``uniform``.
        low, high : int
            Bounds, both included.

        Returns
        -------
        Tensor
            float64, (n,).
        """
        return (low + (self.uniform[:, variate] * (high - low + 1)).floor()).clamp(max=high)

    def normal(self, shape: Sequence[int], device: torch.device) -> Tensor:
        """Return standard normal numbers, (n, *shape), drawn on ``device``; every call returns the same numbers."""
        made = torch.empty(self.n, *shape, device=device)
        generator = torch.Generator(device)
        for row, seed in zip(made, self.seeds, strict=True):
            row.normal_(generator=generator.manual_seed(seed))
        return made


@runtime_checkable
class Transformation(Protocol):
    """Changes stimuli of (n, channels, height, width), each by its own row of the draws.

    A series has the shape (n, channels, 1, time), so that one implementation serves both modalities: an axis of length 1 stays unchanged.
    Height and width may change; the chain resizes its result to the target's. Gradients flow.
    """

    @property
    def modalities(self) -> frozenset[str]:
        """The modalities that it can change: "image", "series" or both."""
        ...

    @property
    def variates(self) -> int:
        """Number of uniform draws for each candidate."""
        ...

    def __call__(self, stimuli: Tensor, draws: Draws, /) -> Tensor:
        """Return changed stimuli: (n, channels, height, width) -> (n, channels, any height, any width)."""
        ...


BOTH = frozenset({"image", "series"})
IMAGES = frozenset({"image"})
