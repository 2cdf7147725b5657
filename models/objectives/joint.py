"""A weighted sum of several units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Self

import torch
from pydantic import Field
from torch import Tensor

from ..options import OptionsModel
from ..units import UnitAddress
from .options import UnitOptions, Weight
from .setting import Setting
from .unit import mean_response


class WeightedUnit(OptionsModel):
    """A unit and its weight."""

    unit: str = Field(min_length=1, max_length=500, description="Address.")
    weight: Weight = Field(default=1.0, description="What its response counts; negative to keep it down.")


class Joint:
    """A weighted sum of several units' responses, the job's own among them (Olah et al., "Feature Visualization", 2017)."""

    class Options(UnitOptions):
        """Options of the objective."""

        terms: list[WeightedUnit] = Field(min_length=1, max_length=100, description="The other units, each with its weight.")
        weight: Weight = Field(default=1.0, description="Of the job's own unit; 0 leaves it out.")

    def __init__(self, terms: Sequence[tuple[UnitAddress, float]]) -> None:
        self.terms = tuple(terms)

    @classmethod
    def from_setting(cls, options: Options, unit: UnitAddress, setting: Setting) -> Self:
        """Return the objective for one unit of a job."""
        others = [(setting.unit(term.unit, f"terms[{at}].unit"), term.weight) for at, term in enumerate(options.terms)]
        return cls([(unit, options.weight), *others] if options.weight else others)

    @property
    def layers(self) -> frozenset[str]:
        """The layers of all units."""
        return frozenset(unit.layer for unit, _ in self.terms)

    def __call__(self, responses: Mapping[str, Tensor], /) -> Tensor:
        """Return the scores of responses: {layer: (n, *layer)} -> (n,)."""
        return torch.stack([weight * mean_response(unit, responses) for unit, weight in self.terms]).sum(0)
