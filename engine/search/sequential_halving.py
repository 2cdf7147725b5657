"""Final measurements of the leaders, so that the answer is the best of them and not the luckiest."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

MOST_LEADERS = 16
CLOSING = 0.25
"""Fraction of the measurements made on the winner after it was chosen; the reported response is their mean alone."""


@dataclass(frozen=True)
class Measured:
    """A search's answer: ``response`` is the mean of ``measurements`` fresh ones, ``sem`` its standard error (None for a single one)."""

    latent: Tensor
    response: float
    sem: float | None
    measurements: int

    @classmethod
    def open(cls, latent: Tensor) -> Measured:
        """Return an answer that is still to be measured."""
        return cls(latent, math.nan, None, 0)


class Remeasurement(Protocol):
    """Measures a search's leaders again: :class:`SequentialHalving`, or several of them."""

    @property
    def done(self) -> bool:
        """Whether all measurements were made."""
        ...

    def ask(self) -> Tensor:
        r"""Return the next latents to measure, (n, \*latent)."""
        ...

    def tell(self, scores: Tensor) -> None:
        """Receive the scores of the last ``ask``, (n,), NaN for missed trials."""
        ...

    def leading(self) -> Tensor:
        r"""Return the present answer, (\*latent)."""
        ...

    def measured(self) -> Measured | None:
        """Return the answer with its response; None before the end, or if every measurement was missed."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Return the state as nested plain data and tensors. Valid between ``tell`` and the next ``ask``."""
        ...


