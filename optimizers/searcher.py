"""The common part of the built-in optimizers: a random generator, the best candidate so far, and the order of ask and tell."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor

from ..models.spaces import Box, Categorical
from .optimizer import Evaluations, Problem, State


class Searcher(ABC):
    """An optimizer that recommends the best candidate evaluated so far.

    A subclass proposes in ``_propose`` and learns in ``_learn``; its own state goes through ``_state`` and ``_restore``.

    Parameters
    ----------
    problem : Problem
        The problem to search; its bank and its starts, if given, must lie in the space.

    Raises
    ------
    ValueError
        The bank is empty or not in the space, or the starts are not.
    """

    def __init__(self, problem: Problem) -> None:
        if problem.bank is not None:
            if not len(problem.bank):
                raise ValueError("a bank needs at least one latent; give None for a blind start")
            if isinstance(problem.latent, Categorical) and problem.bank.is_floating_point():
                raise ValueError("a bank of a Categorical space holds codes, not weights")
            problem.latent.check(problem.bank)
        if problem.starts is not None:
            problem.latent.check(problem.starts)
        self.problem = problem
        self.generator = torch.Generator().manual_seed(problem.seed)
        self._best: Tensor | None = None
        self._best_score = -torch.inf
        self._asked: Tensor | None = None
        self._started = 0
        """Number of the problem's starts asked so far."""

    def ask(self) -> Tensor:
        """Return the next batch of candidates, (n, *latent). Repeated calls before ``tell`` return the same batch."""
        if self._asked is None:
            self._asked = self._propose()
        return self._asked.clone()

    def tell(self, evaluations: Evaluations) -> None:
        """Learn from the evaluations of the last ``ask``; missed trials are NaN.

        Parameters
        ----------
        evaluations : Evaluations
            One score for each candidate of the last ``ask``, in its order.

        Raises
        ------
        RuntimeError
            ``ask`` was not called since the last ``tell``.
        ValueError
            The number of scores differs from the number of candidates.
        """
        if self._asked is None:
            raise RuntimeError("tell answers an ask, and nothing was asked since the last one")
        scores = evaluations.scores.detach().to("cpu", torch.float64)
        if scores.shape != self._asked.shape[:1]:
            raise ValueError(f"{len(self._asked)} candidates were asked, got scores of shape {tuple(scores.shape)}")
        asked, self._asked = self._asked, None
        known = torch.where(scores.isnan(), -torch.inf, scores)
        winner = int(known.argmax())
        if known[winner] > self._best_score or (self._best is None and not bool(scores[winner].isnan())):
            self._best = self._hardened(asked[winner]).detach().cpu().clone()
            self._best_score = float(known[winner])
        self._learn(asked, scores, evaluations)

    def recommend(self) -> Tensor:
        """Return the best candidate evaluated so far, the earliest of equals: (*latent).

        Raises
        ------
        RuntimeError
            No score is known yet.
        """
        if self._best is None:
            raise RuntimeError("nothing to recommend: no score was told yet")
        return self._best.clone()

    def state_dict(self) -> State:
        """Return the optimizer's state as nested plain data and tensors. Valid between ``tell`` and the next ``ask``."""
        return {
            "generator": self.generator.get_state(),
            "best": None if self._best is None else self._best.clone(),
            "best_score": self._best_score,
            "started": self._started,
            "own": self._state(),
        }

    def load_state_dict(self, state: State) -> None:
        """Continue from a state of :meth:`state_dict`."""
        self.generator.set_state(state["generator"].cpu())
        self._best = None if state["best"] is None else state["best"].clone()
        self._best_score = float(state["best_score"])
        self._asked = None
        self._started = int(state.get("started", 0))
        self._restore(state["own"])

    @abstractmethod
    def _propose(self) -> Tensor:
        """Return the next batch of candidates, (n, *latent)."""

    @abstractmethod
    def _learn(self, latents: Tensor, scores: Tensor, evaluations: Evaluations) -> None:
        """Learn from ``scores``, float64 on the CPU with NaN for missed trials, of the asked ``latents``."""

    def _state(self) -> dict[str, Any]:
        return {}

    def _restore(self, state: State) -> None:
        del state

    def _hardened(self, latents: Tensor) -> Tensor:
        space = self.problem.latent
        return space.harden(latents) if isinstance(space, Categorical) else latents

    def _starts(self, n: int) -> Tensor:
        """Return ``n`` latents to start from, on the CPU: the problem's starts, then rows of the bank without repeats, or uniform draws."""
        given = self._given(n)
        if len(given):
            return torch.cat([given, self._starts(n - len(given))]) if len(given) < n else given
        space, bank = self.problem.latent, self.problem.bank
        if bank is None:
            latents = space.sample(n, self.generator)
            # rounding in float32 may exceed a bound
            return latents.clamp(space.low, space.high) if isinstance(space, Box) else latents
        rows = [torch.empty(0, dtype=torch.long)]
        while n > 0:
            rows.append(torch.randperm(len(bank), generator=self.generator)[:n])
            n -= len(rows[-1])
        return bank.cpu()[torch.cat(rows)]

    def _given(self, n: int) -> Tensor:
        """Return the next of the problem's starts, at most ``n``, on the CPU; none when all have been asked."""
        starts = self.problem.starts
        if starts is None:
            return torch.empty(0)
        found = starts[self._started : self._started + n].cpu()
        self._started += len(found)
        return found
