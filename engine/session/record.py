"""What was shown in each generation of a session, and what the rig has told of it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .errors import LARGEST_RESPONSE, Conflict, NotNow, Refused
from .spec import RecordedUnitSpec
from .trials import Status, Trial, TrialResponse, from_table, table

LATEST = 1e11
"""Seconds beyond which, either way, a time is refused; the year 5138 on a clock that began in 1970."""
JUMP = 86400.0
"""Seconds by which an onset may lie from the last one, beyond the time that has passed."""
RESTART = "if the rig's clock began anew, declare it restarted"


@dataclass(frozen=True)
class Receipt:
    """What became of told trials: how many, how many of them after their generation, and whether anything is new."""

    trials: int
    late: int
    new: bool


class TrialRecord:
    """The trials of a session.

    Attributes
    ----------
    trials : list of Trial
        All so far, by number.
    generation : int
        Number of the present generation.
    current : list of Trial
        Trials of the present generation, in the order of presentation; none once the session has ended.
    counts : dict of Status to int
        Trials by what is known of them.
    latest_onset : float
        Of the generations before the present one, in seconds on the rig's present clock; -inf where none was told.
    clock : int
        Number of the rig's present clock, from 1.
    """

    def __init__(self, units: Sequence[RecordedUnitSpec]) -> None:
        self._units = units
        self.trials: list[Trial] = []
        self.generation = 0
        self.current: list[Trial] = []
        self.counts = dict.fromkeys(Status, 0)
        self.latest_onset = -math.inf
        self.clock = 1
        self._anchor: tuple[float, int] | None = None
        """The last onset on the present clock, and when it was told."""

    @property
    def untold(self) -> int:
        """Number of trials of the present generation that are still to be told."""
        return self.counts[Status.UNTOLD]

    def begin(self, planned: Sequence[Trial]) -> None:
        """Add the trials of the next generation; none where the session has ended."""
        self.current = list(planned)
        self.trials += planned
        self.counts[Status.UNTOLD] += len(planned)

    def of(self, generations: range) -> list[Trial]:
        """Return the trials of consecutive generations, planned ones included."""
        found: list[Trial] = []
        for trial in reversed(self.trials):
            if trial.generation < generations.start:
                break
            if trial.generation < generations.stop:
                found.append(trial)
        return found[::-1]

    def check(self, told: Sequence[TrialResponse], time: int = 0) -> None:
        """Validate responses, to be taken whole or not at all; ``time`` in microseconds since 1970.

        Raises
        ------
        Refused
            With the reason: UNKNOWN_TRIAL, WRONG_SHAPE, NOT_FINITE, TOO_LARGE, NOT_A_COUNT, NEGATIVE_RESPONSE, CLOCK_BACKWARDS, CLOCK_JUMP.
        Conflict
            A trial was told before, and differently.
        """
        seen: dict[int, TrialResponse] = {}
        anchor = self._anchor
        for at, each in enumerate(told):
            field = f"trials[{at}]"
            if not 1 <= each.trial <= len(self.trials):
                what = f"there is no trial {each.trial}; the last one asked is {len(self.trials)}"
                raise Refused("UNKNOWN_TRIAL", f"{field}.trial", what)
            trial = self.trials[each.trial - 1]
            new = trial.status is Status.UNTOLD
            if new or not each.same(trial):
                _check_values(each, self._units, field)
                _check_clock(each, self.latest_onset if new else -math.inf, field)
            if new and math.isfinite(each.onset):
                _check_jump(each, anchor, time, field)
                anchor = (each.onset, time)
            before = seen.setdefault(each.trial, each)
            late = trial.skipped and trial.status is Status.MISSED
            if before != each and repr(before) != repr(each):
                raise Conflict("CONFLICTING_TELL", field, f"trial {each.trial} is told twice in this message, and differently")
            if trial.status is not Status.UNTOLD and not late and not each.same(trial):
                known = "missed" if trial.status is Status.MISSED else f"{list(trial.responses)}"
                what = f"trial {each.trial} was told as {known} before; what is told stays told"
                raise Conflict("CONFLICTING_TELL", field, what)

    def tell(self, told: Sequence[TrialResponse], time: int = 0, *, checked: bool = False) -> Receipt:
        """Take responses, all of them or, where one is refused, none.

        Parameters
        ----------
        told : sequence of TrialResponse
            Of any trials.
        time : int
            Now, in microseconds since 1970.
        checked : bool
            They were taken before, as from a log: none is refused.

        Raises
        ------
        Refused
            See :meth:`check`.
        """
        if not checked:
            self.check(told, time)
        new = late = 0
        for each in told:
            trial = self.trials[each.trial - 1]
            before = trial.status
            if before is Status.UNTOLD:
                trial.status = Status.MISSED if each.missed else Status.TOLD
            elif before is Status.MISSED and trial.skipped and not each.missed:
                trial.status = Status.LATE
            late += trial.status is Status.LATE
            if trial.status is before:
                continue
            self.counts[before] -= 1
            self.counts[trial.status] += 1
            trial.responses, trial.onset, trial.offset, trial.told = each.responses, each.onset, each.offset, time
            trial.clock = self.clock
            if before is Status.UNTOLD and math.isfinite(each.onset):
                self._anchor = (each.onset, time)
            new += 1
        return Receipt(len(told), late, bool(new))

    def advance(self, generation: int) -> bool:
        """End the present generation, its untold trials being missed; return whether that was still to be done.

        Raises
        ------
        NotNow
            Another generation is being shown, that has not come yet.
        """
        if generation > self.generation:
            raise NotNow("WRONG_GENERATION", "generation", f"generation {generation} has not begun; {self.generation} is being shown")
        if generation < self.generation or not self.untold:
            return False
        for trial in self.current:
            if trial.status is Status.UNTOLD:
                trial.status, trial.skipped = Status.MISSED, True
        self.counts[Status.MISSED] += self.untold
        self.counts[Status.UNTOLD] = 0
        return True

    def mark(self, trial: int, *, bad: bool) -> bool:
        """Mark a trial as bad, or take that back; return whether that was still to be done.

        Of the present generation, the search learns of a bad trial as missed. What it has learned of earlier generations stays learned, and
        the figures leave the trial out.

        Raises
        ------
        Refused
            UNKNOWN_TRIAL.
        """
        if not 1 <= trial <= len(self.trials):
            raise Refused("UNKNOWN_TRIAL", "trial", f"there is no trial {trial}; the last one asked is {len(self.trials)}")
        found = self.trials[trial - 1]
        if found.bad == bad:
            return False
        found.bad = bad
        return True

    def restart_clock(self, clock: int) -> bool:
        """Begin the rig's clock number ``clock``, on which any onset may come first; return whether that was still to be done.

        Raises
        ------
        NotNow
            The clock before it has not begun.
        """
        if clock > self.clock + 1:
            raise NotNow("WRONG_CLOCK", "clock", f"clock {clock} is not the next one; clock {self.clock} is running")
        if clock <= self.clock:
            return False
        self.clock, self.latest_onset, self._anchor = clock, -math.inf, None
        return True

    def settle(self) -> None:
        """Let no later trial begin before those of the complete generation."""
        onsets = (trial.onset for trial in self.current if trial.clock == self.clock and not math.isnan(trial.onset))
        self.latest_onset = max([self.latest_onset, *onsets])

    def state_dict(self) -> dict[str, Any]:
        """Return its part of the session's state, between two generations."""
        return {
            "generation": self.generation,
            "clock": self.clock,
            "latest_onset": self.latest_onset if math.isfinite(self.latest_onset) else None,
            "trials": table(self.trials, len(self._units)),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from the session's state."""
        self.generation = int(state["generation"])
        self.latest_onset = -math.inf if state["latest_onset"] is None else float(state["latest_onset"])
        self.trials = from_table(state["trials"])
        self.clock = int(state.get("clock", 1))
        told = (t for t in reversed(self.trials) if t.clock == self.clock and t.status is Status.TOLD and math.isfinite(t.onset))
        last = next(told, None)
        self._anchor = None if last is None else (last.onset, last.told)
        counted = Counter(trial.status for trial in self.trials)
        self.counts = {status: counted[status] for status in Status}


def _check_values(told: TrialResponse, units: Sequence[RecordedUnitSpec], field: str) -> None:
    if told.missed and told.responses:
        raise Refused("WRONG_SHAPE", f"{field}.responses", "a missed trial has no responses")
    if not told.missed and len(told.responses) != len(units):
        raise Refused("WRONG_SHAPE", f"{field}.responses", f"{len(told.responses)} responses came, {len(units)} units are recorded")
    if told.responses and all(map(math.isnan, told.responses)):
        raise Refused("NOT_FINITE", f"{field}.responses", "no unit answered; such a trial was missed, and is told as missed")
    for number, (value, unit) in enumerate(zip(told.responses, units, strict=False)):
        place = f"{field}.responses[{number}]"
        if math.isnan(value):
            continue
        if not math.isfinite(value):
            raise Refused("NOT_FINITE", place, f"{unit.name} answered {value}; where a unit has no response, NaN is told")
        if abs(value) > LARGEST_RESPONSE:
            raise Refused("TOO_LARGE", place, f"{unit.name} answered {value:g}; responses are taken up to {LARGEST_RESPONSE:g} in size")
        if unit.kind != "signed" and value < 0:
            raise Refused("NEGATIVE_RESPONSE", place, f"{unit.name} answered {value:g}; a {unit.kind} is at least 0")
        if unit.kind == "count" and not value.is_integer():
            raise Refused("NOT_A_COUNT", place, f"{unit.name} answered {value!r}; spikes are counted, or else declare a rate")


def _check_clock(told: TrialResponse, earliest: float, field: str) -> None:
    for name, value in (("onset", told.onset), ("offset", told.offset)):
        if abs(value) > LATEST:
            raise Refused(
                "CLOCK_JUMP", f"{field}.{name}", f"{value:g} is no time of a rig in seconds; is it in milliseconds or microseconds?"
            )
    if told.offset < told.onset:
        raise Refused("CLOCK_BACKWARDS", f"{field}.offset", f"trial {told.trial} ended at {told.offset!r} s, before its onset")
    if told.onset < earliest:
        what = f"trial {told.trial} began at {told.onset!r} s, before one of an earlier generation ({earliest!r} s); {RESTART}"
        raise Refused("CLOCK_BACKWARDS", f"{field}.onset", what)


def _check_jump(told: TrialResponse, anchor: tuple[float, int] | None, time: int, field: str) -> None:
    """Refuse an onset that lies farther from the last one, told at ``anchor``, than a day and the time that has passed since."""
    if anchor is None:
        return
    last, at = anchor
    passed = max(time - at, 0) / 1e6
    if not last - JUMP <= told.onset <= last + JUMP + passed:
        what = f"trial {told.trial} began at {told.onset!r} s, {told.onset - last:+.6g} s from the one told before, {passed:.6g} s later"
        raise Refused("CLOCK_JUMP", f"{field}.onset", f"{what}; is it in seconds? {RESTART[0].upper()}{RESTART[1:]}")
