"""What was found beside the strongest natural stimulus that the target knows of each unit."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict

from ..report.comparison import Comparison, exceeds, reference_multiple, reference_response
from ..results.section import Layout, Section
from .analysis import AnalysisContext


class Natural:
    """How found responses compare with those to the best natural stimuli."""

    class Options(BaseModel):
        """It has none."""

        model_config = ConfigDict(extra="forbid")

    needs: tuple[type, ...] = ()
    instant = True

    @classmethod
    def from_options(cls, options: Options) -> Natural:
        """Made by a job."""
        return cls()

    def empty(self, context: AnalysisContext) -> Sequence[Section]:
        """Return no comparison."""
        return [Section("Natural stimuli", arrays={"natural_best": np.full(len(context.searches), np.nan)}, layout=Layout())]

    def run(self, context: AnalysisContext) -> Sequence[Section]:
        """Return each search's best natural response, and what its own is as a multiple of that."""
        comparison = Comparison(context.searches)
        known = [reference_response(search) for search in context.searches]
        layout = Layout(
            searches={
                (search.unit, search.optimizer): {
                    "natural_best": best,
                    "natural_multiple": reference_multiple(search),
                    "above_natural": exceeds(search),
                }
                for search, best in zip(context.searches, known, strict=True)
            },
            summary={"units_compared": len(comparison.compared()), "units_above_natural": len(comparison.above_reference())},
            optimizers={
                standing.optimizer: {
                    "units_compared": standing.compared,
                    "units_above_natural": len(standing.above_reference),
                    "median_multiple": standing.median_multiple,
                }
                for standing in comparison.standings()
            },
        )
        rows = [
            {
                "unit": search.unit,
                "optimizer": search.optimizer,
                "response": search.response,
                "natural best": best,
                "multiple": reference_multiple(search),
            }
            for search, best in zip(context.searches, known, strict=True)
            if best is not None
        ]
        best = np.array([math.nan if one is None else one for one in known], np.float64)
        return [Section("Natural stimuli", rows=rows, arrays={"natural_best": best}, layout=layout)]
