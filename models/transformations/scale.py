"""Random scaling about the middle."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AfterValidator, Field

from ..spaces import StimulusSpec
from .geometry import Geometric, Move, scaled
from .options import GeometricOptions, Limits
from .transformation import BOTH, Draws, Fill, Size


def _positive(limits: tuple[float, float]) -> tuple[float, float]:
    if not 0.01 <= limits[0] <= limits[1] <= 100:
        raise ValueError(f"factors lie within [0.01, 100]; got {list(limits)}")
    return limits


class Scale(Geometric):
    """Enlarges or shrinks what is shown about its middle, or stretches a series in time; the frame stays as large as it is."""

    modalities = BOTH
    variates = 1

    class Options(GeometricOptions):
        """Options of the transformation."""

        range: Annotated[Limits, AfterValidator(_positive), Field(description="Lowest and highest factor.")] = (0.9, 1.1)

    def __init__(self, low: float, high: float, fill: Fill = "grey", middle: float = 0.5) -> None:
        self.low, self.high, self.fill, self.middle = low, high, fill, middle

    @classmethod
    def from_options(cls, options: Options, stimulus: StimulusSpec) -> Self:
        """Return the transformation for stimuli of this range."""
        return cls(*options.range, options.fill, (stimulus.low + stimulus.high) / 2)

    def move(self, size: Size, draws: Draws) -> Move:
        """Return scalings by one uniform factor each, the same for both axes."""
        towards = 1 / draws.between(0, self.low, self.high)
        return Move(scaled(draws.n, x=towards if size[1] > 1 else 1.0, y=towards if size[0] > 1 else 1.0), size)
