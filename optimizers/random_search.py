"""Random search, the baseline: the best of n natural latents."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from ..models.options import OptionsModel
from .optimizer import Evaluations, Problem, State
from .searcher import Searcher


class RandomSearch(Searcher):
    """Random search: the best of n natural latents, or of n uniform draws where it starts blind.

    The search asks the whole bank in random order before it asks any latent again, then in a new order. Baseline of
    Bergstra and Bengio, "Random search for hyper-parameter optimization", 2012.

    Parameters
    ----------
    problem : Problem
        Any space, with or without a bank.
    options : RandomSearch.Options
    """

    class Options(OptionsModel):
        """Options of random search."""

        batch: int = Field(default=64, ge=1, le=100_000, description="Candidates an ask.")

    needs_gradient: ClassVar[bool] = False

    def __init__(self, problem: Problem, options: Options) -> None:
        super().__init__(problem)
        self.options = options
        self._order = torch.empty(0, dtype=torch.long)
        """Rows of the bank still to be asked in this order."""

    def _propose(self) -> Tensor:
        bank = self.problem.bank
        if bank is None:
            return self._starts(self.options.batch)
        given = self._given(self.options.batch)
        n = self.options.batch - len(given)
        while len(self._order) < n:
            self._order = torch.cat([self._order, torch.randperm(len(bank), generator=self.generator)])
        rows, self._order = self._order.split([n, len(self._order) - n])
        return torch.cat([given, bank.cpu()[rows]]) if len(given) else bank.cpu()[rows]

    def _learn(self, latents: Tensor, scores: Tensor, evaluations: Evaluations) -> None:
        """Do nothing: the base class keeps the best candidate."""

    def _state(self) -> dict[str, Any]:
        return {"order": self._order.clone()}

    def _restore(self, state: State) -> None:
        self._order = state["order"].clone()
