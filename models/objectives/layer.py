"""The energy of a whole layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import Field
from torch import Tensor

from ..units import UnitAddress
from .options import UnitOptions
from .unit import OfUnit

Energy = Literal["mean-square", "l2", "mean-absolute"]


class LayerEnergy(OfUnit):
    """The energy of a layer, or of the part that the unit's address names (DeepDream: Mordvintsev et al., "Inceptionism", 2015)."""

    class Options(UnitOptions):
        """Options of the objective."""

        energy: Energy = Field(
            default="mean-square",
            description="Mean of squares, their sum's root (l2, DeepDream's 'L2 norm'), or the mean of absolute values.",
        )

    def __init__(self, unit: UnitAddress, energy: Energy = "mean-square") -> None:
        self.unit, self.energy = unit, energy

    @classmethod
    def from_options(cls, options: Options, unit: UnitAddress) -> Self:
        """Return the objective for one address of a job, such as ``conv2`` for the whole layer."""
        return cls(unit, options.energy)

    def __call__(self, responses: Mapping[str, Tensor], /) -> Tensor:
        """Return the scores of responses, ≥ 0: {layer: (n, *layer)} -> (n,)."""
        values = self.values(responses)
        if self.energy == "mean-absolute":
            return values.abs().mean(1)
        # the slope of norm at zero is zero, that of a square root would be infinite
        return values.square().mean(1) if self.energy == "mean-square" else values.norm(dim=1)
