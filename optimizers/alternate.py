"""Several searches of one space taking turns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from .optimizer import Evaluations, Listener, Problem, State
from .searcher import Searcher


class Alternate:
    """Members that ask in turn; whoever listens hears what the others were told.

    Parameters
    ----------
    problem : Problem
        Where it is noisy, the first member is trusted with the answer; otherwise it is the best latent that anyone was told.
    members : sequence of Searcher
        Over the same space, none of which needs gradients.
    """

    needs_gradient = False

    def __init__(self, problem: Problem, members: Sequence[Searcher]) -> None:
        self.problem = problem
        self.members = list(members)
        self._turn = 0
        self._best: Tensor | None = None
        self._best_score = float("-inf")

    def ask(self) -> Tensor:
        """The candidates of the member whose turn it is."""
        return self.members[self._turn].ask()

    def tell(self, evaluations: Evaluations) -> None:
        """Tell the one that asked, then let the others hear it."""
        self.members[self._turn].tell(evaluations)
        for number, member in enumerate(self.members):
            if number != self._turn and isinstance(member, Listener):
                member.overhear(evaluations)
        scores = evaluations.scores.nan_to_num(nan=float("-inf"))
        top = int(scores.argmax())
        if float(scores[top]) > self._best_score:
            self._best, self._best_score = evaluations.latents[top].detach().cpu().clone(), float(scores[top])
        self._turn = (self._turn + 1) % len(self.members)

    def overhear(self, evaluations: Evaluations) -> None:
        """Let all who listen hear it."""
        for member in self.members:
            if isinstance(member, Listener):
                member.overhear(evaluations)

    def recommend(self) -> Tensor:
        """The answer of the first member where the problem is noisy, otherwise the best latent told: (*latent).

        Raises
        ------
        RuntimeError
            No score was told yet.
        """
        if self._best is None:
            raise RuntimeError("nothing to recommend: no score was told yet")
        return self.members[0].recommend() if self.problem.noisy else self._best.clone()

    def state_dict(self) -> State:
        """Turn, best and the members' states."""
        return {
            "turn": self._turn,
            "best": None if self._best is None else self._best.clone(),
            "best_score": self._best_score,
            "members": [dict(member.state_dict()) for member in self.members],
        }

    def load_state_dict(self, state: State) -> None:
        """Go on from ``state``."""
        self._turn = int(state["turn"])
        self._best = None if state["best"] is None else state["best"].clone()
        self._best_score = float(state["best_score"])
        for member, own in zip(self.members, _as_list(state["members"]), strict=True):
            member.load_state_dict(own)


def _as_list(states: Any) -> list[Any]:
    return list(states)
