"""Random contrast of the whole stimulus."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AfterValidator, Field
from torch import Tensor

from ..options import OptionsModel
from ..spaces import StimulusSpec
from .options import Limits
from .transformation import BOTH, Draws


def _positive(limits: tuple[float, float]) -> tuple[float, float]:
    if not 0 <= limits[0] <= limits[1] <= 100:
        raise ValueError(f"gains lie within [0, 100]; got {list(limits)}")
    return limits


class Gain:
    """Multiplies the stimulus's contrast about the middle of its range: the amplitude of a series, the contrast of an image."""

    modalities = BOTH
    variates = 1

    class Options(OptionsModel):
        """Options of the transformation."""

        range: Annotated[Limits, AfterValidator(_positive), Field(description="Lowest and highest factor.")] = (0.9, 1.1)

    def __init__(self, low: float, high: float, middle: float = 0.5) -> None:
        self.low, self.high, self.middle = low, high, middle

    @classmethod
    def from_options(cls, options: Options, stimulus: StimulusSpec) -> Self:
        """Return the transformation for stimuli of this range."""
        return cls(*options.range, (stimulus.low + stimulus.high) / 2)

    def __call__(self, stimuli: Tensor, draws: Draws, /) -> Tensor:
        """Return stimuli with multiplied contrast: (n, channels, height, width)."""
        gain = draws.between(0, self.low, self.high).to(stimuli)[:, None, None, None]
        return self.middle + gain * (stimuli - self.middle)
