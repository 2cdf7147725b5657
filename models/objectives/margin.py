"""The margin between a class and the strongest other class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import torch
from pydantic import Field
from torch import Tensor

from ..units import UnitAddress
from .classes import OfClass, one_class
from .options import Direction, UnitOptions
from .setting import Setting


class Margin(OfClass):
    """Logit of a class minus the largest other: positive where the class is predicted (Carlini and Wagner, 2017, equation f6).

    ``down`` is the untargeted attack, positive where another class is predicted. ``confidence``, the κ of f6, is an upper bound of the
    score.
    """

    class Options(UnitOptions):
        """Options of the objective."""

        direction: Direction = Field(default="up", description="'up' towards the class (targeted), 'down' away from it (untargeted).")
        confidence: float | None = Field(
            default=None, ge=0, le=1e6, allow_inf_nan=False, description="Margin beyond which the score grows no more; none: it goes on."
        )

    def __init__(self, unit: UnitAddress, direction: Direction = "up", confidence: float | None = None) -> None:
        super().__init__(unit, direction)
        self.confidence = confidence

    @classmethod
    def from_setting(cls, options: Options, unit: UnitAddress, setting: Setting) -> Self:
        """Return the objective for one class of a job."""
        return cls(one_class(unit, setting), options.direction, options.confidence)

    def __call__(self, responses: Mapping[str, Tensor], /) -> Tensor:
        """Return the scores of responses: {layer: (n, classes)} -> (n,)."""
        logits = self.logits(responses)
        others = torch.cat([logits[:, : self.index], logits[:, self.index + 1 :]], 1)
        margin = self.sign * (logits[:, self.index] - others.amax(1))
        return margin if self.confidence is None else margin.clamp(max=self.confidence)
