"""Random rotation about the middle."""

from __future__ import annotations

from typing import Self

from pydantic import Field

from ..spaces import StimulusSpec
from .geometry import Geometric, Move, identity
from .options import GeometricOptions, Limits
from .transformation import IMAGES, Draws, Fill, Size


class Rotate(Geometric):
    """Turns the image about its middle, anticlockwise where the angle is positive; the frame stays."""

    modalities = IMAGES
    variates = 1

    class Options(GeometricOptions):
        """Options of the transformation."""

        degrees: Limits = Field(default=(-10.0, 10.0), description="Lowest and highest angle.")

    def __init__(self, low: float, high: float, fill: Fill = "grey", middle: float = 0.5) -> None:
        self.low, self.high, self.fill, self.middle = low, high, fill, middle

    @classmethod
    def from_options(cls, options: Options, stimulus: StimulusSpec) -> Self:
        """Return the transformation for stimuli of this range."""
        return cls(*options.degrees, options.fill, (stimulus.low + stimulus.high) / 2)

    def move(self, size: Size, draws: Draws) -> Move:
        """Return rotations by one uniform angle each."""
        angle = draws.between(0, self.low, self.high).deg2rad()
        matrix = identity(draws.n)
        matrix[:, 0, 0] = matrix[:, 1, 1] = angle.cos()
        matrix[:, 0, 1], matrix[:, 1, 0] = -angle.sin(), angle.sin()
        return Move(matrix, size)
