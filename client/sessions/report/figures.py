"""The numbers of a session's report, from all its trials."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..trials import Trials

# Generations that the gallery shows the best of, leaders, and references.
_GENERATIONS, _LEADERS, _REFERENCES = 12, 6, 12


@dataclass(frozen=True)
class Mean:
    """Of measurements: their mean, its standard error (NaN for one alone), and how many."""

    value: float
    sem: float
    n: int

    @classmethod
    def of(cls, values: NDArray[np.float64]) -> Mean:
        """Of those that are numbers."""
        known = values[np.isfinite(values)]
        if not known.size:
            return cls(math.nan, math.nan, 0)
        return cls(float(known.mean()), float(known.std(ddof=1) / math.sqrt(known.size)) if known.size > 1 else math.nan, int(known.size))


@dataclass(frozen=True)
class GenerationFigures:
    """One generation: scores of candidates, references and leaders (the recommended so far), the best candidate's, and the gain."""

    number: int
    candidates: Mean
    references: Mean
    leaders: Mean
    best: float
    gain: float


@dataclass(frozen=True)
class Shown:
    """One stimulus of the gallery.

    Attributes
    ----------
    stimulus : int
        Its number in the session.
    group : str
        "best", "leader" or "reference".
    generation : int
        In which it was shown first.
    told : Mean
        Score; of "best" what it was chosen by, so its expectation is lower.
    again : Mean
        Score of measurements that had no part in choosing it.
    """

    stimulus: int
    group: str
    generation: int
    told: Mean
    again: Mean


@dataclass(frozen=True)
class Figures:
    """All of it.

    Attributes
    ----------
    generations : list of GenerationFigures
        In order, those with responses.
    gallery : list of Shown
        Best of a dozen generations, the leaders, the references.
    side_by_side : dict of str to ndarray
        Scores of the generations at the end that have controls, all kinds shuffled into each other: "recommended", "references",
        "first generation".
    """

    generations: list[GenerationFigures]
    gallery: list[Shown]
    side_by_side: dict[str, NDArray[np.float64]]


def figures(trials: Trials) -> Figures:
    """Of all trials of a session; scores are what the optimizer was told, with drift normalised out where the session does that."""
    kinds = np.array(trials.kind, dtype=object)
    told = np.array([status == "told" for status in trials.status], dtype=bool) & np.isfinite(trials.score)
    searched = told & np.isin(kinds, ["candidate", "replicate"])
    rows = [_generation(trials, kinds, told, searched, number) for number in sorted(set(trials.generation[told].tolist()))]
    last = np.isin(trials.generation, trials.generation[kinds == "control"])
    last &= np.isin(trials.generation, trials.generation[kinds == "remeasure"])
    beside: dict[str, NDArray[np.float64]] = {}
    if (told & last).any():
        for name, kind in (("recommended", "remeasure"), ("references", "reference"), ("first generation", "control")):
            beside[name] = trials.score[told & last & (kinds == kind)]
    gallery = [
        *_best(trials, kinds, told, searched),
        *_ranked(trials, told & (kinds == "remeasure"), "leader", _LEADERS),
        *_ranked(trials, told & (kinds == "reference"), "reference", _REFERENCES),
    ]
    return Figures(rows, gallery, beside)


def _generation(
    trials: Trials, kinds: NDArray[np.object_], told: NDArray[np.bool_], searched: NDArray[np.bool_], number: int
) -> GenerationFigures:
    here = trials.generation == number
    candidates = trials.score[searched & here]
    gains = trials.gain[told & here]
    return GenerationFigures(
        number,
        Mean.of(candidates),
        Mean.of(trials.score[told & here & (kinds == "reference")]),
        Mean.of(trials.score[told & here & (kinds == "remeasure")]),
        float(candidates.max()) if candidates.size else math.nan,
        float(gains[-1]) if gains.size else math.nan,
    )


def _best(trials: Trials, kinds: NDArray[np.object_], told: NDArray[np.bool_], searched: NDArray[np.bool_]) -> Iterable[Shown]:
    numbers = np.unique(trials.generation[searched])
    picked = numbers[np.unique(np.linspace(0, len(numbers) - 1, min(_GENERATIONS, len(numbers))).round().astype(int))]
    for number in picked.tolist():
        here = searched & (trials.generation == number)
        means = {stimulus: Mean.of(trials.score[here & (trials.stimulus == stimulus)]) for stimulus in set(trials.stimulus[here].tolist())}
        best = max(means, key=lambda stimulus: means[stimulus].value)
        again = Mean.of(trials.score[told & (kinds == "remeasure") & (trials.stimulus == best)])
        yield Shown(best, "best", number, means[best], again)


def _ranked(trials: Trials, which: NDArray[np.bool_], group: str, most: int) -> list[Shown]:
    """By mean score, the highest first; leaders by how often they were measured, as each halving drops the weaker half."""
    found = []
    for stimulus in set(trials.stimulus[which].tolist()):
        measured = Mean.of(trials.score[which & (trials.stimulus == stimulus)])
        found.append(Shown(stimulus, group, int(trials.generation[trials.stimulus == stimulus].min()), measured, measured))
    if group == "leader":
        return sorted(found, key=lambda shown: (-shown.told.n, -shown.told.value))[:most]
    return sorted(found, key=lambda shown: -shown.told.value)[:most]
