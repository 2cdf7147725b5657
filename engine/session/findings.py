"""What a session recommends, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from .evidence import Block, Comparison, compare, mean_interval
from .trials import Kind, Trial


@dataclass(frozen=True)
class Found:
    """What a thread recommends.

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
            if math.isfinite(score):
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
