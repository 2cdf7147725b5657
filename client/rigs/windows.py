"""Spikes counted in a window after each stimulus's onset."""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...wire.errors import InvalidInput

_KEPT_SECONDS = 120.0


@dataclass(frozen=True)
class Window:
    """Seconds after onset in which spikes are counted, ``start`` included and ``end`` not."""

    start: float
    end: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.start) and math.isfinite(self.end) and self.start < self.end):
            raise InvalidInput(f"a window from {self.start} s to {self.end} s holds nothing")


@dataclass(frozen=True)
class Counted:
    """What was recorded for a trial.

    Attributes
    ----------
    counts : ndarray
        float64, (units,): spikes in the window; all NaN where some may have been lost on their way, so that the trial counts as missed.
    onset : float
        Seconds on the recording's clock.
    """

    counts: NDArray[np.float64]
    onset: float

    @property
    def missed(self) -> bool:
        """Whether it isn't known what was recorded."""
        return bool(np.isnan(self.counts).all())


class SpikeTimes:
    """The latest spikes of several units, and the times for which some may be missing.

    Parameters
    ----------
    units : int
        How many.
    """

    def __init__(self, units: int) -> None:
        self._times: list[list[float]] = [[] for _ in range(units)]
        self._weights: list[list[float]] = [[] for _ in range(units)]
        self._gaps: list[tuple[float, float]] = []

    def add(self, unit: int, time: float, spikes: float = 1.0) -> None:
        """Spikes of a unit at a time in seconds; times need not come in order."""
        times, weights = self._times[unit], self._weights[unit]
        at = bisect.bisect_right(times, time)
        times.insert(at, time)
        weights.insert(at, spikes)
        if times[-1] - times[0] > 2 * _KEPT_SECONDS:
            old = bisect.bisect_left(times, times[-1] - _KEPT_SECONDS)
            del times[:old], weights[:old]

    def lost(self, start: float, end: float) -> None:
        """Something between these times may not have come."""
        self._gaps = [gap for gap in self._gaps if gap[1] > end - _KEPT_SECONDS] + [(start, end)]

    def count(self, onset: float, window: Window) -> Counted:
        """Spikes in the window after ``onset``."""
        start, end = onset + window.start, onset + window.end
        if any(first < end and last >= start for first, last in self._gaps):
            return Counted(np.full(len(self._times), np.nan), onset)
        counts = [
            math.fsum(weights[bisect.bisect_left(times, start) : bisect.bisect_left(times, end)])
            for times, weights in zip(self._times, self._weights, strict=True)
        ]
        return Counted(np.array(counts, np.float64), onset)


def nothing(units: Sequence[str] | int, onset: float = math.nan) -> Counted:
    """A trial of which nothing came."""
    return Counted(np.full(units if isinstance(units, int) else len(units), np.nan), onset)
