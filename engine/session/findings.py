"""What a session recommends, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...wire.arrays import tensor_fields
from .evidence import Block, Comparison, compare, mean_interval
from .record import TrialRecord
from .thread import SearchThread
from .trials import Kind, Stimuli, Trial

RECENT = 5
"""Generations that the momentary figures are about."""
LOOK_EVERY = 5
"""Generations between two looks at the significance."""
LOOK_BACK = 10
"""Generations that a look takes in."""


@dataclass(frozen=True)
class Found:
    """What a thread recommends.

    Attributes
    ----------
    latent : Tensor or None
        (*latent); None before anything was told.
    response, low, high : float
        Mean of fresh measurements that had no part in choosing it, and its 95 % interval, cut to the scores that are possible; NaN where
        unknown.
    measurements : int
        How many.
    final : bool
        Whether leaders were measured again and this is the best of them.
    over_references, over_first : Comparison or None
        Against references and first-generation stimuli that were shuffled into the same generations.
    over_threads : mapping of str to Comparison
        Against what other threads with the same aim recommend, measured in the same generations; by their names.
    """

    latent: Tensor | None
    response: float = math.nan
    low: float = math.nan
    high: float = math.nan
    measurements: int = 0
    final: bool = False
    over_references: Comparison | None = None
    over_first: Comparison | None = None
    over_threads: Mapping[str, Comparison] = field(default_factory=dict)


class Findings:
    """What the threads of a session recommend, from the trials of the last generations.

    Parameters
    ----------
    record : TrialRecord
        The trials.
    threads : sequence of SearchThread
        The searches.
    stimuli : Stimuli
        Numbers of what they recommend.
    seed : int
        Of the permutations drawn.
    """

    def __init__(self, record: TrialRecord, threads: Sequence[SearchThread], stimuli: Stimuli, seed: int) -> None:
        self._record, self._threads, self._stimuli, self._seed = record, threads, stimuli, seed

    def found(self, number: int, *, comparing: bool, ended: bool) -> Found:
        """Return what thread ``number`` recommends; ``comparing`` says how sure that is, which takes some milliseconds."""
        mine = self._threads[number]
        latent = mine.recommended
        if latent is None:
            return Found(None)
        final = mine.search.measured() is not None
        end = self._record.generation + ended
        # the answer's own figures come from the generations that measured it alone
        shown = self._record.of(range(mine.closing_from if final else max(1, end - RECENT), end))
        beside = Measurements(shown, number, self._seed)
        scores = beside.of(number, self._stimuli.number(latent) if final else None)
        mean, low, high, measurements = summary(scores)
        least, most = mine.score_bounds
        low, high = max(low, least), min(high, most)  # NaN stays NaN
        if not comparing:
            return Found(latent, mean, low, high, measurements, final)
        rivals = {}
        for other in self._threads if final else ():
            if other is not mine and other.aim == mine.aim and other.closing_from and other.recommended is not None:
                against = beside.over(scores, beside.of(other.number, self._stimuli.number(other.recommended)))
                if against is not None:
                    rivals[other.name] = against
        references, first = (beside.over(scores, beside.beside(kind)) for kind in (Kind.REFERENCE, Kind.CONTROL))
        return Found(latent, mean, low, high, measurements, final, references, first, rivals)

    def reference_mean(self, number: int) -> float:
        """Return the mean score of references over the last generations, by a thread's objective; NaN where there are none."""
        recent = self._record.of(range(max(1, self._record.generation - RECENT), self._record.generation))
        scores = [score for t in recent if t.kind is Kind.REFERENCE and not t.bad and math.isfinite(score := t.score_for(number))]
        return math.fsum(scores) / len(scores) if scores else math.nan

    def look(self, thread: SearchThread, significance: float) -> None:
        """End a search whose recommendation beats the references beyond doubt.

        Looks share the level out, α / (k·(k + 1)) for the k-th, and threads share it equally, so that all together err in at most
        ``significance`` of sessions.
        """
        level, generation = significance / len(self._threads), self._record.generation
        if not level or thread.search.remeasuring or thread.stopped_by or generation % LOOK_EVERY:
            return
        shown = self._record.of(range(max(1, generation - LOOK_BACK + 1), generation + 1))
        thread.looks += 1
        beside = Measurements(shown, thread.number, self._seed + thread.looks)
        comparison = beside.over(beside.of(thread.number), beside.beside(Kind.REFERENCE))
        if comparison is not None and comparison.p_value <= level / (thread.looks * (thread.looks + 1)):
            thread.search.end("significance")


class Measurements:
    """Fresh measurements of recommendations, and what was shown beside them, generation by generation.

    Parameters
    ----------
    trials : iterable of Trial
        Of the generations in question.
    thread : int
        Whose objective scores them.
    seed : int
        Of the permutations drawn.
    """

    def __init__(self, trials: Iterable[Trial], thread: int, seed: int) -> None:
        self._seed = seed
        self._blocks: dict[int, dict[tuple[Kind, int], list[tuple[int, float]]]] = {}
        for trial in trials:
            score = trial.score if trial.kind is Kind.REMEASURE else trial.score_for(thread)
            if math.isfinite(score) and not trial.bad:
                of = trial.thread if trial.kind is Kind.REMEASURE else -1
                self._blocks.setdefault(trial.generation, {}).setdefault((trial.kind, of), []).append((trial.stimulus, score))

    def of(self, thread: int, stimulus: int | None = None) -> list[np.ndarray]:
        """Scores of what a thread recommends, one array a generation; of one stimulus alone where it is named."""
        return self._scores(Kind.REMEASURE, thread, stimulus)

    def beside(self, kind: Kind) -> list[np.ndarray]:
        """Scores of what was shown for all threads."""
        return self._scores(kind, -1, None)

    def over(self, mine: list[np.ndarray], others: list[np.ndarray]) -> Comparison | None:
        """Compare within generations."""
        return compare([Block(*sides) for sides in zip(mine, others, strict=True)], self._seed)

    def _scores(self, kind: Kind, thread: int, stimulus: int | None) -> list[np.ndarray]:
        found = (block.get((kind, thread), ()) for block in self._blocks.values())
        return [np.array([score for of, score in shown if stimulus in (None, of)]) for shown in found]


def summary(scores: list[np.ndarray]) -> tuple[float, float, float, int]:
    """Mean, its 95 % interval, and the number of scores."""
    together = np.concatenate(scores) if scores else np.empty(0)
    return *mean_interval(together), int(together.size)


def best_latents(threads: Sequence[SearchThread], most: int) -> list[Tensor]:
    """Return the best latents of a session, (*latent) each: what its threads recommend, then their other leaders, by turns."""
    return by_turns([thread.leaders(most) for thread in threads], most)


def by_turns(lists: Sequence[Sequence[Tensor]], most: int) -> list[Tensor]:
    """Return the first of each list, then the second of each, and so on; what comes again is left out."""
    found: list[Tensor] = []
    for place in range(max(map(len, lists), default=0)):
        for latents in lists:
            if place < len(latents) and all(not torch.equal(latents[place], other) for other in found):
                found.append(latents[place])
    return found[:most]


def packed(latents: Sequence[Tensor]) -> dict[str, Any]:
    """Return latents as a session's spec keeps them; see :class:`actmax.engine.session.spec.TensorSpec`."""
    return tensor_fields(torch.stack(list(latents)).cpu().numpy())
