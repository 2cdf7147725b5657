"""Weighted sums of objectives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Self

import torch
from pydantic import Field
from torch import Tensor

from ..components import NamedComponent
from ..options import OptionsModel
from ..units import UnitAddress
from .objective import Objective, compares
from .options import Weight
from .setting import Setting


class Term(OptionsModel):
    """An objective and its weight."""

    objective: NamedComponent
    weight: Weight = Field(default=1.0, description="What its score counts; negative for what shall be kept down.")


class Sum:
    """Objectives with weights, added up: such as a unit minus a share of a regulariser.

    Parameters
    ----------
    terms : sequence of (Objective, float)
        Objectives, each with its weight.
    """

    class Options(OptionsModel):
        """Options of the objective."""

        terms: list[Term] = Field(min_length=1, max_length=100, description="Objectives, each with its weight.")

    def __init__(self, terms: Sequence[tuple[Objective, float]]) -> None:
        self.terms = tuple(terms)

    @classmethod
    def from_setting(cls, options: Options, unit: UnitAddress, setting: Setting) -> Self:
        """Return the sum for one unit of a job; each term may replace it by its own option ``unit``."""
        return cls(
            [(setting.objective(term.objective, unit, f"terms[{at}].objective"), term.weight) for at, term in enumerate(options.terms)]
        )

    @property
    def layers(self) -> frozenset[str]:
        """The layers of all terms."""
        return frozenset().union(*(objective.layers for objective, _ in self.terms))

    @property
    def compares(self) -> bool:
        """Whether one of the terms compares candidates."""
        return any(compares(objective) for objective, _ in self.terms)

    def __call__(self, responses: Mapping[str, Tensor], /) -> Tensor:
        """Return the scores of responses: {layer: (n, *layer)} -> (n,)."""
        return torch.stack([weight * objective(responses) for objective, weight in self.terms]).sum(0)
