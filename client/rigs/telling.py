"""Responses that came from elsewhere than the loop over a generation: any trials, some of them wrong."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import ActmaxError, InvalidInput, WrongState
from ..sessions.session import Session

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
        One a unit; all NaN where the trial was missed.
    onset, offset : float
        Seconds on the rig's clock, NaN where not known.
    line : int
        Where it was written, from 1.
    blank : bool
        Nothing stands where its responses would, not even NaN: missed, unless the same trial has a response as well.
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
