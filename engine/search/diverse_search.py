"""A search for a diverse set of optima, each with a response of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from .distance import LatentDistance
from .diverse import Diverse
from .finals import MOST_LEADERS, Finals, Measured
from .search import Search

MOST_RIVALS = 4 * MOST_LEADERS
"""More than take part: some turn out to be too near to a winner."""


class DiverseSearch(Search):
    """A :class:`Search` whose optimizer is a :class:`Diverse`.

    Its plateau is that of a stage, and each of its optima is measured again with an equal part of what the design keeps back: against
    other leaders of its stage that are far enough from all other optima.
    """

    optimizer: Diverse

    def answers(self) -> list[Measured]:
        """The optima, highest score of the search first; measured or open."""
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
        """One of ``optima`` and the other candidates of the stage that found it which lie far enough from all other optima."""
        measure, distance = self.optimizer.measure, self.optimizer.distance
        own, others = optima[number : number + 1], torch.cat([optima[:number], optima[number + 1 :]])
        pools = [leaders.ranked()[0].to(own) for leaders in self.optimizer.kept if len(leaders)]
        # the stage that asked it; an answer that no stage keeps has no rivals but those of the last
        pool = next((pool for pool in pools if bool((pool == own).flatten(1).all(1).any())), pools[-1])
        pool = pool[(pool != own).flatten(1).any(1)]
        if len(others) and len(pool):
            pool = pool[measure(pool, others).min(1).values >= distance]
        return torch.cat([own, pool[:MOST_RIVALS]])

    def _restored_finals(self, state: Mapping[str, Any]) -> FinalsInTurn:
        return FinalsInTurn.from_state(state, self.optimizer.distance, self.optimizer.measure)


class FinalsInTurn:
    """:class:`Finals` for one optimum after the other, each with leaders that are far enough from the winners before.

    Parameters
    ----------
    turns : sequence of (Tensor, int)
        Leaders of each optimum, (m, *latent), itself first, and its number of measurements. The leaders of each must be at least
        ``distance`` from the first of every other, so that each can win whoever wins the others.
    distance : float
        Least between two winners.
    measure : LatentDistance
        In its unit.
    """

    def __init__(self, turns: Sequence[tuple[Tensor, int]], distance: float, measure: LatentDistance) -> None:
        self._turns = list(turns)
        self._distance = distance
        self._measure = measure
        self._played: list[Finals | None] = []
        """One a turn begun; None where nothing is left to measure it with."""
        self._next()

    @property
    def done(self) -> bool:
        """Whether all measurements were made."""
        return all(finals is None or finals.done for finals in self._played)

    def ask(self) -> Tensor:
        """What to measure now, (n, *latent)."""
        return self._running.ask()

    def tell(self, scores: Tensor) -> None:
        """Scores of the last ``ask``, (n,), NaN where missed."""
        self._running.tell(scores)
        if self._running.done:
            self._next()

    def leading(self) -> Tensor:
        """The first optimum."""
        return self.answers()[0].latent

    def measured(self) -> Measured | None:
        """The first optimum with its response, where it was measured."""
        first = self.answers()[0]
        return first if first.measurements else None

    def answers(self) -> list[Measured]:
        """One a turn, in their order; those not measured, or missed each time, are open."""
        found: list[Measured] = []
        for number, (leaders, _) in enumerate(self._turns):
            finals = self._played[number] if number < len(self._played) else None
            measured = None if finals is None else finals.measured()
            found.append(measured or Measured.open(leaders[0] if finals is None else finals.leading()))
        return found

    @property
    def _running(self) -> Finals:
        finals = self._played[-1]
        assert finals is not None  # whoever asks has seen that it is not done
        return finals

    def _next(self) -> None:
        while len(self._played) < len(self._turns):
            leaders, budget = self._turns[len(self._played)]
            winners = [finals.leading() for finals in self._played if finals is not None]
            if winners:
                apart = self._measure(leaders, torch.stack(winners)).min(1).values >= self._distance
                apart[0] = True
                leaders = leaders[apart]
            self._played.append(Finals(leaders, budget) if budget else None)
            if budget:
                return

    def state_dict(self) -> dict[str, Any]:
        """All that it needs to go on, between ``tell`` and ``ask``."""
        return {
            "turns": [{"leaders": leaders.clone(), "budget": budget} for leaders, budget in self._turns],
            "played": [None if finals is None else finals.state_dict() for finals in self._played],
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any], distance: float, measure: LatentDistance) -> FinalsInTurn:
        """Go on from ``state``."""
        finals = cls([(turn["leaders"].clone(), int(turn["budget"])) for turn in state["turns"]], distance, measure)
        finals._played = [None if played is None else Finals.from_state(played) for played in state["played"]]
        return finals


def _shares(total: int, n: int) -> list[int]:
    each, over = divmod(total, n)
    return [each + (number < over) for number in range(n)]
