"""Random mirroring."""

from __future__ import annotations

from typing import Literal, Self

import torch
from pydantic import Field

from ..options import InvalidOption, OptionsModel
from ..spaces import StimulusSpec
from .geometry import Geometric, Move, scaled
from .transformation import BOTH, Draws, Fill, Size


class Flip(Geometric):
    """Mirrors left and right, or top and bottom, with some probability; a series is reversed in time."""

    modalities = BOTH
    variates = 1
    fill: Fill = "grey"

    class Options(OptionsModel):
        """Options of the transformation."""

        probability: float = Field(default=0.5, gt=0, le=1, allow_inf_nan=False, description="Of being mirrored.")
        axis: Literal["horizontal", "vertical"] = Field(
            default="horizontal", description="Which of left/right and top/bottom change places."
        )

    def __init__(self, probability: float = 0.5, axis: Literal["horizontal", "vertical"] = "horizontal", middle: float = 0.5) -> None:
        self.probability, self.axis, self.middle = probability, axis, middle

    @classmethod
    def from_options(cls, options: Options, stimulus: StimulusSpec) -> Self:
        """Return the transformation for stimuli of this modality and range.

        Raises
        ------
        InvalidOption
            The axis is vertical for a series.
        """
        if options.axis == "vertical" and stimulus.modality == "series":
            raise InvalidOption("axis", "a series has no top and bottom; use horizontal, which is time")
        return cls(options.probability, options.axis, (stimulus.low + stimulus.high) / 2)

    def move(self, size: Size, draws: Draws) -> Move:
        """Return the move that mirrors the drawn stimuli."""
        sign = torch.where(draws.uniform[:, 0] < self.probability, -1.0, 1.0).double()
        return Move(scaled(draws.n, x=sign) if self.axis == "horizontal" else scaled(draws.n, y=sign), size)
