"""A search for a diverse set of optima, each with its own response."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from .distance import LatentDistance
from .search import Search
from .sequential_halving import MOST_LEADERS, Measured, SequentialHalving
from .sequential_niching import SequentialNiching

MOST_RIVALS = 4 * MOST_LEADERS
"""Rivals of an optimum; more than take part, since some turn out to be too near to a winner."""


class DiverseSearch(Search):
    """A :class:`Search` whose optimizer is a :class:`SequentialNiching`.

    Its plateau is that of a stage. Each optimum is measured again with an equal part of the reserved evaluations, against
    other leaders of its stage that are far enough from all other optima.
    """

    optimizer: SequentialNiching

    def answers(self) -> list[Measured]:
        """Return the optima, highest score of the search first; measured or open."""
        if isinstance(self._finals, FinalsInTurn):
            return self._finals.answers()
        return [Measured.open(latent) for latent in self.optimizer.optima()]

    @property
    def _stalled(self) -> bool:
        return self.optimizer.stalled

    def _begin_finals(self, again: int) -> FinalsInTurn:
        optima = self.optimizer.optima()
        turns = [(self._rivals(optima, number), budget) for number, budget in enumerate(_shares(again, len(optima)))]
        return FinalsInTurn(turns, self.optimizer.distance, self.optimizer.measure)

    def _rivals(self, optima: Tensor, number: int) -> Tensor:
        """Return one of ``optima``, and the other candidates of its stage that are far enough from all other optima."""
        measure, distance = self.optimizer.measure, self.optimizer.distance
        own, others = optima[number : number + 1], torch.cat([optima[:number], optima[number + 1 :]])
        pools = [leaders.ranked()[0].to(own) for leaders in self.optimizer.kept if len(leaders)]
        # the stage that asked for the optimum; an answer that no stage keeps has the rivals of the last stage
        pool = next((pool for pool in pools if bool((pool == own).flatten(1).all(1).any())), pools[-1])
        pool = pool[(pool != own).flatten(1).any(1)]
        if len(others) and len(pool):
            pool = pool[measure(pool, others).min(1).values >= distance]
        return torch.cat([own, pool[:MOST_RIVALS]])

    def _restored_finals(self, state: Mapping[str, Any]) -> FinalsInTurn:
        return FinalsInTurn.from_state(state, self.optimizer.distance, self.optimizer.measure)


class FinalsInTurn:
    r""":class:`SequentialHalving` for one optimum after another, each with leaders that are far enough from the earlier winners.

    Parameters
    ----------
    turns : sequence of (Tensor, int)
        Leaders of each optimum, (m, \*latent), itself first, and its number of measurements. The leaders of each must be at least
        ``distance`` from the first of every other, so that each optimum can win, whichever leaders win the others.
    distance : float
        Least distance between two winners.
    measure : LatentDistance
        The distance.
    """

    def __init__(self, turns: Sequence[tuple[Tensor, int]], distance: float, measure: LatentDistance) -> None:
        self._turns = list(turns)
        self._distance = distance
        self._measure = measure
        self._played: list[SequentialHalving | None] = []
        """SequentialHalving of every turn begun; None without measurements for it."""
        self._next()

    @property
    def done(self) -> bool:
        """Whether all measurements were made."""
        return all(finals is None or finals.done for finals in self._played)

    def ask(self) -> Tensor:
        r"""Return the next latents to measure, (n, \*latent)."""
        return self._running.ask()

    def tell(self, scores: Tensor) -> None:
        """Receive the scores of the last ``ask``, (n,), NaN for missed trials."""
        self._running.tell(scores)
        if self._running.done:
            self._next()

    def leading(self) -> Tensor:
        r"""Return the first optimum, (\*latent)."""
        return self.answers()[0].latent

    def measured(self) -> Measured | None:
        """Return the first optimum with its response; None if it was not measured."""
        first = self.answers()[0]
        return first if first.measurements else None

    def answers(self) -> list[Measured]:
        """Return an answer for each turn, in their order; open if it was not measured, or always missed."""
        found: list[Measured] = []
        for number, (leaders, _) in enumerate(self._turns):
            finals = self._played[number] if number < len(self._played) else None
            measured = None if finals is None else finals.measured()
            found.append(measured or Measured.open(leaders[0] if finals is None else finals.leading()))
        return found

    @property
    def _running(self) -> SequentialHalving:
        finals = self._played[-1]
        assert finals is not None  # ask and tell are called only while not done
        return finals

    def _next(self) -> None:
        while len(self._played) < len(self._turns):
            leaders, budget = self._turns[len(self._played)]
            winners = [finals.leading() for finals in self._played if finals is not None]
            if winners:
                apart = self._measure(leaders, torch.stack(winners)).min(1).values >= self._distance
                apart[0] = True
                leaders = leaders[apart]
            self._played.append(SequentialHalving(leaders, budget) if budget else None)
            if budget:
                return

    def state_dict(self) -> dict[str, Any]:
        """Return the state as nested plain data and tensors. Valid between ``tell`` and the next ``ask``."""
        return {
            "turns": [{"leaders": leaders.clone(), "budget": budget} for leaders, budget in self._turns],
            "played": [None if finals is None else finals.state_dict() for finals in self._played],
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any], distance: float, measure: LatentDistance) -> FinalsInTurn:
        """Return finals restored from ``state``, with ``distance`` and ``measure`` as in the constructor."""
        finals = cls([(turn["leaders"].clone(), int(turn["budget"])) for turn in state["turns"]], distance, measure)
        finals._played = [None if played is None else SequentialHalving.from_state(played) for played in state["played"]]
        return finals


def _shares(total: int, n: int) -> list[int]:
    each, over = divmod(total, n)
    return [each + (number < over) for number in range(n)]
