"""Random shifts that fill in at the edges."""

from __future__ import annotations

from typing import Self

from pydantic import Field

from ..spaces import StimulusSpec
from .geometry import Geometric, Move, moved
from .options import GeometricOptions
from .transformation import BOTH, Draws, Fill, Size


class Shift(Geometric):
    """Moves the stimulus by whole pixels, or a series in time; what comes in from beyond is filled."""

    modalities = BOTH
    variates = 2

    class Options(GeometricOptions):
        """Options of the transformation."""

        most: int = Field(default=8, ge=1, le=2048, description="Largest shift either way, in pixels or time steps.")
        fill: Fill = Field(default="edge", description="What comes in from beyond: 'grey', the 'edge' values, or the mirror image.")

    def __init__(self, most: int, fill: Fill = "edge", middle: float = 0.5) -> None:
        self.most, self.fill, self.middle = most, fill, middle

    @classmethod
    def from_options(cls, options: Options, stimulus: StimulusSpec) -> Self:
        """Return the transformation for stimuli of this range."""
        return cls(options.most, options.fill, (stimulus.low + stimulus.high) / 2)

    def move(self, size: Size, draws: Draws) -> Move:
        """Return moves by whole shifts of -most … most, all equally likely."""
        y, x = (draws.whole(axis, -self.most, self.most) if length > 1 else 0.0 for axis, length in enumerate(size))
        return Move(moved(draws.n, x=x, y=y), size)
