"""Several units at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Self

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from ..units import UnitAddress
from .options import UnitOptions, Weight
from .setting import Setting
from .unit import mean_response


class WeightedUnit(BaseModel):
    """A unit and what it counts."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    unit: Annotated[str, Field(min_length=1, max_length=500, description="Address.")]
    weight: Annotated[Weight, Field(description="What its response counts; negative to keep it down.")] = 1.0


class Joint:
    """A weighted sum of several units' responses, the job's own among them (Olah et al., "Feature Visualization", 2017)."""

    class Options(UnitOptions):
        """Options of the objective."""

        terms: Annotated[list[WeightedUnit], Field(min_length=1, max_length=100, description="The other units, each with its weight.")]
        weight: Annotated[Weight, Field(description="Of the job's own unit; 0 leaves it out.")] = 1.0

    def __init__(self, terms: Sequence[tuple[UnitAddress, float]]) -> None:
        self.terms = tuple(terms)

    @classmethod
    def from_setting(cls, options: Options, unit: UnitAddress, setting: Setting) -> Self:
        """Built for one unit of a job."""
        others = [(setting.unit(term.unit, f"terms[{at}].unit"), term.weight) for at, term in enumerate(options.terms)]
        return cls([(unit, options.weight), *others] if options.weight else others)

    @property
    def layers(self) -> frozenset[str]:
        """Of all units."""
        return frozenset(unit.layer for unit, _ in self.terms)

    def __call__(self, responses: Mapping[str, Tensor], /) -> Tensor:
        """{layer: (n, *layer)} -> (n,)."""
        return torch.stack([weight * mean_response(unit, responses) for unit, weight in self.terms]).sum(0)
