"""The common part of gradient searches: starts, codes as logits, missing gradients, and restarts."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from ..models.options import OptionsModel
from ..models.spaces import Box, Categorical
from .optimizer import Evaluations, Problem, State
from .searcher import Searcher

MARGIN = 1.0
"""Logit of a starting code; all others are 0. It is small beside the log of 512 codes, so that every code has a gradient at first."""


LOST = 5
"""Missed trials in a row at an ascent's beginning, without any score, after which it restarts elsewhere."""


class GradientOptions(OptionsModel):
    """Options of every gradient search."""

    batch: int = Field(default=1, ge=1, le=10_000, description="Ascents run in parallel; each takes one evaluation an ask.")
    screen: int = Field(
        default=0,
        ge=0,
        le=100_000,
        description="Natural latents (blind: uniform draws) evaluated first, without gradients; ascents begin at the best of them. "
        "No more than a tenth of the evaluations; with no more than `batch`, nothing is screened.",
    )
    restart: Literal["never", "natural", "perturbed"] = Field(
        default="perturbed",
        description="Where an ascent that has stalled begins again: at the next best screened latent or a fresh one, or at the best "
        "so far, mixed with a fresh one.",
    )
    patience: int = Field(
        default=50, ge=1, le=10**9, description="Evaluations of one ascent without improvement after which it has stalled."
    )
    perturbation: float = Field(
        default=0.1,
        gt=0,
        le=1,
        allow_inf_nan=False,
        description="Of `restart: perturbed`: share of the positions that take the fresh latent's code; in a box, its weight.",
    )
    temperature: float = Field(
        default=1.0, gt=0, le=100, allow_inf_nan=False, description="Of the softmax that gradients pass through; codes only."
    )


