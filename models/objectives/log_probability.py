"""The log-probability of a class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from pydantic import Field
from torch import Tensor

from ..units import UnitAddress
from .classes import OfClass, one_class
from .options import Direction, UnitOptions
from .setting import Setting


class LogProbability(OfClass):
    """Log of the softmax probability of a class, in nats, ≤ 0 (cross-entropy; attacks: Goodfellow et al., 2015).

    ``down`` is the loss of that class: away from it, towards any other.
    """

    class Options(UnitOptions):
        """Options of the objective."""

        direction: Direction = Field(default="up", description="'up' towards the class, 'down' away from it.")
        temperature: float = Field(default=1.0, gt=0, le=1e6, allow_inf_nan=False, description="Logits are divided by it.")

    def __init__(self, unit: UnitAddress, direction: Direction = "up", temperature: float = 1.0) -> None:
        super().__init__(unit, direction)
        self.temperature = temperature

    @classmethod
    def from_setting(cls, options: Options, unit: UnitAddress, setting: Setting) -> Self:
        """Return the objective for one class of a job."""
        return cls(one_class(unit, setting), options.direction, options.temperature)

    def __call__(self, responses: Mapping[str, Tensor], /) -> Tensor:
        """Return the scores of responses, in nats: {layer: (n, classes)} -> (n,)."""
        return self.sign * (self.logits(responses) / self.temperature).log_softmax(1)[:, self.index]
