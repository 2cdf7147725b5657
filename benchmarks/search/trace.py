"""What one run of one method leaves: how many evaluations, what was found when, and where the time went."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from actmax.models.spaces import Categorical

from .problems import SearchProblem, derived_seed

SHARES = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0)


class Spent(Exception):
    """The budget is used up: the way out of a package that doesn't know of budgets."""


class Trace:
    """Evaluates for one run, never more than ``budget`` candidates, and keeps its curve.

    Without noise the curve is the best clean response so far, at the very evaluation. With noise it is the clean response of what the
    method recommended when that many candidates were told: its own recommendation where it has one, else the candidate that scored best.

    Parameters
    ----------
    problem : SearchProblem
    seed : int
        Of the noise.
    budget : int
        Evaluations.
    """

    def __init__(self, problem: SearchProblem, seed: int, budget: int) -> None:
        self.problem = problem
        self.budget = budget
        self.evaluations = 0
        self.scoring_seconds = 0.0
        self.counts = sorted({max(1, round(budget * share)) for share in SHARES})
        self.curve: list[float | None] = []
        self.improvements: list[tuple[int, float]] = []
        """Evaluation and clean response of each candidate that scored better than all before."""
        self.best: Tensor | None = None
        """The candidate that scored best."""
        self.best_told = -np.inf
        self._recommended: float | None = None
        self._recommendation: Tensor | None = None
        self._noise = torch.Generator().manual_seed(derived_seed(problem.name, problem.unit, seed, "noise"))

    @property
    def left(self) -> int:
        """Evaluations that remain; none where nothing better can be found."""
        ceiling = self.problem.ceiling
        return 0 if ceiling is not None and self.best_told >= ceiling else self.budget - self.evaluations

    def scores(self, latents: Tensor) -> Tensor:
        """What is told of ``latents``; raises Spent where they are more than the budget leaves, after the rest was counted."""
        if self.left <= 0:
            raise Spent
        told = self._score(latents[: self.left])
        if len(told) < len(latents):
            raise Spent
        return told

    def gradients(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        """The same, with the gradient of each score; an evaluation with a gradient counts as one."""
        if self.left < len(latents):
            raise ValueError("ask for no more gradients than evaluations are left")
        leaves = latents.detach().float().requires_grad_()
        began = time.process_time()
        with torch.enable_grad():
            scores = self.problem.clean(leaves)
            (slopes,) = torch.autograd.grad(scores.sum(), leaves)
        self._seconds(began)
        return self._book(latents, scores.detach().double()), slopes

    def recommend(self, recommendation: Callable[[], Tensor]) -> None:
        """Note what the method recommends now: under noise the curve follows it."""
        if self.problem.noise is None:
            return
        latent = recommendation()
        before = self._recommended
        if self._recommendation is None or not torch.equal(latent, self._recommendation):
            self._recommendation, self._recommended = latent.clone(), self.clean(latent)
        while len(self.curve) < len(self.counts) and self.counts[len(self.curve)] <= self.evaluations:
            # a count inside a generation belongs to what was recommended before it
            self.curve.append(self._recommended if self.counts[len(self.curve)] == self.evaluations else before)

    def clean(self, latent: Tensor) -> float:
        """The clean response to one latent, not counted."""
        began = time.process_time()
        response = float(self.problem.clean(latent[None])[0])
        self._seconds(began)
        return response

    def finished(self, recommendation: Tensor | None, seconds: float) -> dict[str, Any]:
        """The record, of a run that took ``seconds`` of processor time in all."""
        final = self.best if recommendation is None else recommendation
        clean = None if final is None else self.clean(final)
        if self._recommendation is not None:
            self.curve += [clean] * (len(self.counts) - len(self.curve))
        return {
            "evaluations": self.evaluations,
            "counts": self.counts,
            "curve": [_short(value) for value in (self._best_at_counts() if self._recommendation is None else self.curve)],
            "final": _short(clean),
            "best_told": _short(float(self.best_told)) if self.best is not None else None,
            "improvements": [[n, _short(value)] for n, value in self._thinned()] if self.problem.noise is None else [],
            "scoring_seconds": round(self.scoring_seconds, 2),
            "overhead_seconds": max(0.0, round(seconds - self.scoring_seconds, 2)),
        }

    def _score(self, latents: Tensor) -> Tensor:
        began = time.process_time()
        clean = self.problem.clean(latents).detach().double()
        self._seconds(began)
        return self._book(latents, clean)

    def _book(self, latents: Tensor, clean: Tensor) -> Tensor:
        told = clean if self.problem.noise is None else self.problem.noise(clean, self._noise)
        hard = self.problem.latent.harden(latents) if isinstance(self.problem.latent, Categorical) else latents
        for row, (score, response) in enumerate(zip(told.tolist(), clean.tolist(), strict=True)):
            self.evaluations += 1
            if score > self.best_told:
                self.best_told, self.best = score, hard[row].detach().clone()
                self.improvements.append((self.evaluations, response))
        return told

    def _best_at_counts(self) -> list[float | None]:
        found: list[float | None] = []
        for count in self.counts:
            before = [value for n, value in self.improvements if n <= count]
            found.append(before[-1] if before else None)
        return found

    def _thinned(self) -> list[tuple[int, float]]:
        """Improvements without those of less than half a per cent of all that was gained; no level is reached earlier by it."""
        if not self.improvements:
            return []
        step = 0.005 * (self.improvements[-1][1] - self.improvements[0][1])
        kept = [self.improvements[0]]
        for n, value in self.improvements[1:-1]:
            if value >= kept[-1][1] + step:
                kept.append((n, value))
        return kept if len(self.improvements) == 1 else [*kept, self.improvements[-1]]

    def _seconds(self, began: float) -> None:
        self.scoring_seconds += time.process_time() - began


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.5g}")
