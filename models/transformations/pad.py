"""A margin around the stimulus."""

from __future__ import annotations

from typing import Self

from pydantic import Field

from ..spaces import StimulusSpec
from .geometry import Geometric, Move, identity
from .options import GeometricOptions
from .transformation import BOTH, Draws, Fill, Size


class Pad(Geometric):
    """A margin on every side, so that later moves have room (Olah et al., "Feature Visualization", 2017)."""

    modalities = BOTH
    variates = 0

    class Options(GeometricOptions):
        """Options of the transformation."""

        pixels: int = Field(default=12, ge=1, le=2048, description="Width of the margin; of a series, in time steps.")

    def __init__(self, pixels: int, fill: Fill = "grey", middle: float = 0.5) -> None:
        self.pixels, self.fill, self.middle = pixels, fill, middle

    @classmethod
    def from_options(cls, options: Options, stimulus: StimulusSpec) -> Self:
        """Return the transformation for stimuli of this range."""
        return cls(options.pixels, options.fill, (stimulus.low + stimulus.high) / 2)

    def move(self, size: Size, draws: Draws) -> Move:
        """Return the move that adds the margin around the unmoved stimulus."""
        height, width = (length + 2 * self.pixels if length > 1 else 1 for length in size)
        return Move(identity(draws.n), (height, width))
