"""A session: the searches that a job would run, driven by a rig that tells responses trial by trial."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..spec import ComponentSpec
from . import intake
from .aim import Aim
from .checked import CheckedSession
from .decoding import stimuli_of
from .drift import Drift
from .errors import NotNow, Refused
from .findings import Found, Measurements, summary
from .intake import Receipt
from .layout import Layout
from .planning import planned
from .scoring import scored
from .thread import SearchThread, reasons
from .trials import SHARED, Kind, Status, Stimuli, Told, Trial, from_table, table

RECENT = 5
"""Generations that the momentary figures are about."""
LOOK_EVERY = 5
"""Generations between two looks at the significance."""
LOOK_BACK = 10
"""Generations that a look takes in."""


class Session:
    """Plans generations, takes responses, tells the searches.

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
        self.trials: list[Trial] = []
        self.stimuli = Stimuli(0 if checked.pictures is None else checked.pictures.shape[0])
        self.generation = 0
        self._first = 0  # index of the present generation's first trial
        self._untold = 0
        self._latest_onset = -math.inf
        self._decoded: tuple[int, Tensor] | None = None
        self._gains: list[NDArray[np.float64]] = []
        self.counts = dict.fromkeys(Status, 0)
        """Trials by what is known of them."""
        self.drift = Drift(checked.reference_count, len(self.spec.units), [unit.kind == "count" for unit in self.spec.units])
        self._layout = Layout(checked, self.stimuli)
        self._reference_at = {stimulus: at for at, stimulus in enumerate(self._layout.references)}
        self.threads = [SearchThread(checked, number) for number in range(len(checked.threads))]
        """Its searches, one at least."""
        signed = any(unit.kind == "signed" for unit in self.spec.units)
        asked = self.spec.design.normalise
        self.normalises = bool(checked.references_shown) and not signed if asked is None else asked
        self._plan()

    @property
    def stopped_by(self) -> str:
        """By which rule it ended, several where its threads differ; empty while there are trials to show."""
        return reasons(self.threads)

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
        """Told to its searches so far."""
        return sum(thread.evaluations for thread in self.threads)

    @property
    def remeasuring(self) -> bool:
        """Whether all of its searches measure their leaders again."""
        return all(thread.search.remeasuring for thread in self.threads)

    def thread(self, name: str) -> SearchThread:
        """A thread by its name, which may be empty where there is but one.

        Raises
        ------
        Refused
            UNKNOWN_THREAD.
        """
        for thread in self.threads:
            if thread.name == name or (not name and len(self.threads) == 1):
                return thread
        raise Refused("UNKNOWN_THREAD", "thread", f"there is no thread {name!r}; there are {', '.join(t.name for t in self.threads)}")

    def check(self, told: Sequence[Told]) -> None:
        """Refuse what can't be taken; see :func:`actmax.engine.session.intake.check`."""
        intake.check(told, self.trials, self.spec.units, self.generation, self._latest_onset)

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

    def check_change(self, objective: ComponentSpec | None, unit: str, thread: str = "") -> Aim:
        """The aim that a change of a thread's would lead to.

        Raises
        ------
        InvalidJob
            There is no such objective or unit.
        Refused
            There is no such thread.
        NotNow
            Its search has ended, or has too few evaluations left.
        """
        found = self.thread(thread)
        aim = Aim(found.aim.objective if objective is None else objective, unit or found.aim.unit)
        shown = sum(trial.row >= 0 and trial.thread == found.number for trial in self.current)
        left = found.evaluations_due - found.evaluations - shown
        if found.stopped_by or left < 2:
            raise NotNow("TOO_LATE", "change_objective", "no evaluation is left for another objective")
        self.checked.search(found.number, aim, found.changes + 1, left)
        return aim

    def change(self, objective: ComponentSpec | None, unit: str, thread: str = "") -> None:
        """From the next generation on, seek something else: a fresh search that has learned from all trials so far, scored anew.

        Raises
        ------
        InvalidJob, Refused, NotNow
            See :meth:`check_change`.
        """
        self.thread(thread).pending = self.check_change(objective, unit, thread)

    def step(self, at_boundary: Callable[[], None] = lambda: None) -> None:
        """Tell the searches of the complete generation, and plan the next; ``at_boundary`` in between, where the state is whole."""
        if not self.complete:
            raise RuntimeError("the generation is not complete")
        trials = self.current
        self._latest_onset = max([self._latest_onset, *(trial.onset for trial in trials if trial.onset == trial.onset)])
        gain = self._gain(trials)
        self._gains.append(gain)
        self._score(trials, gain)
        for thread in self.threads:
            if thread.stopped_by:
                continue
            thread.tell([trial for trial in trials if trial.thread == thread.number], self.stimuli)
            if thread.pending is None:
                self._look(thread)
            elif not thread.stopped_by:
                thread.turn()
                self._learn_anew(thread)
        if all(thread.whole for thread in self.threads):
            at_boundary()
        self._plan()

    def decoded(self) -> Tensor:
        """The stimuli of the present generation, (n, *stimulus) float32, row for row."""
        if self._decoded is None or self._decoded[0] != self.generation:
            self._decoded = (self.generation, self.stimuli_of(self.current))
        return self._decoded[1]

    def stimuli_of(self, trials: Sequence[Trial]) -> Tensor:
        """(n, *stimulus) float32; see :func:`actmax.engine.session.decoding.stimuli_of`."""
        if self._decoded is not None and self._decoded[0] == self.generation and trials == self.trials[self._first :]:
            return self._decoded[1]
        return stimuli_of(trials, self.checked, self.stimuli)

    def shown(self, latent: Tensor) -> Tensor | None:
        """(*stimulus) as the generation that was decoded last has it; None where it has not."""
        if self._decoded is None:
            return None
        together = self._of(range(self._decoded[0], self._decoded[0] + 1))
        for trial, stimulus in zip(together, self._decoded[1], strict=True):
            known = self.stimuli.latent(trial.stimulus)
            if known is not None and torch.equal(known, latent):
                return stimulus
        return None

    def found(self, thread: int = 0, *, comparing: bool = True) -> Found:
        """What a thread recommends; ``comparing`` says how sure that is, which takes some milliseconds."""
        mine = self.threads[thread]
        latent = mine.recommended
        if latent is None:
            return Found(None)
        final = mine.search.measured() is not None
        end = self.generation + bool(self.stopped_by)
        # the answer's own figures come from the generations that measured it alone
        shown = self._of(range(mine.closing_from if final else max(1, end - RECENT), end))
        beside = Measurements(shown, thread, self.spec.seed)
        scores = beside.of(thread, self.stimuli.number(latent) if final else None)
        mean, low, high, measurements = summary(scores)
        if not comparing:
            return Found(latent, mean, low, high, measurements, final)
        rivals = {}
        for other in self.threads if final else ():
            if other is not mine and other.aim == mine.aim and other.closing_from and other.recommended is not None:
                against = beside.over(scores, beside.of(other.number, self.stimuli.number(other.recommended)))
                if against is not None:
                    rivals[other.name] = against
        references, first = (beside.over(scores, beside.beside(kind)) for kind in (Kind.REFERENCE, Kind.CONTROL))
        return Found(latent, mean, low, high, measurements, final, references, first, rivals)

    def reference_mean(self, thread: int = 0) -> float:
        """Mean score of references over the last generations; NaN where there are none."""
        recent = self._of(range(max(1, self.generation - RECENT), self.generation))
        scores = [score for t in recent if t.kind is Kind.REFERENCE and math.isfinite(score := t.score_for(thread))]
        return math.fsum(scores) / len(scores) if scores else math.nan

    @property
    def gain(self) -> float:
        """Of the unit that the first thread seeks, relative to the beginning."""
        return float(self.drift.gain[self._primary(self.threads[0])])

    def state_dict(self) -> dict[str, Any]:
        """All that it needs to go on, between two generations."""
        return {
            "threads": [thread.state_dict() for thread in self.threads],
            "generation": self.generation,
            "references_shown": self._layout.references_shown,
            "latest_onset": self._latest_onset if math.isfinite(self._latest_onset) else None,
            "drift": self.drift.state_dict(),
            "gains": torch.from_numpy(np.array(self._gains).reshape(-1, len(self.spec.units))),
            "trials": table(self.trials, len(self.spec.units)),
            "latents": self.stimuli.latents(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from ``state``, and plan the next generation."""
        for thread, kept in zip(self.threads, state["threads"], strict=True):
            thread.load_state_dict(kept)
        self.generation = int(state["generation"])
        self._latest_onset = -math.inf if state["latest_onset"] is None else float(state["latest_onset"])
        self.drift.load_state_dict(state["drift"])
        self.stimuli.restore(state["latents"])
        self._gains = list(state["gains"].numpy().copy())
        self.trials = from_table(state["trials"])
        self.counts = {status: sum(trial.status is status for trial in self.trials) for status in Status}
        self._layout.restore(int(state["references_shown"]), self.trials)
        self._decoded = None
        self._plan()

    def _primary(self, thread: SearchThread) -> int:
        """The recorded unit whose gain is told: the one sought, or the first."""
        names = [unit.name for unit in self.spec.units]
        return names.index(thread.aim.unit) if thread.aim.unit in names else 0

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
        """The next generation, unless all searches have ended."""
        self._untold = 0
        for thread in self.threads:
            thread.recommend()
        if self.stopped_by:
            return
        self.generation += 1
        telling = self.drift.bases[:, [self._primary(thread) for thread in self.threads]].sum(1) if self.normalises else None
        content = self._layout.content(self.threads, self.generation, self.trials, telling)
        self._first = len(self.trials)
        self.trials += planned(content, self.generation, len(self.trials) + 1, self.spec.seed)
        self._untold = len(self.trials) - self._first
        self.counts[Status.UNTOLD] += self._untold

    def _gain(self, trials: Sequence[Trial]) -> NDArray[np.float64]:
        units = len(self.spec.units)
        if not self.normalises:
            return np.ones(units)
        shown = [trial for trial in trials if trial.kind is Kind.REFERENCE and trial.status is Status.TOLD]
        references = np.array([self._reference_at[trial.stimulus] for trial in shown], dtype=np.int64)
        responses = np.array([trial.responses for trial in shown], dtype=np.float64).reshape(-1, units)
        found = self.drift.add(references, responses)
        closing = all(thread.closing or thread.stopped_by for thread in self.threads)
        return (self.drift.doubted if closing else found).copy()

    def _scores(self, trials: Sequence[Trial], gain: NDArray[np.float64], thread: SearchThread) -> list[float]:
        return scored(trials, gain, thread.search.objective, self.checked.target, self.stimuli, self.stimuli_of)

    def _score(self, trials: Sequence[Trial], gain: NDArray[np.float64]) -> None:
        """Every trial by its thread's objective, and those for all by each."""
        known: dict[str, list[float]] = {}
        for thread in self.threads:
            aim = repr(thread.aim)
            if aim not in known:
                known[aim] = self._scores(trials, gain, thread)
        rows = [known[repr(thread.aim)] for thread in self.threads]
        for at, trial in enumerate(trials):
            own = max(trial.thread, 0)
            trial.score, trial.gain = rows[own][at], float(gain[self._primary(self.threads[own])])
            if trial.thread == SHARED and len(rows) > 1:
                trial.scores = tuple(row[at] for row in rows)

    def _look(self, thread: SearchThread) -> None:
        """End the search where its recommendation beats the references beyond doubt.

        Looks share the level out, α / (k·(k + 1)) for the k-th, and threads share it equally, so that all together err in at most α of
        sessions.
        """
        level = self.spec.stop.significance / len(self.threads)
        if not level or thread.search.remeasuring or thread.stopped_by or self.generation % LOOK_EVERY:
            return
        shown = self._of(range(max(1, self.generation - LOOK_BACK + 1), self.generation + 1))
        thread.looks += 1
        beside = Measurements(shown, thread.number, self.spec.seed + thread.looks)
        comparison = beside.over(beside.of(thread.number), beside.beside(Kind.REFERENCE))
        if comparison is not None and comparison.p_value <= level / (thread.looks * (thread.looks + 1)):
            thread.search.end("significance")

    def _learn_anew(self, thread: SearchThread) -> None:
        """Let a fresh search learn from all trials so far, scored by its own objective; its own trials carry that score from now on."""
        shown = [trial for trial in self.trials if trial.status is Status.TOLD]
        known: list[Trial] = []
        scores: list[float] = []
        for generation, gain in enumerate(self._gains, 1):
            together = [trial for trial in shown if trial.generation == generation]
            for trial, score in zip(together, self._scores(together, gain, thread), strict=True):
                if trial.thread in (thread.number, SHARED):
                    self._rescore(trial, thread, score, float(gain[self._primary(thread)]))
                elif trial.kind is Kind.REFERENCE:
                    continue
                if math.isfinite(score) and trial.kind is not Kind.REFERENCE and self.stimuli.latent(trial.stimulus) is not None:
                    known.append(trial)
                    scores.append(score)
        thread.overhear(known, scores, self.stimuli)

    def _rescore(self, trial: Trial, thread: SearchThread, score: float, gain: float) -> None:
        if trial.scores:
            trial.scores = tuple(score if at == thread.number else other for at, other in enumerate(trial.scores))
        if thread.number == max(trial.thread, 0):
            trial.score, trial.gain = score, gain
