"""Where a running job stands: what observers are told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..search.tally import JobOutcome


@dataclass(frozen=True)
class SearchProgress:
    """One search; ``stopped_by`` is empty while it runs, ``best_response`` is NaN before its first score, ``warnings`` has a line each."""

    unit: str
    optimizer: str
    evaluations: int
    best_response: float
    natural_multiple: float | None
    stopped_by: str
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Progress:
    """The whole job; ``total_evaluations`` is 0 and ``seconds_left`` bounded by the budget's seconds where only they limit it.

    ``warnings`` are those that concern no single search; ``outcome`` is empty while the job runs. ``stage`` says what is done once the
    searches have ended, such as "measuring what was found: 3 of 64"; empty while they run.
    """

    searches: tuple[SearchProgress, ...]
    evaluations: int
    total_evaluations: int
    evaluations_per_second: float
    seconds_left: float
    warnings: tuple[str, ...] = ()
    outcome: JobOutcome | Literal[""] = ""
    stage: str = ""
