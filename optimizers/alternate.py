"""Several searches of one space taking turns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from torch import Tensor

from .optimizer import Evaluations, Listener, Problem, State
from .searcher import Searcher


class Alternate(Searcher):
    """Members that ask in turn; whoever listens hears what the others were told.

    Parameters
    ----------
    problem : Problem
        Where it is noisy, the first member is trusted with the answer; otherwise it is the best latent that anyone was told.
    members : sequence of Searcher
        Over the same space, none of which needs gradients.
    """

    needs_gradient: ClassVar[bool] = False

    def __init__(self, problem: Problem, members: Sequence[Searcher]) -> None:
        super().__init__(problem)
        self.members = list(members)
        self._turn = 0

    def _propose(self) -> Tensor:
        return self.members[self._turn].ask()

    def _learn(self, latents: Tensor, scores: Tensor, evaluations: Evaluations) -> None:
        self.members[self._turn].tell(evaluations)
        for number, member in enumerate(self.members):
            if number != self._turn and isinstance(member, Listener):
                member.overhear(evaluations)
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
        best = super().recommend()
        return self.members[0].recommend() if self.problem.noisy else best

    def _state(self) -> dict[str, Any]:
        return {"turn": self._turn, "members": [dict(member.state_dict()) for member in self.members]}

    def _restore(self, state: State) -> None:
        self._turn = int(state["turn"])
        for member, own in zip(self.members, state["members"], strict=True):
            member.load_state_dict(own)
