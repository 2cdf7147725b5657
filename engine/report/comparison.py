"""A job's searches as a table with a row for each unit and a column for each optimizer."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..results.result import SearchResult


@dataclass(frozen=True)
class Standing:
    """The results of one optimizer over all units.

    Attributes
    ----------
    optimizer : str
        The optimizer's label.
    searches : int
        Number of units that it searched.
    compared : int
        Number of those units whose reference response is known.
    above_reference : list of SearchResult
        Searches whose response is higher than the reference.
    median_multiple : float or None
        Median of response ÷ reference response, over the units where that is defined.
    best_for : list of str
        Units for which no other optimizer has a higher response; a tie counts for each.
    """

    optimizer: str
    searches: int
    compared: int
    above_reference: list[SearchResult]
    median_multiple: float | None
    best_for: list[str]


class Comparison:
    """``searches`` in rows and columns, in the order in which units and optimizers first appear."""

    def __init__(self, searches: Sequence[SearchResult]) -> None:
        self.searches = list(searches)
        self.units = list(dict.fromkeys(search.unit for search in searches))
        self.optimizers = list(dict.fromkeys(search.optimizer for search in searches))
        self._at = {(search.unit, search.optimizer): search for search in searches}

    def first(self, units: int) -> Comparison:
        """Return the comparison of the same optimizers over the first ``units`` rows."""
        return self.of(self.units[:units])

    def of(self, units: Sequence[str]) -> Comparison:
        """Return the comparison of the same optimizers over some of its units."""
        kept = set(units)
        few = Comparison([search for search in self.searches if search.unit in kept])
        few.optimizers = self.optimizers
        return few

    def at(self, unit: str, optimizer: str) -> SearchResult | None:
        """Return the search of a unit by an optimizer; None if a cancelled job has none."""
        return self._at.get((unit, optimizer))

    def row(self, unit: str) -> list[SearchResult]:
        """Return the unit's searches, in the order of the columns."""
        return [search for optimizer in self.optimizers if (search := self.at(unit, optimizer)) is not None]

    def column(self, optimizer: str) -> list[SearchResult]:
        """Return the optimizer's searches, in the order of the rows."""
        return [search for unit in self.units if (search := self.at(unit, optimizer)) is not None]

    def measure(self, units: Sequence[str]) -> str:
        """Return the quantity in the curves of ``units``: ``response``, with its unit if all share one, or ``score``."""
        searches = [search for unit in units for search in self.row(unit)]
        if any(search.score is not None for search in searches):
            return "score"
        measured_in = {search.response_unit for search in searches} - {""}
        return f"response ({measured_in.pop()})" if len(measured_in) == 1 else "response"

    def reference_response(self, unit: str) -> float | None:
        """Return the reference response of the unit; None if it is unknown."""
        return next((best for search in self.row(unit) if (best := reference_response(search)) is not None), None)

    def reference_line(self, unit: str) -> float | None:
        """Return the reference response of the unit if its searches maximized the response; None for searches of another score."""
        return None if any(search.score is not None for search in self.row(unit)) else self.reference_response(unit)

    def name(self, unit: str) -> str:
        """Return the target's name of the unit; empty without a name."""
        return next((search.unit_name for search in self.row(unit)), "")

    def winners(self, unit: str) -> list[SearchResult]:
        """Return the searches with the highest response or score (several on ties, empty if nothing was measured)."""
        measured = [search for search in self.row(unit) if math.isfinite(search.sought)]
        most = max((search.sought for search in measured), default=math.nan)
        return [search for search in measured if search.sought == most]

    def above_reference(self) -> list[str]:
        """Return the units for which at least one response is higher than the reference."""
        return [unit for unit in self.units if any(exceeds(search) for search in self.row(unit))]

    def compared(self) -> list[str]:
        """Return the units whose reference response is known."""
        return [unit for unit in self.units if self.reference_response(unit) is not None]

    def standings(self) -> list[Standing]:
        """Return the standing of each optimizer."""
        best_for: dict[str, list[str]] = {optimizer: [] for optimizer in self.optimizers}
        for unit in self.units:
            for search in self.winners(unit):
                best_for[search.optimizer].append(unit)
        return [self._standing(optimizer, best_for[optimizer]) for optimizer in self.optimizers]

    def _standing(self, optimizer: str, best_for: list[str]) -> Standing:
        column = self.column(optimizer)
        multiples = [multiple for search in column if (multiple := reference_multiple(search)) is not None]
        return Standing(
            optimizer,
            len(column),
            sum(reference_response(search) is not None for search in column),
            [search for search in column if exceeds(search)],
            statistics.median(multiples) if multiples else None,
            best_for,
        )


def reference_response(search: SearchResult) -> float | None:
    """Return the reference response of a search; None if it is unknown or not finite."""
    return search.reference if search.reference is not None and math.isfinite(search.reference) else None


def reference_multiple(search: SearchResult) -> float | None:
    """Return response ÷ reference response; None if either is unknown or the reference is not positive."""
    multiple = search.reference_multiple
    return multiple if multiple is not None and math.isfinite(multiple) else None


def exceeds(search: SearchResult) -> bool | None:
    """Return whether the response is higher than the reference; None if either is unknown."""
    best = reference_response(search)
    return None if best is None or not math.isfinite(search.response) else search.response > best


def best_so_far(search: SearchResult) -> NDArray[np.float64]:
    """Return the highest score up to and including each evaluation, (evaluations,); NaN before the first that was not missed."""
    scores = np.where(np.isfinite(search.scores), search.scores, np.nan)
    return np.fmax.accumulate(scores) if scores.size else scores


def best_seen(search: SearchResult) -> float | None:
    """Return the highest score during the search; None if all trials were missed."""
    curve = best_so_far(search)
    return float(curve[-1]) if curve.size and not np.isnan(curve[-1]) else None


def mean_multiples(comparison: Comparison, optimizer: str) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return best so far as a multiple of the reference response, averaged over the optimizer's units.

    A search that ended early keeps its last value. Units without a positive reference are left out.

    Returns
    -------
    evaluations, multiples : ndarray
        (points,) each, at most 512 points, from the evaluation at which every unit has a score; empty if no unit can
        be compared.
    """
    curves = [
        best_so_far(search) / best
        for search in comparison.column(optimizer)
        if search.score is None and (best := reference_response(search)) is not None and best > 0 and best_seen(search) is not None
    ]
    if not curves:
        return np.empty(0, np.int64), np.empty(0)
    longest = max(curve.size for curve in curves)
    at = np.unique(np.linspace(1, longest, min(longest, 512)).round().astype(np.int64))
    mean = np.mean([curve[np.minimum(at, curve.size) - 1] for curve in curves], axis=0)
    known = ~np.isnan(mean)
    return at[known], mean[known]
