"""Where a found image mattered to its search: the accumulated gradient at the stimulus."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from ..report.pictures import can_be_faded
from ..results.section import Figure, Layout, Section, StimulusPicture
from ..search.recorder import Decode, SearchPlan
from .analysis import AnalysisContext

_FILE = "stimuli/importance/{search}.png"
_NOTE = (
    "Where the score hung on a picture, its second copy is opaque: "
    "the gradient's size, summed over the search, clipped at its 80th percentile."
)


class Importance:
    """Where each found image mattered to its search by gradients."""

    class Options(BaseModel):
        """It has none."""

        model_config = ConfigDict(extra="forbid")

    name = "importance"
    needs: tuple[type, ...] = ()
    instant = True

    @classmethod
    def from_options(cls, options: Options) -> Importance:
        """Made by a job."""
        return cls()

    def recorder(self, plan: SearchPlan) -> GradientSum:
        """Sums the gradients of one search."""
        return GradientSum()

    def empty(self, context: AnalysisContext) -> Sequence[Section]:
        """Return maps of NaN."""
        maps = np.full((len(context.searches), *context.generator.stimulus.shape[1:]), np.nan, np.float32)
        return [Section("Where it looked", arrays={"importance": maps}, layout=Layout(search_files={"importance": _FILE}))]

    def run(self, context: AnalysisContext) -> Sequence[Section]:
        """Return the maps, NaN for searches without gradients, and a picture beside each stimulus that has one colour a place."""
        spec = context.generator.stimulus
        (section,) = self.empty(context)
        figures: list[Figure] = []
        for row, search in zip(section.arrays[self.name], context.searches, strict=True):
            if search.importance is None:
                continue
            row[...] = search.importance
            if can_be_faded(spec):
                figures.append(
                    Figure(
                        "where it looked",
                        "The same, opaque where the score hung on it",
                        StimulusPicture(search.stimulus, spec, search.importance),
                        unit=search.unit,
                        optimizer=search.optimizer,
                        place="cell",
                        file=_FILE,
                    )
                )
        return [replace(section, notes=(_NOTE,) if figures else (), figures=figures)]


class GradientSum:
    """|d score / d stimulus| of a search's candidates, summed over them and over channels.

    Accumulated over a whole search it says which places of the stimulus the unit went by: MACO's importance map (Fel et al.,
    "Unlocking feature visualization for deeper networks with magnitude constrained optimization", 2023, section 4.3).
    """

    def __init__(self) -> None:
        self._sum: Tensor | None = None

    def see(self, before: int, latents: Tensor, scores: NDArray[np.float64], replicates: int, harden: Callable[[Tensor], Tensor]) -> None:
        """Nothing is kept of candidates themselves."""

    def attend(self, gradients: Tensor) -> None:
        """Add the gradients of one pass, (n, *stimulus)."""
        found = gradients.detach().nan_to_num(0.0, 0.0, 0.0).abs().sum((0, 1)).cpu()
        self._sum = found if self._sum is None else self._sum + found

    def result(self, decode: Decode) -> NDArray[np.float32] | None:
        """The sum, the stimulus's shape without its channels; None of a search without gradients."""
        return None if self._sum is None else self._sum.numpy()

    def state_dict(self) -> dict[str, Any]:
        """The sum so far."""
        return {"sum": self._sum}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from ``state``."""
        self._sum = state["sum"]
