"""What was shown in each generation of a session, and what the rig has told of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .errors import Conflict, NotNow, Refused
from .spec import RecordedUnitSpec
from .trials import Status, Trial, TrialResponse, from_table, table


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
        Of the generations before the present one, in seconds on the rig's clock; -inf where none was told.
    """

    def __init__(self, units: Sequence[RecordedUnitSpec]) -> None:
        self._units = units
        self.trials: list[Trial] = []
        self.generation = 0
        self.current: list[Trial] = []
        self.counts = dict.fromkeys(Status, 0)
        self.latest_onset = -math.inf

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

    def check(self, told: Sequence[TrialResponse]) -> None:
        """Validate responses, to be taken whole or not at all.

        Raises
        ------
        Refused
            With the reason: UNKNOWN_TRIAL, WRONG_SHAPE, NOT_FINITE, NOT_A_COUNT, NEGATIVE_RESPONSE, CLOCK_BACKWARDS.
        Conflict
            A trial was told before, and differently.
        """
        seen: dict[int, TrialResponse] = {}
        for at, each in enumerate(told):
            field = f"trials[{at}]"
            if not 1 <= each.trial <= len(self.trials):
                what = f"there is no trial {each.trial}; the last one asked is {len(self.trials)}"
                raise Refused("UNKNOWN_TRIAL", f"{field}.trial", what)
            trial = self.trials[each.trial - 1]
            _check_values(each, self._units, field)
            _check_clock(each, self.latest_onset if trial.generation == self.generation else -math.inf, field)
            before = seen.setdefault(each.trial, each)
            late = trial.skipped and trial.status is Status.MISSED
            if before != each and repr(before) != repr(each):
                raise Conflict("CONFLICTING_TELL", field, f"trial {each.trial} is told twice in this message, and differently")
            if trial.status is not Status.UNTOLD and not late and not each.same(trial):
                known = "missed" if trial.status is Status.MISSED else f"{list(trial.responses)}"
                what = f"trial {each.trial} was told as {known} before; what is told stays told"
                raise Conflict("CONFLICTING_TELL", field, what)

    def tell(self, told: Sequence[TrialResponse], time: int = 0) -> Receipt:
        """Take responses, all of them or, where one is refused, none; ``time`` in microseconds since 1970.

        Raises
        ------
        Refused
            See :meth:`check`.
        """
        self.check(told)
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

    def settle(self) -> None:
        """Let no later trial begin before those of the complete generation."""
        self.latest_onset = max([self.latest_onset, *(trial.onset for trial in self.current if trial.onset == trial.onset)])

    def state_dict(self) -> dict[str, Any]:
        """Return its part of the session's state, between two generations."""
        return {
            "generation": self.generation,
            "latest_onset": self.latest_onset if math.isfinite(self.latest_onset) else None,
            "trials": table(self.trials, len(self._units)),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from the session's state."""
        self.generation = int(state["generation"])
        self.latest_onset = -math.inf if state["latest_onset"] is None else float(state["latest_onset"])
        self.trials = from_table(state["trials"])
        self.counts = {status: sum(trial.status is status for trial in self.trials) for status in Status}


def _check_values(told: TrialResponse, units: Sequence[RecordedUnitSpec], field: str) -> None:
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


def _check_clock(told: TrialResponse, earliest: float, field: str) -> None:
    if told.offset < told.onset:
        raise Refused("CLOCK_BACKWARDS", f"{field}.offset", f"trial {told.trial} ended at {told.offset!r} s, before its onset")
    if told.onset < earliest:
        what = f"trial {told.trial} began at {told.onset!r} s, before one of an earlier generation ({earliest!r} s)"
        raise Refused("CLOCK_BACKWARDS", f"{field}.onset", what)
