"""A session's searches one by one: each of its threads, or the only one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from actmax.v1 import session_pb2

from ..trials import Trials
from .figures import Figures, figures


@dataclass(frozen=True)
class View:
    """One search.

    Attributes
    ----------
    name : str
        Its thread's, empty for the only one.
    optimizer, aim : str
        What searches, and objective and unit in words.
    recommendation : Recommendation
        What it found.
    trials : Trials
        Its own, and those that are for all.
    figures : Figures
        Of these.
    """

    name: str
    optimizer: str
    aim: str
    recommendation: session_pb2.Recommendation
    trials: Trials
    figures: Figures


def views(trials: Trials) -> list[View]:
    """Every search of a session.

    Scores of references and controls are by the first search's objective; where another one seeks something else it is shown without them.
    """
    session = trials.session
    whole = View("", session.optimizer, _aim(session, session.objective, session.unit), session.recommendation, trials, figures(trials))
    if not session.threads:
        return [whole]
    found = []
    for thread in session.threads:
        aim = _aim(session, thread.objective, thread.unit)
        kept = ("", thread.name) if not found or aim == found[0].aim else (thread.name,)
        own = _only(trials, [each in kept for each in trials.thread])
        found.append(View(thread.name, thread.optimizer, aim, thread.recommendation, own, figures(own)))
    return found


def _aim(session: session_pb2.Session, objective: Any, unit: str) -> str:
    spec = session.spec
    return f"{objective.name or spec.objective.name or 'unit'} of {unit or session.unit or spec.unit or spec.units[0].name}"


def _only(trials: Trials, which: Sequence[bool]) -> Trials:
    mask = np.array(which, dtype=bool)
    columns: dict[str, Any] = {}
    for field in fields(trials):
        value = getattr(trials, field.name)
        if isinstance(value, np.ndarray) and len(value) == len(mask):
            columns[field.name] = value[mask]
        elif isinstance(value, list):
            columns[field.name] = [each for each, keep in zip(value, mask, strict=True) if keep]
    return replace(trials, **columns)
