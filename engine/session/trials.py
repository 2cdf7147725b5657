"""The trials of a session: what was to be shown, and what was told of it."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
import torch
from torch import Tensor

SHARED = -1
"""Thread of trials that are shown for all threads: references and controls."""


class Kind(IntEnum):
    """Why a trial is shown; numbered as ``actmax.v1.TrialKind``."""

    CANDIDATE = 1
    REPLICATE = 2
    REFERENCE = 3
    REMEASURE = 4
    CONTROL = 5


class Status(IntEnum):
    """What is known of a trial; a late one was told after its generation had ended, and the optimizer never learns of it."""

    UNTOLD = 0
    TOLD = 1
    MISSED = 2
    LATE = 3


@dataclass(slots=True)
class Trial:
    """One presentation.

    Attributes
    ----------
    number : int
        From 1, in the order of presentation.
    generation : int
        From 1.
    kind : Kind
        Why it is shown.
    stimulus : int
        The same for the same stimulus throughout the session.
    row : int
        Place in what the search asked; -1 for trials that the search did not ask.
    replicate : int
        Counted from 0 among the showings of its candidate.
    thread : int
        Whose search it is for; -1 where it is for all.
    status : Status
        What is known of it.
    skipped : bool
        It was taken as missed since its generation was ended, not because the rig said so.
    responses : tuple of float
        One a unit, NaN where that unit did not answer; empty where untold or missed.
    onset, offset : float
        On the rig's clock, in seconds; NaN where not told.
    clock : int
        Which of the rig's clocks, from 1; the next begins with each restart that the rig declares.
    bad : bool
        The experimenter takes it for bad: no figure counts it.
    told : int
        When, in microseconds since 1970 by the server's clock; 0 where untold.
    score, gain : float
        Normalised score by its thread's objective (of a trial for all, the first thread's), and the gain by which it was; NaN and 1 where
        there is none.
    scores : tuple of float
        Of a trial for all, the score by each thread's objective; empty where there is one thread.
    """

    number: int
    generation: int
    kind: Kind
    stimulus: int
    row: int
    replicate: int
    thread: int = 0
    status: Status = Status.UNTOLD
    skipped: bool = False
    responses: tuple[float, ...] = ()
    onset: float = math.nan
    offset: float = math.nan
    told: int = 0
    score: float = math.nan
    gain: float = 1.0
    scores: tuple[float, ...] = ()
    clock: int = 1
    bad: bool = False

    def score_for(self, thread: int) -> float:
        """Its score by a thread's objective; NaN where it is another thread's."""
        if self.scores:
            return self.scores[thread]
        return self.score if self.thread in (thread, SHARED) else math.nan


@dataclass(frozen=True, slots=True)
class TrialResponse:
    """The response of a rig to one trial.

    Attributes
    ----------
    trial : int
        Number of the trial.
    responses : tuple of float
        One for each unit, NaN where that unit did not answer; empty where the trial was missed.
    missed : bool
        Whether the trial was missed.
    onset, offset : float
        Seconds on the rig's clock, NaN where not known.
    """

    trial: int
    responses: tuple[float, ...] = ()
    missed: bool = False
    onset: float = math.nan
    offset: float = math.nan

    def same(self, trial: Trial) -> bool:
        """Return whether ``trial`` has this very response already."""
        known = trial.responses if trial.status in (Status.TOLD, Status.LATE) else ()
        if len(self.responses) != len(known) or not all(map(_same, self.responses, known)):
            return False
        return _same(self.onset, trial.onset) and _same(self.offset, trial.offset)


def _same(one: float, other: float) -> bool:
    return one == other or (math.isnan(one) and math.isnan(other))


class Stimuli:
    """The distinct stimuli of a session: latents, after the pictures of the rig's own."""

    def __init__(self, pictures: int) -> None:
        self.pictures = pictures
        self._latents: list[Tensor] = []
        self._numbers: dict[bytes, int] = {}

    def __len__(self) -> int:
        """How many there are."""
        return self.pictures + len(self._latents)

    def number(self, latent: Tensor) -> int:
        """Of the stimulus of this latent, (*latent), a new one where it is new."""
        return self.numbers(latent[None])[0]

    def numbers(self, latents: Tensor) -> list[int]:
        """Of the stimuli of latents, (n, *latent)."""
        kept = latents.detach().cpu().contiguous().clone()
        found: list[int] = []
        for latent, row in zip(kept, kept.numpy(), strict=True):
            key = row.tobytes()
            number = self._numbers.get(key)
            if number is None:
                number = self._numbers[key] = self.pictures + len(self._latents)
                self._latents.append(latent)
            found.append(number)
        return found

    def latent(self, number: int) -> Tensor | None:
        """(*latent), or None for a picture."""
        return None if number < self.pictures else self._latents[number - self.pictures]

    def latents(self) -> Tensor | None:
        """(k, *latent) in the order of their numbers."""
        return torch.stack(self._latents) if self._latents else None

    def restore(self, latents: Tensor | None) -> None:
        """Take those of ``latents`` in the place of all."""
        self._latents, self._numbers = [], {}
        if latents is not None:
            self.numbers(latents)


