"""A session: the search that a job would run, driven by a rig that tells responses trial by trial."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...models.objectives.objective import LATENT, OFFERED, STIMULUS
from ...optimizers.optimizer import Evaluations
from ..errors import InvalidJob
from ..search import Search
from ..spec import ComponentSpec
from .checked import Aim, CheckedSession
from .drift import Drift
from .errors import Conflict, NotNow, Refused
from .evidence import Block, Comparison, compare, mean_interval
from .planning import Content, cycled, planned
from .trials import Kind, Status, Stimuli, Told, Trial, from_table, table

RECENT = 5
"""Generations that the momentary figures are about."""
LOOK_EVERY = 5
"""Generations between two looks at the significance."""
LOOK_BACK = 10
"""Generations that a look takes in."""
MAX_BATCH = 250
"""Stimuli decoded at once."""


@dataclass(frozen=True)
class Receipt:
    """What became of told trials: how many, how many of them after their generation, and whether anything is new."""

    trials: int
    late: int
    new: bool


@dataclass(frozen=True)
class Found:
    """What a session recommends.

    Attributes
    ----------
    latent : Tensor or None
        (*latent); None before anything was told.
    response, low, high : float
        Mean of fresh measurements that had no part in choosing it, and its 95 % interval; NaN where unknown.
    measurements : int
        How many.
    final : bool
        Whether leaders were measured again and this is the best of them.
    over_references, over_first : Comparison or None
        Against references and first-generation stimuli that were shuffled into the same generations.
    """

    latent: Tensor | None
    response: float
    low: float
    high: float
    measurements: int
    final: bool
    over_references: Comparison | None
    over_first: Comparison | None


class Session:
    """Plans generations, takes responses, tells the search.

    The same calls with the same arguments lead to the same bits, so a log of them is all that has to be kept. Between two generations
    :meth:`state_dict` is whole. Calls must not overlap.

    Parameters
    ----------
    checked : CheckedSession
        What it is made of.
    """

    def __init__(self, checked: CheckedSession) -> None:
        self.checked = checked
        self.spec = checked.spec
        self.aim = checked.aim
        self.trials: list[Trial] = []
        self.stimuli = Stimuli(0 if checked.pictures is None else checked.pictures.shape[0])
        self.generation = 0
        self._first = 0  # index of the present generation's first trial
        self._untold = 0
        self._references_shown = 0
        self._latest_onset = -math.inf
        self._changes = 0
        self._looks = 0
        self._pending: Aim | None = None
        self._earlier_evaluations = 0
        self._decoded: tuple[int, Tensor] | None = None
        self._recommended: Tensor | None = None
        self._gains: list[NDArray[np.float64]] = []
        self.counts = dict.fromkeys(Status, 0)
        """Trials by what is known of them."""
        self.drift = Drift(checked.reference_count, len(self.spec.units))
        latents = () if checked.references is None else checked.references
        self._references = [self.stimuli.number(latent) for latent in latents] or list(range(self.stimuli.pictures))
        self._reference_at = {stimulus: at for at, stimulus in enumerate(self._references)}
        self.search, self.note = checked.search(self.aim, 0, self.spec.stop.evaluations)
        signed = any(unit.kind == "signed" for unit in self.spec.units)
        asked = self.spec.design.normalise
        self.normalises = bool(checked.references_shown) and not signed if asked is None else asked
        self._plan()

    @property
    def stopped_by(self) -> str:
        """By which rule it ended; empty while there are trials to show."""
        return self.search.stopped_by

    @property
    def current(self) -> list[Trial]:
        """The present generation's trials, in the order of presentation; none once the session has ended."""
        return self.trials[self._first :] if not self.stopped_by else []

    @property
    def untold(self) -> int:
        """How many of them are still to be told."""
        return self._untold

    @property
    def complete(self) -> bool:
        """Whether :meth:`step` is due."""
        return self._untold == 0 and not self.stopped_by

    @property
    def evaluations(self) -> int:
        """Told to the search so far."""
        return self._earlier_evaluations + self.search.evaluations

    def check(self, told: Sequence[Told]) -> None:
        """Refuse what can't be taken.

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
            self._check_values(each, field)
            trial = self.trials[each.trial - 1]
            before = seen.setdefault(each.trial, each)
            late = trial.skipped and trial.status is Status.MISSED
            if before != each and repr(before) != repr(each):
                raise Conflict("CONFLICTING_TELL", field, f"trial {each.trial} is told twice in this message, and differently")
            if trial.status is not Status.UNTOLD and not late and not each.same(trial):
                known = "missed" if trial.status is Status.MISSED else f"{list(trial.responses)}"
                what = f"trial {each.trial} was told as {known} before; what is told stays told"
                raise Conflict("CONFLICTING_TELL", field, what)

    def _check_values(self, told: Told, field: str) -> None:
        if not 1 <= told.trial <= len(self.trials):
            what = f"there is no trial {told.trial}; the last one asked is {len(self.trials)}"
            raise Refused("UNKNOWN_TRIAL", f"{field}.trial", what)
        units = self.spec.units
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
        if told.offset < told.onset:
            raise Refused("CLOCK_BACKWARDS", f"{field}.offset", f"trial {told.trial} ended at {told.offset!r} s, before its onset")
        if self.trials[told.trial - 1].generation == self.generation and told.onset < self._latest_onset:
            what = f"trial {told.trial} began at {told.onset!r} s, before one of an earlier generation ({self._latest_onset!r} s)"
            raise Refused("CLOCK_BACKWARDS", f"{field}.onset", what)

    def tell(self, told: Sequence[Told], time: int = 0) -> Receipt:
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
                self._untold -= 1
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
        """End the present generation, its untold trials being missed; whether that was still to be done.

        Raises
        ------
        NotNow
            Another generation is being shown, that has not come yet.
        """
        if generation > self.generation:
            raise NotNow("WRONG_GENERATION", "generation", f"generation {generation} has not begun; {self.generation} is being shown")
        if generation < self.generation or not self._untold:
            return False
        for trial in self.current:
            if trial.status is Status.UNTOLD:
                trial.status, trial.skipped = Status.MISSED, True
        self.counts[Status.MISSED] += self._untold
        self.counts[Status.UNTOLD] -= self._untold
        self._untold = 0
        return True

    def check_change(self, objective: ComponentSpec | None, unit: str) -> Aim:
        """The aim that a change would lead to.

        Raises
        ------
        InvalidJob
            There is no such objective or unit.
        NotNow
            The session has ended, or has too few evaluations left.
        """
        aim = Aim(self.aim.objective if objective is None else objective, unit or self.aim.unit)
        left = self.spec.stop.evaluations - self.evaluations - len(self.current)
        if self.stopped_by or left < 2:
            raise NotNow("TOO_LATE", "change_objective", "no evaluation is left for another objective")
        self.checked.search(aim, self._changes + 1, left)
        return aim

    def change(self, objective: ComponentSpec | None, unit: str) -> None:
        """From the next generation on, seek something else: a fresh search that has learned from all trials so far, scored anew.

        Raises
        ------
        InvalidJob, NotNow
            See :meth:`check_change`.
        """
        self._pending = self.check_change(objective, unit)

    def step(self, at_boundary: Callable[[], None] = lambda: None) -> None:
        """Tell the search of the complete generation, and plan the next; ``at_boundary`` is called in between, when the state is whole."""
        if not self.complete:
            raise RuntimeError("the generation is not complete")
        trials = self.current
        self._latest_onset = max([self._latest_onset, *(trial.onset for trial in trials if trial.onset == trial.onset)])
        gain = self._gain(trials)
        self._gains.append(gain)
        sought = float(gain[self._primary])
        for trial, score in zip(trials, self._scores(trials, gain, self.search), strict=True):
            trial.score, trial.gain = score, sought
        if self._pending is None:
            self._tell(trials)
            self._look()
        else:
            self._turn(self._pending)
        at_boundary()
        self._plan()

    def decoded(self) -> Tensor:
        """The stimuli of the present generation, (n, *stimulus) float32, row for row."""
        if self._decoded is None or self._decoded[0] != self.generation:
            self._decoded = (self.generation, self.stimuli_of(self.current))
        return self._decoded[1]

    def stimuli_of(self, trials: Sequence[Trial]) -> Tensor:
        """(n, *stimulus) float32. The bits of a row may depend on the other rows, so generations are decoded whole."""
        spec = self.checked.decoder.stimulus
        rows = [row for row, trial in enumerate(trials) if self.stimuli.latent(trial.stimulus) is not None]
        with torch.inference_mode():
            if len(rows) == len(trials) <= MAX_BATCH:
                return self.checked.decoder(torch.stack([self._latent(trial.stimulus) for trial in trials])).float()
            found = torch.empty(len(trials), *spec.shape)
            for start in range(0, len(rows), MAX_BATCH):
                part = rows[start : start + MAX_BATCH]
                latents = torch.stack([self._latent(trials[row].stimulus) for row in part])
                found[part] = self.checked.decoder(latents).float()
            for row, trial in enumerate(trials):
                if trial.stimulus < self.stimuli.pictures:
                    assert self.checked.pictures is not None
                    found[row] = self.checked.pictures[trial.stimulus]
        return found

    def found(self, *, comparing: bool = True) -> Found:
        """What it recommends; ``comparing`` says how sure that is, which takes some milliseconds."""
        latent = self._recommended
        if latent is None:
            return Found(None, math.nan, math.nan, math.nan, 0, False, None, None)
        final = self.search.measured() is not None
        number = self.stimuli.number(latent) if final else -1
        end = self.generation + bool(self.stopped_by)
        # the answer's own figures come from the generation that measured it alone
        blocks: dict[int, dict[Kind, list[float]]] = {
            generation: {} for generation in range(end - 1 if final else max(1, end - RECENT), end)
        }
        for trial in self._of(range(min(blocks, default=0), end)):
            if math.isfinite(trial.score) and (trial.kind is not Kind.REMEASURE or not final or trial.stimulus == number):
                blocks[trial.generation].setdefault(trial.kind, []).append(trial.score)
        mine = np.array([score for kinds in blocks.values() for score in kinds.get(Kind.REMEASURE, ())])

        def over(kind: Kind) -> Comparison | None:
            pairs = [Block(np.array(kinds.get(Kind.REMEASURE, ())), np.array(kinds.get(kind, ()))) for kinds in blocks.values()]
            return compare(pairs, self.spec.seed) if comparing else None

        mean, low, high = mean_interval(mine)
        return Found(latent, mean, low, high, int(mine.size), final, over(Kind.REFERENCE), over(Kind.CONTROL))

    def reference_mean(self) -> float:
        """Mean score of references over the last generations; NaN where there are none."""
        recent = self._of(range(max(1, self.generation - RECENT), self.generation))
        scores = [trial.score for trial in recent if trial.kind is Kind.REFERENCE and math.isfinite(trial.score)]
        return math.fsum(scores) / len(scores) if scores else math.nan

    @property
    def gain(self) -> float:
        """Of the unit sought, relative to the beginning."""
        return float(self.drift.gain[self._primary])

    def state_dict(self) -> dict[str, Any]:
        """All that it needs to go on, between two generations."""
        return {
            "search": self.search.state_dict(),
            "aim": {
                "objective": self.aim.objective.name,
                "options": json.dumps(self.aim.objective.options, sort_keys=True),
                "unit": self.aim.unit,
            },
            "changes": self._changes,
            "looks": self._looks,
            "earlier_evaluations": self._earlier_evaluations,
            "generation": self.generation,
            "references_shown": self._references_shown,
            "latest_onset": self._latest_onset if math.isfinite(self._latest_onset) else None,
            "drift": self.drift.state_dict(),
            "gains": torch.from_numpy(np.array(self._gains).reshape(-1, len(self.spec.units))),
            "trials": table(self.trials, len(self.spec.units)),
            "latents": self.stimuli.latents(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from ``state``, and plan the next generation."""
        aim = state["aim"]
        self.aim = Aim(ComponentSpec(name=aim["objective"], options=json.loads(aim["options"])), aim["unit"])
        self._changes, self._looks = int(state["changes"]), int(state["looks"])
        self._earlier_evaluations = int(state["earlier_evaluations"])
        left = self.spec.stop.evaluations - self._earlier_evaluations
        self.search, self.note = self.checked.search(self.aim, self._changes, left)
        self.search.load_state_dict(state["search"])
        self.generation = int(state["generation"])
        self._references_shown = int(state["references_shown"])
        self._latest_onset = -math.inf if state["latest_onset"] is None else float(state["latest_onset"])
        self.drift.load_state_dict(state["drift"])
        self.stimuli.restore(state["latents"])
        self._gains = list(state["gains"].numpy().copy())
        self.trials = from_table(state["trials"])
        self.counts = {status: sum(trial.status is status for trial in self.trials) for status in Status}
        self._decoded = None
        self._plan()

    @property
    def _primary(self) -> int:
        """The recorded unit whose gain is told: the one sought, or the first."""
        names = [unit.name for unit in self.spec.units]
        return names.index(self.aim.unit) if self.aim.unit in names else 0

    def _latent(self, stimulus: int) -> Tensor:
        latent = self.stimuli.latent(stimulus)
        assert latent is not None
        return latent

    def _of(self, generations: range) -> list[Trial]:
        """The trials of some generations in a row, planned ones included."""
        found: list[Trial] = []
        for trial in reversed(self.trials):
            if trial.generation < generations.start:
                break
            if trial.generation < generations.stop:
                found.append(trial)
        return found[::-1]

    def _plan(self) -> None:
        """The next generation, unless the search has ended."""
        self._untold = 0
        self._recommended = self._recommendation()
        if self.stopped_by:
            return
        design = self.spec.design
        asked = self.search.ask()
        remeasuring = self.search.remeasuring
        rows = self.stimuli.numbers(asked)
        references = self.checked.references_shown
        controls: list[int] = []
        if remeasuring and len(set(rows)) == 1:  # the winner alone: as many of what it is compared with, side by side
            references = len(rows) if self._references else 0
            controls = self._controls(len(rows))
        shown = [self._references[at] for at in self._next_references(references)]
        recommended = self._recommended
        leaders = [] if remeasuring or recommended is None else [self.stimuli.number(recommended)] * design.leaders
        content = Content(rows, 0 if remeasuring else design.replicates, shown, leaders, controls)
        self.generation += 1
        self._first = len(self.trials)
        self.trials += planned(content, self.generation, len(self.trials) + 1, self.spec.seed)
        self._untold = len(self.trials) - self._first
        self.counts[Status.UNTOLD] += self._untold

    def _next_references(self, count: int) -> list[int]:
        if not count:
            return []
        found = cycled(count, len(self._references), self._references_shown, self.spec.seed)
        self._references_shown += count
        return found

    def _recommendation(self) -> Tensor | None:
        try:
            return self.search.recommend()
        except RuntimeError:  # nothing was told yet
            return None

    def _controls(self, count: int) -> list[int]:
        """Of the first generation's candidates, as evenly as can be."""
        distinct = list(dict.fromkeys(trial.stimulus for trial in self._of(range(1, 2)) if trial.kind is Kind.CANDIDATE))
        return [distinct[at] for at in cycled(count, len(distinct), 0, self.spec.seed + 1)] if distinct else []

    def _gain(self, trials: Sequence[Trial]) -> NDArray[np.float64]:
        units = len(self.spec.units)
        if not self.normalises:
            return np.ones(units)
        shown = [trial for trial in trials if trial.kind is Kind.REFERENCE and trial.status is Status.TOLD]
        references = np.array([self._reference_at[trial.stimulus] for trial in shown], dtype=np.int64)
        responses = np.array([trial.responses for trial in shown], dtype=np.float64).reshape(-1, units)
        return self.drift.add(references, responses).copy()

    def _scores(self, trials: Sequence[Trial], gain: NDArray[np.float64], search: Search) -> list[float]:
        """Of each trial by the objective, NaN where it was not told in time."""
        found = [math.nan] * len(trials)
        rows = [row for row, trial in enumerate(trials) if trial.status is Status.TOLD]
        if not rows:
            return found
        told = [trials[row] for row in rows]
        responses = self.checked.target.responses(np.array([trial.responses for trial in told]) / gain)
        offered = search.objective.layers & OFFERED
        if STIMULUS in offered:
            responses[STIMULUS] = self.stimuli_of(trials)[rows].double()
        if LATENT in offered:
            if self.stimuli.pictures:
                raise InvalidJob.at("objective", "it reads latents, and references of the rig's own have none")
            responses[LATENT] = torch.stack([self._latent(trial.stimulus) for trial in told])
        with torch.inference_mode():
            scores = search.objective(responses).double().tolist()
        for row, score in zip(rows, scores, strict=True):
            found[row] = score
        return found

    def _tell(self, trials: Sequence[Trial]) -> None:
        """The search gets the scores of what it asked, and then hears of its recommendation's fresh measurements."""
        asked = {trial.row: trial.score for trial in trials if trial.row >= 0}
        self.search.tell(torch.tensor([asked[row] for row in range(len(asked))], dtype=torch.float64))
        self._overhear(
            [trial for trial in trials if trial.row < 0 and trial.kind is Kind.REMEASURE and math.isfinite(trial.score)], self.search
        )

    def _overhear(self, trials: Sequence[Trial], search: Search) -> None:
        if not trials or search.remeasuring or search.stopped_by:
            return
        latents = torch.stack([self._latent(trial.stimulus) for trial in trials])
        scores = torch.tensor([trial.score for trial in trials], dtype=torch.float64)
        if search.listens:
            search.overhear(Evaluations(latents, scores))
        else:
            search.leaders.add(latents, scores)

    def _look(self) -> None:
        """End the search where its recommendation beats the references beyond doubt.

        Looks share the level out, α / (k·(k + 1)) for the k-th, so that all together err in at most α of sessions.
        """
        level = self.spec.stop.significance
        if not level or self.search.remeasuring or self.stopped_by or self.generation % LOOK_EVERY:
            return
        blocks: dict[int, Block] = {}
        for generation in range(max(1, self.generation - LOOK_BACK + 1), self.generation + 1):
            trials = [trial for trial in self._of(range(generation, generation + 1)) if math.isfinite(trial.score)]
            sides = [np.array([t.score for t in trials if t.kind is kind]) for kind in (Kind.REMEASURE, Kind.REFERENCE)]
            blocks[generation] = Block(*sides)
        self._looks += 1
        comparison = compare(list(blocks.values()), self.spec.seed + self._looks)
        if comparison is not None and comparison.p_value <= level / (self._looks * (self._looks + 1)):
            self.search.end("significance")

    def _turn(self, aim: Aim) -> None:
        """Begin a fresh search for ``aim`` that has learned from all trials so far."""
        self._earlier_evaluations += self.search.evaluations + sum(trial.row >= 0 for trial in self.current)
        self._changes += 1
        self._pending, self.aim = None, aim
        self.search, self.note = self.checked.search(aim, self._changes, self.spec.stop.evaluations - self._earlier_evaluations)
        for trial in self.trials:
            trial.score = math.nan
        shown = [t for t in self.trials if t.status is Status.TOLD]
        for generation, gain in enumerate(self._gains, 1):
            together = [trial for trial in shown if trial.generation == generation]
            for trial, score in zip(together, self._scores(together, gain, self.search), strict=True):
                trial.score, trial.gain = score, float(gain[self._primary])
        known = [
            t for t in shown if math.isfinite(t.score) and self.stimuli.latent(t.stimulus) is not None and t.kind is not Kind.REFERENCE
        ]
        self._overhear(known, self.search)