class SequentialHalving:
    r"""Successive halving over leaders, from fresh measurements alone.

    A candidate that leads by luck is measured again like all others, and its earlier score counts for nothing (the
    winner's curse). Rounds of equal length are divided equally among the remaining leaders, the better half of which stays, as in
    sequential halving (Karnin, Koren and Somekh, "Almost optimal exploration in multi-armed bandits", 2013). Means are shrunk towards
    the leaders' grand mean by the fraction of their spread that noise explains (empirical Bayes, normal-normal; Efron and Morris, 1975),
    which decides between leaders with different numbers of measurements. The winner is then measured with ``share`` of the budget,
    and its response is the mean of these measurements alone: they had no part in choosing it.

    Parameters
    ----------
    leaders : Tensor
        (m, \*latent) distinct, m ≥ 1; of equals the earlier wins.
    budget : int
        Number of measurements, ≥ 1; all are used. With a small budget, fewer leaders take part.
    share : float
        Fraction of the budget for the winner alone.
    """

    def __init__(self, leaders: Tensor, budget: int, share: float = CLOSING) -> None:
        closing = max(1, math.ceil(share * budget))
        entrants = min(leaders.shape[0], MOST_LEADERS)
        while entrants > 1 and (budget - closing) < 2 * entrants * _rounds(entrants):
            entrants = (entrants + 1) // 2
        self.leaders = leaders[:entrants].clone()
        self.budget = budget
        self._halving = budget - closing if entrants > 1 else 0
        self._spent = 0
        self._alive = list(range(entrants))
        self._rounds_left = _rounds(entrants)
        self._measurements: list[list[float]] = [[] for _ in range(entrants)]
        self._closing: list[float] = []
        self._winner = 0 if entrants == 1 else None
        self._rows: list[int] = []

    @property
    def done(self) -> bool:
        """Whether all measurements were made."""
        return self._spent >= self.budget

    def ask(self) -> Tensor:
        r"""Return the next latents to measure, (n, \*latent): a round of the halving, or all that remain for the winner."""
        if self._winner is not None:
            self._rows = [self._winner] * (self.budget - self._spent)
        else:
            room = (self._halving - self._spent) // self._rounds_left
            each, over = divmod(room, len(self._alive))
            self._rows = [row for at, row in enumerate(self._alive) for _ in range(each + (at < over))]
        return self.leaders[self._rows]

    def tell(self, scores: Tensor) -> None:
        """Receive the scores of the last ``ask``, (n,), NaN for missed trials."""
        closing = self._winner is not None
        for row, score in zip(self._rows, scores.tolist(), strict=True):
            if math.isfinite(score):
                (self._closing if closing else self._measurements[row]).append(score)
        self._spent += len(self._rows)
        self._rows = []
        if closing:
            return
        self._rounds_left -= 1
        shrunk = self.shrunk()
        self._alive = sorted(self._alive, key=lambda row: (-shrunk[row], row))[: -(-len(self._alive) // 2)]
        if self._rounds_left == 0:
            self._winner = min(range(len(shrunk)), key=lambda row: (-shrunk[row], row))

    def shrunk(self) -> list[float]:
        """Return each leader's mean, shrunk towards the grand mean; -inf for one without measurements."""
        groups = self._measurements
        known = [row for row, found in enumerate(groups) if found]
        means = {row: math.fsum(groups[row]) / len(groups[row]) for row in known}
        freedom = sum(len(groups[row]) - 1 for row in known)
        squares = math.fsum((score - means[row]) ** 2 for row in known for score in groups[row])
        noise = squares / freedom if freedom else 0.0
        if len(known) < 2 or noise == 0.0:
            return [means.get(row, -math.inf) for row in range(len(groups))]
        errors = {row: noise / len(groups[row]) for row in known}
        plain = math.fsum(means.values()) / len(known)
        spread = math.fsum((mean - plain) ** 2 for mean in means.values()) / (len(known) - 1) - math.fsum(errors.values()) / len(known)
        # if noise explains the whole spread, a little is left, so that the mean with more measurements still leads
        spread = max(spread, 1e-3 * noise)
        weights = {row: 1 / (spread + errors[row]) for row in known}
        grand = math.fsum(weights[row] * means[row] for row in known) / math.fsum(weights.values())
        return [grand + spread / (spread + errors[row]) * (means[row] - grand) if row in means else -math.inf for row in range(len(groups))]

    def ranked(self) -> list[Tensor]:
        r"""Return all leaders, (\*latent) each, the best first."""
        shrunk = self.shrunk()
        order = sorted(range(len(shrunk)), key=lambda row: (row != self._winner, -shrunk[row], row))
        return [self.leaders[row].clone() for row in order]

    def leading(self) -> Tensor:
        r"""Return the winner, or the present leader, (\*latent)."""
        if self._winner is not None:
            return self.leaders[self._winner].clone()
        shrunk = self.shrunk()
        return self.leaders[min(range(len(shrunk)), key=lambda row: (-shrunk[row], row))].clone()

    def measured(self) -> Measured | None:
        """Return the answer once all measurements were made; None if every measurement of the winner was missed."""
        if not self.done or self._winner is None:
            return None
        earlier = self._measurements[self._winner]
        scores = self._closing or earlier
        if not scores:
            return None
        mean = math.fsum(scores) / len(scores)
        # few closing measurements give a poor variance; the earlier ones, around their own mean, are pooled with them
        groups = [group for group in (earlier, self._closing) if group]
        freedom = sum(len(group) - 1 for group in groups)
        squares = math.fsum((score - math.fsum(group) / len(group)) ** 2 for group in groups for score in group)
        sem = math.sqrt(squares / freedom / len(scores)) if freedom else None
        return Measured(self.leading(), mean, sem, len(scores))

    def state_dict(self) -> dict[str, Any]:
        """Return the state as nested plain data and tensors. Valid between ``tell`` and the next ``ask``."""
        return {
            "leaders": self.leaders.clone(),
            "budget": self.budget,
            "halving": self._halving,
            "spent": self._spent,
            "alive": list(self._alive),
            "rounds_left": self._rounds_left,
            "measurements": [torch.tensor(found, dtype=torch.float64) for found in self._measurements],
            "closing": torch.tensor(self._closing, dtype=torch.float64),
            "winner": self._winner,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> SequentialHalving:
        """Return finals restored from ``state``."""
        finals = cls(state["leaders"], int(state["budget"]))
        finals.leaders = state["leaders"].clone()
        finals._halving = int(state["halving"])
        finals._spent = int(state["spent"])
        finals._alive = [int(row) for row in state["alive"]]
        finals._rounds_left = int(state["rounds_left"])
        finals._measurements = [found.tolist() for found in state["measurements"]]
        finals._closing = state["closing"].tolist()
        finals._winner = None if state["winner"] is None else int(state["winner"])
        return finals


def _rounds(entrants: int) -> int:
    return math.ceil(math.log2(entrants)) if entrants > 1 else 0
