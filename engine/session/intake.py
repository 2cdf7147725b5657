"""What of a rig's word can be taken."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from .errors import Conflict, Refused
from .spec import RecordedUnitSpec
from .trials import Status, Told, Trial


@dataclass(frozen=True)
class Receipt:
    """What became of told trials: how many, how many of them after their generation, and whether anything is new."""

    trials: int
    late: int
    new: bool


def check(told: Sequence[Told], trials: Sequence[Trial], units: Sequence[RecordedUnitSpec], generation: int, latest_onset: float) -> None:
    """Refuse what can't be taken.

    Parameters
    ----------
    told : sequence of Told
        What the rig says, to be taken whole or not at all.
    trials : sequence of Trial
        All so far.
    units : sequence of RecordedUnitSpec
        What is recorded.
    generation : int
        The present one.
    latest_onset : float
        Of the generations before it, seconds.

    Raises
    ------
    Refused
        With the reason: UNKNOWN_TRIAL, WRONG_SHAPE, NOT_FINITE, NOT_A_COUNT, NEGATIVE_RESPONSE, CLOCK_BACKWARDS.
    Conflict
        A trial was told before, and differently.
    """
    seen: dict[int, Told] = {}
    for at, each in enumerate(told):
        field = f"trials[{at}]"
        if not 1 <= each.trial <= len(trials):
            what = f"there is no trial {each.trial}; the last one asked is {len(trials)}"
            raise Refused("UNKNOWN_TRIAL", f"{field}.trial", what)
        trial = trials[each.trial - 1]
        _check_values(each, units, field)
        _check_clock(each, latest_onset if trial.generation == generation else -math.inf, field)
        before = seen.setdefault(each.trial, each)
        late = trial.skipped and trial.status is Status.MISSED
        if before != each and repr(before) != repr(each):
            raise Conflict("CONFLICTING_TELL", field, f"trial {each.trial} is told twice in this message, and differently")
        if trial.status is not Status.UNTOLD and not late and not each.same(trial):
            known = "missed" if trial.status is Status.MISSED else f"{list(trial.responses)}"
            what = f"trial {each.trial} was told as {known} before; what is told stays told"
            raise Conflict("CONFLICTING_TELL", field, what)


def _check_values(told: Told, units: Sequence[RecordedUnitSpec], field: str) -> None:
    if told.missed and told.responses:
        raise Refused("WRONG_SHAPE", f"{field}.responses", "a missed trial has no responses")
    if not told.missed and len(told.responses) != len(units):
        raise Refused("WRONG_SHAPE", f"{field}.responses", f"{len(told.responses)} responses came, {len(units)} units are recorded")
    for number, (value, unit) in enumerate(zip(told.responses, units, strict=False)):
        place = f"{field}.responses[{number}]"
        if not math.isfinite(value):
            raise Refused("NOT_FINITE", place, f"{unit.name} answered {value}; where there is no response, the trial was missed")
        if unit.kind != "signed" and value < 0:
            raise Refused("NEGATIVE_RESPONSE", place, f"{unit.name} answered {value:g}; a {unit.kind} is at least 0")
        if unit.kind == "count" and not value.is_integer():
            raise Refused("NOT_A_COUNT", place, f"{unit.name} answered {value!r}; spikes are counted, or else declare a rate")


def _check_clock(told: Told, earliest: float, field: str) -> None:
    if told.offset < told.onset:
        raise Refused("CLOCK_BACKWARDS", f"{field}.offset", f"trial {told.trial} ended at {told.offset!r} s, before its onset")
    if told.onset < earliest:
        what = f"trial {told.trial} began at {told.onset!r} s, before one of an earlier generation ({earliest!r} s)"
        raise Refused("CLOCK_BACKWARDS", f"{field}.onset", what)
