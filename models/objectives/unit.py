"""The response of one unit: the simplest objective."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field
from torch import Tensor

from ..units import UnitAddress
from .options import Direction, UnitOptions


def read(unit: UnitAddress, responses: Mapping[str, Tensor]) -> Tensor:
    """Return a unit's part of its layer's response, (n, *rest), where rest are the dimensions that its address leaves open."""
    return responses[unit.layer][(slice(None), *unit.index)]


def mean_response(unit: UnitAddress, responses: Mapping[str, Tensor]) -> Tensor:
    """Return a unit's mean response over the dimensions that its address leaves open, (n,)."""
    chosen = read(unit, responses)
    return chosen.flatten(1).mean(1) if chosen.ndim > 1 else chosen


class OfUnit:
    """Base of the objectives of one unit; ``unit`` is its address, which may name a group."""

    unit: UnitAddress

    @property
    def layers(self) -> frozenset[str]:
        """The unit's layer."""
        return frozenset({self.unit.layer})

    def values(self, responses: Mapping[str, Tensor]) -> Tensor:
        """Return all values of the unit's response, (n, values)."""
        values = read(self.unit, responses)
        return values.flatten(1) if values.ndim > 1 else values[:, None]


class UnitObjective(OfUnit):
    """A unit's response, averaged over the dimensions that its address leaves open (Erhan et al., 2009)."""

    class Options(UnitOptions):
        """Options of the objective."""

        direction: Direction = Field(default="up", description="'up' seeks the strongest response, 'down' the weakest.")

    def __init__(self, unit: UnitAddress, direction: Direction = "up") -> None:
        self.unit = unit
        self.sign = 1.0 if direction == "up" else -1.0

    @classmethod
    def from_options(cls, options: Options, unit: UnitAddress) -> UnitObjective:
        """Return the objective for one unit of a job."""
        return cls(unit, options.direction)

    def __call__(self, responses: Mapping[str, Tensor], /) -> Tensor:
        """Return the scores of responses: {layer: (n, *layer)} -> (n,)."""
        return self.sign * mean_response(self.unit, responses)
