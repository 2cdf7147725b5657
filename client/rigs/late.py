"""What came of trials that were over before the rig had answered, and of answers that nobody takes any more."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..sessions.trials import Trials
from .telling import Problem, Row


def unanswered(trials: Trials) -> list[int]:
    """Trials that were taken as missed since their generation was ended, of which the rig has said nothing."""
    rows = zip(trials.trial.tolist(), trials.status, trials.told_time.tolist(), strict=True)
    return [trial for trial, status, told in rows if status == "missed" and math.isnan(told)]


def untaken(rows: Sequence[Row], trials: Trials) -> list[Problem]:
    """The rows that a closed session does not have."""
    what = f"{trials.session.name} was closed before this came; it is in this file alone"
    return [Problem(row.line, str(row.trial), "SESSION_CLOSED", what) for row in rows if not _has(trials, row)]


def _has(trials: Trials, row: Row) -> bool:
    if not 1 <= row.trial <= len(trials):
        return False
    at = row.trial - 1
    if all(math.isnan(value) for value in row.responses):
        return trials.status[at] == "missed"
    return trials.status[at] in ("told", "late") and trials.responses[at].tolist() == list(row.responses)
