"""Stimuli on the boundary between two units."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Self

import torch
from pydantic import Field
from torch import Tensor

from ..units import UnitAddress
from .options import UnitOptions
from .setting import Setting
from .unit import mean_response

How = Literal["minimum", "difference"]


class Boundary:
    """Stimuli on the boundary between two units, both strong: as much of the one as of the other.

    ``minimum``: the weaker of the two responses, at whose maximum both are equal. ``difference``: their mean minus ``weight`` times their
    absolute difference. (For classes, the decision boundary: Karimi, Derr and Tang, "Characterizing the decision boundary of deep neural
    networks", 2019; He, Li and Song, 2018.)
    """

    class Options(UnitOptions):
        """Options of the objective."""

        other: str = Field(min_length=1, max_length=500, description="Address of the second unit.")
        how: How = Field(default="minimum", description="'minimum' of the two, or mean minus 'difference'.")
        weight: float = Field(default=1.0, gt=0, le=1e6, allow_inf_nan=False, description="Of the difference.")

    def __init__(self, unit: UnitAddress, other: UnitAddress, how: How = "minimum", weight: float = 1.0) -> None:
        self.unit, self.other, self.how, self.weight = unit, other, how, weight

    @classmethod
    def from_setting(cls, options: Options, unit: UnitAddress, setting: Setting) -> Self:
        """Return the objective for one unit of a job."""
        return cls(unit, setting.unit(options.other, "other"), options.how, options.weight)

    @property
    def layers(self) -> frozenset[str]:
        """The layers of both units."""
        return frozenset({self.unit.layer, self.other.layer})

    def __call__(self, responses: Mapping[str, Tensor], /) -> Tensor:
        """Return the scores of responses: {layer: (n, *layer)} -> (n,)."""
        a, b = mean_response(self.unit, responses), mean_response(self.other, responses)
        return torch.minimum(a, b) if self.how == "minimum" else (a + b) / 2 - self.weight * (a - b).abs()
