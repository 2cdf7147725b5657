"""Trials scored by an objective, responses divided by the units' gain."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ...models.objectives.objective import LATENT, OFFERED, STIMULUS, Objective
from ..errors import InvalidJob
from .checked import CheckedSession
from .decoding import Screen
from .drift import Drift
from .thread import SearchThread
from .trials import SHARED, Kind, Status, Stimuli, Trial

UNITS_AT_ONCE = 64
"""Units tried at once, to see which of them an objective reads."""


class Scorer:
    """Scores a session's trials, generation by generation, and follows the gain of its units.

    Parameters
    ----------
    checked : CheckedSession
        The session.
    stimuli : Stimuli
        Has the latents of its trials.
    screen : Screen
        Decodes them, for objectives that read stimuli.
    references : sequence of int
        Numbers of the reference stimuli.

    Attributes
    ----------
    drift : Drift
        The gain of each unit, as the references tell it.
    normalises : bool
        Whether scores are responses divided by the gain.
    """

    def __init__(self, checked: CheckedSession, stimuli: Stimuli, screen: Screen, references: Sequence[int]) -> None:
        units, asked = checked.spec.units, checked.spec.design.normalise
        self._checked, self._stimuli, self._screen = checked, stimuli, screen
        self._reference_at = {stimulus: at for at, stimulus in enumerate(references)}
        self._names = [unit.name for unit in units]
        self._gains: list[NDArray[np.float64]] = []
        self._sums, self._counts = np.zeros(len(units)), np.zeros(len(units))
        self._reads: dict[int, tuple[Objective, NDArray[np.bool_]]] = {}
        self.drift = Drift(checked.reference_count, len(units), [unit.kind == "count" for unit in units])
        signed = any(unit.kind == "signed" for unit in units)
        self.normalises = bool(checked.references_shown) and not signed if asked is None else asked

    def gain(self, thread: SearchThread) -> float:
        """Return the present gain of the unit that a thread seeks, relative to the beginning."""
        return float(self.drift.gain[self._primary(thread)])

    def telling(self, threads: Sequence[SearchThread]) -> NDArray[np.float64] | None:
        """Return how much each reference tells of the gain of the units sought, (references,); None where none has to."""
        return self.drift.bases[:, [self._primary(thread) for thread in threads]].sum(1) if self.normalises else None

    def score(self, trials: Sequence[Trial], threads: Sequence[SearchThread]) -> None:
        """Score a complete generation: every trial by its thread's objective, and those for all threads by each."""
        gain = self._gain(trials, threads)
        self._gains.append(gain)
        self._count(trials, gain)
        known: dict[str, list[float]] = {}
        for thread in threads:
            aim = repr(thread.aim)
            if aim not in known:
                known[aim] = self._scores(trials, gain, thread.search.objective)
        rows = [known[repr(thread.aim)] for thread in threads]
        for at, trial in enumerate(trials):
            own = max(trial.thread, 0)
            trial.score, trial.gain = rows[own][at], float(gain[self._primary(threads[own])])
            if trial.thread == SHARED and len(rows) > 1:
                trial.scores = tuple(row[at] for row in rows)

    def learn_anew(self, thread: SearchThread, trials: Sequence[Trial]) -> None:
        """Let a fresh search learn from all trials so far, scored by its own objective; its own trials carry that score from now on."""
        shown = [trial for trial in trials if _counts(trial)]
        known: list[Trial] = []
        scores: list[float] = []
        for generation, gain in enumerate(self._gains, 1):
            together = [trial for trial in shown if trial.generation == generation]
            for trial, score in zip(together, self._scores(together, gain, thread.search.objective), strict=True):
                if trial.thread in (thread.number, SHARED):
                    _rescore(trial, thread.number, score, float(gain[self._primary(thread)]))
                elif trial.kind is Kind.REFERENCE:
                    continue
                if math.isfinite(score) and trial.kind is not Kind.REFERENCE and self._stimuli.latent(trial.stimulus) is not None:
                    known.append(trial)
                    scores.append(score)
        thread.observe(known, scores, self._stimuli)

    def state_dict(self) -> dict[str, Any]:
        """Return its part of the session's state, between two generations."""
        gains = torch.from_numpy(np.array(self._gains).reshape(-1, len(self._names)))
        return {"drift": self.drift.state_dict(), "gains": gains, "answers": torch.from_numpy(np.array([self._sums, self._counts]))}

    def load_state_dict(self, state: Mapping[str, Any], trials: Sequence[Trial]) -> None:
        """Go on from the session's state, after ``trials``."""
        self.drift.load_state_dict(state["drift"])
        self._gains = list(state["gains"].numpy().copy())
        if "answers" in state:
            self._sums, self._counts = state["answers"].numpy().copy()
            return
        generations: dict[int, list[Trial]] = {}
        for trial in trials:
            generations.setdefault(trial.generation, []).append(trial)
        for generation, gain in enumerate(self._gains, 1):
            self._count(generations[generation], gain)

    def _primary(self, thread: SearchThread) -> int:
        """The recorded unit whose gain is told: the one sought, or the first."""
        return self._names.index(thread.aim.unit) if thread.aim.unit in self._names else 0

    def _gain(self, trials: Sequence[Trial], threads: Sequence[SearchThread]) -> NDArray[np.float64]:
        if not self.normalises:
            return np.ones(len(self._names))
        shown = [trial for trial in trials if trial.kind is Kind.REFERENCE and _counts(trial)]
        references = np.array([self._reference_at[trial.stimulus] for trial in shown], dtype=np.int64)
        responses = np.array([trial.responses for trial in shown], dtype=np.float64).reshape(-1, len(self._names))
        found = self.drift.add(references, responses)
        closing = all(thread.closing or thread.stopped_by for thread in threads)
        return (self.drift.doubted if closing else found).copy()

    def _count(self, trials: Sequence[Trial], gain: NDArray[np.float64]) -> None:
        """Take a generation into the mean responses of all units."""
        told = _told(trials).reshape(-1, len(gain)) / gain
        self._sums += np.where(np.isnan(told), 0.0, told).sum(0)
        self._counts += (~np.isnan(told)).sum(0)

    def _completed(self, values: NDArray[np.float64], objective: Objective) -> NDArray[np.float64]:
        """``values``, (n, units), with each missing response in the place of which an objective can do with the unit's mean so far.

        It can where another unit that it reads did answer. A unit that has never answered counts as 0: of a sum or a mean it is left out.
        """
        if id(objective) not in self._reads:
            self._reads[id(objective)] = (objective, self._read_by(objective))
        read, missing = self._reads[id(objective)][1], np.isnan(values)
        helped = missing & (~missing & read).any(1, keepdims=True)
        return np.where(helped, self._sums / np.maximum(self._counts, 1.0), values)

    def _read_by(self, objective: Objective) -> NDArray[np.bool_]:
        """Which units an objective reads, (units,): those that alone make its score NaN when they are."""
        units, made = len(self._names), self._checked.decoder
        found = np.zeros(units, bool)
        draws = torch.Generator().manual_seed(0)
        for start in range(0, units, UNITS_AT_ONCE):
            part = np.arange(start, min(start + UNITS_AT_ONCE, units))
            asked = np.ones((len(part), units))
            asked[np.arange(len(part)), part] = np.nan
            responses = self._checked.target.responses(asked)
            if STIMULUS in objective.layers:
                share = torch.rand(len(part), *made.stimulus.shape, generator=draws, dtype=torch.float64)
                responses[STIMULUS] = made.stimulus.low + (made.stimulus.high - made.stimulus.low) * share
            if LATENT in objective.layers:
                responses[LATENT] = made.latent.sample(len(part), draws)
            with torch.no_grad():
                found[part] = objective(responses).isnan().numpy()
        return found

    def _scores(self, trials: Sequence[Trial], gain: NDArray[np.float64], objective: Objective) -> list[float]:
        """The score of each trial of a generation, responses divided by ``gain``, (units,); NaN where it was not told in time."""
        found = [math.nan] * len(trials)
        rows = [row for row, trial in enumerate(trials) if _counts(trial)]
        if not rows:
            return found
        told = [trials[row] for row in rows]
        values = np.array([trial.responses for trial in told]) / gain
        if np.isnan(values).any():
            values = self._completed(values, objective)
        responses = self._checked.target.responses(values)
        offered = objective.layers & OFFERED
        if STIMULUS in offered:
            responses[STIMULUS] = self._screen.of(trials)[rows].double()
        if LATENT in offered:
            latents = [self._stimuli.latent(trial.stimulus) for trial in told]
            if any(latent is None for latent in latents):
                raise InvalidJob.at("objective", "it reads latents, and references of the rig's own have none")
            responses[LATENT] = torch.stack([latent for latent in latents if latent is not None])
        with torch.no_grad():
            scores = objective(responses).double().tolist()
        for row, score in zip(rows, scores, strict=True):
            found[row] = score
        return found


def _counts(trial: Trial) -> bool:
    return trial.status is Status.TOLD and not trial.bad


def _told(trials: Sequence[Trial]) -> NDArray[np.float64]:
    return np.array([trial.responses for trial in trials if _counts(trial)], dtype=np.float64)


def _rescore(trial: Trial, thread: int, score: float, gain: float) -> None:
    if trial.scores:
        trial.scores = tuple(score if at == thread else other for at, other in enumerate(trial.scores))
    if thread == max(trial.thread, 0):
        trial.score, trial.gain = score, gain
