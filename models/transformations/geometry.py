"""Moves of pixels by affine maps, so that a chain of moves samples the stimulus once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from .transformation import Draws, Fill, Size

_PADDING = {"grey": "zeros", "edge": "border", "reflect": "reflection"}


@dataclass(frozen=True)
class Move:
    """An affine map from the pixels of the result to those of the stimulus.

    Attributes
    ----------
    matrix : Tensor
        float64, (n, 3, 3): (x, y, 1) of the result to (x, y, 1) of the stimulus, in pixels from the middle of each.
    size : (int, int)
        Height and width of the result.
    """

    matrix: Tensor
    size: Size

    def after(self, first: Move) -> Move:
        """Return one move for both: first ``first``, then this one on its result."""
        return Move(first.matrix @ self.matrix, self.size)


class Geometric(ABC):
    """A transformation that moves pixels; neighbours in a chain with the same ``fill`` are joined into one :class:`Move`.

    Sampling is bilinear. Whole-pixel moves are exact but for rounding.
    """

    modalities: frozenset[str]
    variates: int
    fill: Fill
    middle: float = 0.5
    """Middle of the stimulus's range, the value of "grey"."""

    @abstractmethod
    def move(self, size: Size, draws: Draws) -> Move:
        """Return the move for a stimulus of ``size``, (height, width)."""

    def __call__(self, stimuli: Tensor, draws: Draws, /) -> Tensor:
        """Return the moved stimuli, (n, channels, *move.size)."""
        return sampled(stimuli, self.move(_size(stimuli), draws), self.fill, self.middle)


def identity(n: int) -> Tensor:
    """Return identity maps, float64, (n, 3, 3)."""
    return torch.eye(3, dtype=torch.float64).repeat(n, 1, 1)


def moved(n: int, *, x: Tensor | float = 0.0, y: Tensor | float = 0.0) -> Tensor:
    """Return translations, float64, (n, 3, 3).

    Parameters
    ----------
    n : int
        Number of maps.
    x, y : Tensor or float
        Pixels by which the source of a pixel lies further right and further down; (n,) or one value for all.
    """
    matrix = identity(n)
    matrix[:, 0, 2], matrix[:, 1, 2] = x, y
    return matrix


def scaled(n: int, *, x: Tensor | float = 1.0, y: Tensor | float = 1.0) -> Tensor:
    """Return scalings about the middle, float64, (n, 3, 3).

    Parameters
    ----------
    n : int
        Number of maps.
    x, y : Tensor or float
        Factors on the distance of a pixel's source from the middle; (n,) or one value for all.
    """
    matrix = identity(n)
    matrix[:, 0, 0], matrix[:, 1, 1] = x, y
    return matrix


def resized(n: int, size: Size, wanted: Size) -> Move:
    """Return the move that resizes a stimulus of ``size`` to ``wanted``, each (height, width)."""
    return Move(scaled(n, x=size[1] / wanted[1], y=size[0] / wanted[0]), wanted)


def sampled(stimuli: Tensor, move: Move, fill: Fill, middle: float = 0.5) -> Tensor:
    """Return moved stimuli, bilinearly sampled, with gradients to the stimuli.

    Parameters
    ----------
    stimuli : Tensor
        (n, channels, height, width).
    move : Move
        The source of each pixel.
    fill : {"grey", "edge", "reflect"}
        The values beyond the stimulus.
    middle : float
        The value of "grey".

    Returns
    -------
    Tensor
        (n, channels, *move.size).
    """
    (height, width), (new_height, new_width) = _size(stimuli), move.size
    # grid_sample's unit is half the stimulus from its middle, with the outermost edges at -1 and 1
    into = torch.tensor([2 / width, 2 / height], dtype=torch.float64)[:, None]
    out = torch.tensor([new_width / 2, new_height / 2, 1.0], dtype=torch.float64)
    theta = (into * move.matrix[:, :2] * out).to(stimuli)
    grid = F.affine_grid(theta, [stimuli.shape[0], stimuli.shape[1], new_height, new_width], align_corners=False)
    if fill == "grey":  # grid_sample fills with zero
        return F.grid_sample(stimuli - middle, grid, mode="bilinear", padding_mode="zeros", align_corners=False) + middle
    return F.grid_sample(stimuli, grid, mode="bilinear", padding_mode=_PADDING[fill], align_corners=False)


def _size(stimuli: Tensor) -> Size:
    return stimuli.shape[2], stimuli.shape[3]