def table(trials: Sequence[Trial], units: int) -> dict[str, Any]:
    """Trials as tensors, for snapshots."""
    threads = max((len(trial.scores) for trial in trials), default=0)
    unknown, unscored = (math.nan,) * units, (math.nan,) * threads
    responses = np.array([trial.responses or unknown for trial in trials], dtype=np.float64).reshape(len(trials), units)
    scores = np.array([trial.scores or unscored for trial in trials], dtype=np.float64).reshape(len(trials), threads)
    whole = [(t.generation, t.kind, t.stimulus, t.row, t.replicate, t.thread, t.status, t.skipped, t.told) for t in trials]
    real = [(t.onset, t.offset, t.score, t.gain) for t in trials]
    return {
        "whole": torch.tensor(whole, dtype=torch.int64).reshape(-1, 9),
        "real": torch.tensor(real, dtype=torch.float64).reshape(-1, 4),
        "responses": torch.from_numpy(responses),
        "scores": torch.from_numpy(scores),
        "bad": torch.tensor([t.number for t in trials if t.bad], dtype=torch.int64),
        "clocks": torch.tensor([t.clock for t in trials], dtype=torch.int64),
    }


def from_table(state: dict[str, Any]) -> list[Trial]:
    """Trials of a snapshot."""
    count = len(state["whole"])
    clocks = state["clocks"].tolist() if "clocks" in state else [1] * count
    # column by column and by NumPy: a list a trial takes several times as long
    generation, kind, stimulus, row, replicate, thread, status, skipped, time = (each.tolist() for each in state["whole"].numpy().T)
    onset, offset, score, gain = (each.tolist() for each in state["real"].numpy().T)
    responses, scores = (list(zip(*(each.tolist() for each in state[name].numpy().T), strict=True)) for name in ("responses", "scores"))
    kinds, statuses, told = {int(kind): kind for kind in Kind}, {int(status): status for status in Status}, (Status.TOLD, Status.LATE)
    bad = set(state["bad"].tolist()) if "bad" in state else set[int]()
    return [
        Trial(
            at + 1,
            generation[at],
            kinds[kind[at]],
            stimulus[at],
            row[at],
            replicate[at],
            thread[at],
            statuses[status[at]],
            bool(skipped[at]),
            responses[at] if status[at] in told else (),
            onset[at],
            offset[at],
            time[at],
            score[at],
            gain[at],
            scores[at] if scores and thread[at] == SHARED else (),
            clocks[at],
            at + 1 in bad,
        )
        for at in range(count)
    ]


def digest(trials: Iterable[Trial], stimuli: Stimuli) -> str:
    """Of a generation as it was planned: a replay that plans another one is found out."""
    found = hashlib.sha256()
    for trial in trials:
        of = f" {trial.thread}" if trial.thread > 0 else ""
        found.update(f"{trial.number} {trial.kind} {trial.stimulus} {trial.row}{of};".encode())
        latent = stimuli.latent(trial.stimulus)
        if latent is not None:
            found.update(latent.contiguous().numpy().tobytes())
    return found.hexdigest()[:32]
