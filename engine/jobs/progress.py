"""The progress of a running job, as observers receive it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..search.tally import JobOutcome


@dataclass(frozen=True)
class SearchProgress:
    """Progress of one search.

    ``stopped_by`` is empty while the search runs, ``best_response`` NaN before its first score. ``warnings`` has one line each.
    """

    unit: str
    optimizer: str
    evaluations: int
    best_response: float
    natural_multiple: float | None
    stopped_by: str
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Progress:
    """Progress of a job.

    ``total_evaluations`` is 0 if only seconds limit the job, and ``seconds_left`` never exceeds the budget's. ``warnings`` are
    about no single search; ``outcome`` is empty while the job runs. ``stage`` says what is done after the searches, such as
    "measuring what was found: 3 of 64"; empty while they run.
    """

    searches: tuple[SearchProgress, ...]
    evaluations: int
    total_evaluations: int
    evaluations_per_second: float
    seconds_left: float
    warnings: tuple[str, ...] = ()
    outcome: JobOutcome | Literal[""] = ""
    stage: str = ""
