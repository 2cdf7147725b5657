"""One unit, up or down: the plainest objective."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from ..units import UnitAddress


class UnitObjective:
    """A unit's response, averaged over whatever its address leaves open (Erhan et al., 2009)."""

    class Options(BaseModel):
        """Options of the objective."""

        model_config = ConfigDict(extra="forbid")
        direction: Literal["up", "down"] = Field("up", description="'up' seeks the strongest response, 'down' the weakest.")

    def __init__(self, unit: UnitAddress, direction: Literal["up", "down"] = "up") -> None:
        self.unit = unit
        self.sign = 1.0 if direction == "up" else -1.0

    @classmethod
    def from_options(cls, options: Options, unit: UnitAddress) -> UnitObjective:
        """Built for one unit of a job."""
        return cls(unit, options.direction)

    @property
    def layers(self) -> frozenset[str]:
        """The unit's layer."""
        return frozenset({self.unit.layer})

    def __call__(self, responses: Mapping[str, Tensor], /) -> Tensor:
        """{layer: (n, *layer)} -> (n,)."""
        chosen = responses[self.unit.layer][(slice(None), *self.unit.index)]
        return self.sign * (chosen.flatten(1).mean(1) if chosen.ndim > 1 else chosen)
