"""The logit of a class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from pydantic import Field
from torch import Tensor

from ..units import UnitAddress
from .classes import OfClass, one_class
from .options import Direction, UnitOptions
from .setting import Setting


class Logit(OfClass):
    """The logit of a class, as a unit's response, but refused where the unit is no class (Simonyan et al., 2014, section 2).

    With ``centred``, the mean of all logits is subtracted, so that raising all of them gains nothing.
    """

    class Options(UnitOptions):
        """Options of the objective."""

        direction: Direction = Field(default="up", description="'up' towards the class, 'down' away from it.")
        centred: bool = Field(default=False, description="Take the mean of all logits off.")

    def __init__(self, unit: UnitAddress, direction: Direction = "up", centred: bool = False) -> None:
        super().__init__(unit, direction)
        self.centred = centred

    @classmethod
    def from_setting(cls, options: Options, unit: UnitAddress, setting: Setting) -> Self:
        """Return the objective for one class of a job."""
        return cls(one_class(unit, setting), options.direction, options.centred)

    def __call__(self, responses: Mapping[str, Tensor], /) -> Tensor:
        """Return the scores of responses: {layer: (n, classes)} -> (n,)."""
        logits = self.logits(responses)
        own = logits[:, self.index]
        return self.sign * (own - logits.mean(1) if self.centred else own)
