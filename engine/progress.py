"""Where a running job stands: what observers are told."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SearchProgress:
    """One search; ``stopped_by`` is empty while it runs, ``best_response`` is NaN before its first score."""

    unit: str
    optimizer: str
    evaluations: int
    best_response: float
    natural_multiple: float | None
    stopped_by: str


@dataclass(frozen=True)
class Progress:
    """The whole job; ``total_evaluations`` is 0 and ``seconds_left`` bounded by the budget's seconds where only they limit it."""

    searches: tuple[SearchProgress, ...]
    evaluations: int
    total_evaluations: int
    evaluations_per_second: float
    seconds_left: float
