"""The Transformation contract: stimuli in, randomly changed stimuli out, the randomness given from outside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import torch
from torch import Tensor

Fill = Literal["grey", "edge", "reflect"]
"""What lies beyond a stimulus: the middle of its range, its outermost values, or its mirror image (about its edge)."""

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
        float64, (n,) in [0, 1]: the share of each candidate's search that is behind it, for changes that fade.
    seeds : sequence of int
        (n,) for :meth:`normal`.
    """

    uniform: Tensor
    progress: Tensor
    seeds: Sequence[int]

    @property
    def n(self) -> int:
        """Candidates."""
        return self.uniform.shape[0]

    def between(self, variate: int, low: float, high: float) -> Tensor:
        """(n,), uniform in [low, high)."""
        return low + (high - low) * self.uniform[:, variate]

    def whole(self, variate: int, low: int, high: int) -> Tensor:
        """(n,), whole numbers of low … high, each as likely."""
        return (low + (self.uniform[:, variate] * (high - low + 1)).floor()).clamp(max=high)

    def normal(self, shape: Sequence[int], device: torch.device) -> Tensor:
        """(n, *shape), standard normal, drawn on ``device``; again the same at the next call."""
        made = torch.empty(self.n, *shape, device=device)
        generator = torch.Generator(device)
        for row, seed in zip(made, self.seeds, strict=True):
            row.normal_(generator=generator.manual_seed(seed))
        return made


@runtime_checkable
class Transformation(Protocol):
    """Changes stimuli of (n, channels, height, width), each by its own row of the draws.

    A series comes as (n, channels, 1, time), so that one implementation serves both: an axis of length 1 is left alone. Height and
    width may change; what the target takes is restored at the end, by resizing. Gradients flow.
    """

    @property
    def modalities(self) -> frozenset[str]:
        """Which of "image" and "series" it can change."""
        ...

    @property
    def variates(self) -> int:
        """Uniform draws that it needs for a candidate."""
        ...

    def __call__(self, stimuli: Tensor, draws: Draws, /) -> Tensor:
        """(n, channels, height, width) -> the same, of any height and width."""
        ...


BOTH = frozenset({"image", "series"})
IMAGES = frozenset({"image"})
