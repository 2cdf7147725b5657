"""Responses that came from elsewhere than the loop over a generation: of any trials, some of them wrong, some too late."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...wire.errors import ActmaxError, InvalidInput, WrongState
from ..sessions.session import Session
from ..sessions.trials import Trials

# What a response can be refused for; anything else is wrong with the session, not with the response.
_ROW_REASONS = frozenset({"CONFLICTING_TELL"})


@dataclass(frozen=True)
class Row:
    """A response to one trial.

    Attributes
    ----------
    trial : int
        As asked.
    responses : tuple of float
        One a unit, NaN where it did not answer; all NaN where the trial was missed.
    onset, offset : float
        Seconds on the rig's clock, NaN where not known.
    line : int
        Where it was written, from 1.
    blank : bool
        Where a response would stand there is nothing, not even NaN: missed, unless the same trial has a whole row as well.
    """

    trial: int
    responses: tuple[float, ...]
    onset: float = math.nan
    offset: float = math.nan
    line: int = 0
    blank: bool = False


@dataclass(frozen=True)
class Problem:
    """Why something was not taken: line and trial as they were written, a reason for programs, a sentence for people."""

    line: int
    trial: str
    reason: str
    message: str


def tell_rows(session: Session, rows: Sequence[Row]) -> list[tuple[Row, Problem]]:
    """Tell what can be told; give back what was refused.

    The server takes all of a message or nothing, so a message that is refused is told again in halves: what is right in it is kept,
    what is wrong comes back by itself. A row told before in the same words is fine.

    Parameters
    ----------
    session : Session
        Open.
    rows : sequence of Row
        Of any trials, also of earlier generations.

    Raises
    ------
    ActmaxError
        What is wrong is not in the rows.
    """
    if not rows:
        return []
    try:
        _told(session, rows)
    except (InvalidInput, WrongState) as error:
        if isinstance(error, WrongState) and error.reason not in _ROW_REASONS:
            raise
        if len(rows) == 1:
            return [(rows[0], Problem(rows[0].line, str(rows[0].trial), error.reason or error.code, _sentence(error)))]
        half = len(rows) // 2
        return [*tell_rows(session, rows[:half]), *tell_rows(session, rows[half:])]
    return []


def unanswered(trials: Trials) -> list[int]:
    """Return the trials that were taken as missed since their generation was ended, of which the rig has said nothing."""
    rows = zip(trials.trial.tolist(), trials.status, trials.told_time.tolist(), strict=True)
    return [trial for trial, status, told in rows if status == "missed" and math.isnan(told)]


def untaken(rows: Sequence[Row], trials: Trials) -> list[Problem]:
    """Return a problem for each row that a closed session does not have."""
    what = f"{trials.session.name} was closed before this came; it is in this file alone"
    return [Problem(row.line, str(row.trial), "SESSION_CLOSED", what) for row in rows if not _has(trials, row)]


def _told(session: Session, rows: Sequence[Row]) -> None:
    width = max(len(row.responses) for row in rows)
    missed = (math.nan,) * width
    session.tell_trials(
        [row.trial for row in rows],
        [missed if all(math.isnan(value) for value in row.responses) else row.responses for row in rows],
        onsets=[row.onset for row in rows],
        offsets=[row.offset for row in rows],
    )


def _sentence(error: ActmaxError) -> str:
    return " ".join(str(error).split())


def _has(trials: Trials, row: Row) -> bool:
    if not 1 <= row.trial <= len(trials):
        return False
    at = row.trial - 1
    if all(math.isnan(value) for value in row.responses):
        return trials.status[at] == "missed"
    return trials.status[at] in ("told", "late") and np.array_equal(trials.responses[at], row.responses, equal_nan=True)
