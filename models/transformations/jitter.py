"""A window of fixed size at a random place."""

from __future__ import annotations

from typing import Self

from pydantic import Field

from ..options import InvalidOption
from ..spaces import StimulusSpec
from .geometry import Geometric, Move, moved
from .options import GeometricOptions
from .transformation import BOTH, Draws, Fill, Size


class Jitter(Geometric):
    """A window smaller by some pixels, at a random whole-pixel place, as in Lucid (Olah et al., "Feature Visualization", 2017)."""

    modalities = BOTH
    variates = 2

    class Options(GeometricOptions):
        """Options of the transformation."""

        pixels: int = Field(default=8, ge=1, le=2048, description="By how much the window is smaller than the stimulus.")

    def __init__(self, pixels: int, fill: Fill = "grey", middle: float = 0.5) -> None:
        self.pixels, self.fill, self.middle = pixels, fill, middle

    @classmethod
    def from_options(cls, options: Options, stimulus: StimulusSpec) -> Self:
        """Return the transformation for stimuli of this size and range.

        Raises
        ------
        InvalidOption
            The window would be empty.
        """
        least = min(length for length in stimulus.shape[1:] if length > 1 or len(stimulus.shape) == 2)
        if options.pixels >= least:
            raise InvalidOption("pixels", f"a window smaller by {options.pixels} leaves nothing of {least}")
        return cls(options.pixels, options.fill, (stimulus.low + stimulus.high) / 2)

    def move(self, size: Size, draws: Draws) -> Move:
        """Return moves by whole offsets of 0 … pixels, all equally likely."""
        y, x = (draws.whole(axis, 0, self.pixels) - self.pixels / 2 if length > 1 else 0.0 for axis, length in enumerate(size))
        height, width = (length - self.pixels if length > 1 else 1 for length in size)
        return Move(moved(draws.n, x=x, y=y), (max(height, 1), max(width, 1)))