class GradientSearcher(Searcher):
    """Ascents in parallel, each by the gradient of its own score.

    In a Box the latents themselves are moved and clipped to the bounds. Where latents are codes, every position has a logit for
    each code. The candidate is always the code of the largest logit, as one-hot weights, so that every score is that of a real
    stimulus. The gradient reaches the logits as if softmax weights had been asked. This is the straight-through estimator (Bengio,
    Léonard and Courville, 2013) with the softmax's slope of Gumbel-softmax (Jang, Gu and Poole, 2017). Without that slope Adam climbs
    half as far in 1000 evaluations of 64 × 512 codes.

    Ascents begin at rows of the bank or, blind, at uniform draws; with ``screen``, at the best of that many latents. An ascent that
    doesn't improve on itself for ``patience`` evaluations restarts; the recommendation is the best of all.

    A subclass moves ``_points`` in ``_advance``; ``_place`` puts ascents at latents, ``_logits`` returns the logits of the next codes.

    Parameters
    ----------
    problem : Problem
        Any space. Its arithmetic runs on ``problem.device``, where the candidates lie too.
    options : GradientOptions
    """

    needs_gradient: bool = True
    """False for an instance that is about to screen."""

    def __init__(self, problem: Problem, options: GradientOptions) -> None:
        super().__init__(problem)
        self.shared = options
        screen = options.screen
        if problem.evaluations is not None:
            screen = min(screen, problem.evaluations // 10)
        if problem.bank is not None:
            screen = min(screen, len(problem.bank))
        self._screen = screen if screen > options.batch else 0
        self.needs_gradient = not self._screen
        self._steps = 0
        self._points = torch.empty(0)
        """(batch, *latent) or logits, (batch, *latent, cardinality), once the ascents have begun."""
        self._waiting: Tensor | None = None
        """Screened latents that no ascent has begun at, best first; None before the ascents have begun."""
        self._highest = torch.full((options.batch,), -torch.inf, dtype=torch.float64)
        self._idle = torch.zeros(options.batch, dtype=torch.long)
        """Best score of each ascent, and its evaluations since."""
        self._chosen = torch.empty(0)
        """Logits of the codes last asked."""

    def ask(self) -> Tensor:
        """Return the next batch of candidates. Repeated calls before ``tell`` return the same batch.

        Returns
        -------
        Tensor
            (n, *latent); one-hot weights, (n, *latent, cardinality), for codes, except while screening.
        """
        asked, space = super().ask(), self.problem.latent
        return self._weights(asked, space) if isinstance(space, Categorical) and self.needs_gradient else asked

    @abstractmethod
    def _advance(self, gradient: Tensor) -> None:
        """Move ``_points`` along ``gradient``, of their shape, zero where a trial was missed; clipped to the box afterwards."""

    def _place(self, rows: Sequence[int], latents: Tensor) -> None:
        """Put the ascents ``rows`` at ``latents``, on the device, and reset their state."""
        space = self.problem.latent
        self._points[list(rows)] = MARGIN * self._weights(latents, space) if isinstance(space, Categorical) else latents.float()

    def _logits(self) -> Tensor:
        """Return the logits whose largest is the code to ask at each position. The caller doesn't change them before ``_advance``."""
        return self._points

    def _propose(self) -> Tensor:
        space = self.problem.latent
        if not self.needs_gradient:
            return self._starts(self._screen).to(self.problem.device)
        if self._waiting is None:
            self._begin(self._starts(self.shared.batch))
        if isinstance(space, Box):
            return self._points.detach().clone()
        self._chosen = self._logits().detach()
        return largest(self._chosen)

    def _learn(self, latents: Tensor, scores: Tensor, evaluations: Evaluations) -> None:
        if not self.needs_gradient:
            self.needs_gradient = True
            order = torch.where(scores.isnan(), -torch.inf, scores).argsort(descending=True, stable=True)
            self._begin(latents.cpu()[order])
            return
        told = ~scores.isnan()
        gradient = self._slope(told, evaluations)
        better = scores > self._highest  # never where missed
        self._highest[better] = scores[better]
        self._idle[told] += 1
        self._idle[better] = 0
        # these ascents have no score yet, and so no gradient that leads elsewhere
        self._idle[~told & (self._highest == -torch.inf)] += max(1, self.shared.patience // LOST)
        self._advance(gradient)
        space = self.problem.latent
        if isinstance(space, Box):
            self._points.clamp_(space.low, space.high)
        self._steps += 1
        if self.shared.restart != "never":
            stalled = (self._idle >= self.shared.patience).nonzero()[:, 0].tolist()
            if stalled:
                self._renew(stalled)

    def _slope(self, told: Tensor, evaluations: Evaluations) -> Tensor:
        """Return the gradient with respect to latents or logits; zero where it is missing or not finite."""
        gradients = evaluations.gradients
        if gradients is None or gradients.shape != self._points.shape:
            raise ValueError(f"{type(self).__name__} needs the gradient of every score with respect to its latent")
        gradient = gradients.to(self._points)
        # a sum is finite only if every term is: one pass instead of three
        if not (bool(told.all()) and bool(gradient.sum().isfinite())):
            known = told.to(gradient.device).view(-1, *[1] * (gradient.ndim - 1))
            gradient = torch.where(known, gradient, 0.0).nan_to_num_(0.0, 0.0, 0.0)
        if isinstance(self.problem.latent, Categorical):
            heated = self._chosen if self.shared.temperature == 1.0 else self._chosen / self.shared.temperature
            soft = heated.softmax(-1)
            gradient = gradient * soft
            gradient.addcmul_(soft, gradient.sum(-1, keepdim=True), value=-1.0)
        return gradient

    def _begin(self, latents: Tensor) -> None:
        """Begin all ascents at the first of ``latents``, on the CPU; the remaining ones wait for restarts."""
        batch, space = self.shared.batch, self.problem.latent
        size = space.shape if isinstance(space, Box) else (*space.shape, space.cardinality)
        self._points = torch.zeros(batch, *size, device=self.problem.device)
        self._place(range(batch), latents[:batch].to(self.problem.device))
        self._waiting = latents[batch:].clone()

    def _renew(self, rows: list[int]) -> None:
        assert self._waiting is not None  # the ascents have begun
        space, share, n = self.problem.latent, self.shared.perturbation, len(rows)
        if self.shared.restart == "perturbed" and self._best is not None:
            fresh, best = self._starts(n), self._best.expand(n, *space.shape)
            if isinstance(space, Box):
                fresh = torch.lerp(best, fresh.to(best), share).clamp(space.low, space.high)
            else:
                fresh = torch.where(torch.rand(fresh.shape, generator=self.generator) < share, fresh, best)
        else:
            fresh, self._waiting = self._waiting[:n], self._waiting[n:]
            if len(fresh) < n:
                fresh = torch.cat([fresh, self._starts(n - len(fresh))])
        self._place(rows, fresh.to(self.problem.device))
        self._highest[rows], self._idle[rows] = -torch.inf, 0

    def _weights(self, codes: Tensor, space: Categorical) -> Tensor:
        weights = torch.zeros(*codes.shape, space.cardinality, device=codes.device)
        return weights.scatter_(-1, codes.long()[..., None], 1.0)

    def _left(self) -> float:
        """Return the share of the run that is left, by evaluations; 1 when their number is unknown."""
        if self.problem.evaluations is None:
            return 1.0
        total = max(self.problem.evaluations - self._screen, 1)
        return max(0.0, 1.0 - self._steps * self.shared.batch / total)

    def _state(self) -> dict[str, Any]:
        begun = self._waiting is not None
        return {
            "steps": self._steps,
            "screened": self.needs_gradient,
            "points": self._points.detach().clone() if begun else None,
            "waiting": None if self._waiting is None else self._waiting.clone(),
            "highest": self._highest.clone(),
            "idle": self._idle.clone(),
        }

    def _restore(self, state: State) -> None:
        self._steps, self.needs_gradient = state["steps"], state["screened"]
        self._highest, self._idle = state["highest"].cpu().clone(), state["idle"].cpu().clone()
        begun = state["points"] is not None
        self._points = state["points"].to(self.problem.device).clone() if begun else torch.empty(0)
        self._waiting = state["waiting"].cpu().clone() if begun else None


def largest(logits: Tensor) -> Tensor:
    """Return the index of the largest logit along the last axis, the first of equals; numpy's argmax is several times faster on a CPU."""
    return torch.from_numpy(logits.numpy().argmax(-1)) if logits.device.type == "cpu" else logits.argmax(-1)


def inverse_norm(gradient: Tensor, mean: bool = False) -> Tensor:
    """Return the inverse length of every row, to be multiplied with ``gradient``.

    Parameters
    ----------
    gradient : Tensor
        (n, ...).
    mean : bool
        Whether the length is the root mean square; else it is the Euclidean norm.

    Returns
    -------
    Tensor
        (n, 1, ...), 0 for zero rows.
    """
    flat = gradient.flatten(1)
    scale = torch.linalg.vector_norm(flat, dim=1)
    if mean:
        scale = scale / flat.shape[1] ** 0.5
    return torch.where(scale > 0, 1.0 / scale, 0.0).view(-1, *[1] * (gradient.ndim - 1))


def over_norm(gradient: Tensor, mean: bool = False) -> Tensor:
    """Return every row divided by its length as :func:`inverse_norm` takes it; zero rows stay zero."""
    return gradient * inverse_norm(gradient, mean)
