"""A diverse set of optima by sequential niching: one optimizer after another, each kept away from the optima before."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from ...models.spaces import Categorical
from ...optimizers.optimizer import Evaluations, HasNote, Listener, Problem
from .distance import LatentDistance
from .diverse_selection import SAME, best_apart, count_distinct, filled
from .leaders import Leaders

MARGIN = 1.1
"""Scores are lowered up to this multiple of the distance, so that a search that ends at the edge of a niche ends outside."""
STEEPNESS = 4.0
"""Spreads of the scores by which the score of a candidate on an earlier optimum is lowered."""
OUTWARD = 2.0
"""Length of the vector added to a gradient near an optimum, relative to the gradient's."""
LEAD = 2.0
"""Share of the first stage relative to the shares of later stages, if these learn from it."""
TOLERANCE = 0.25
"""Spreads of the scores by which a stage's own best may be below the best of all stages and still be its optimum."""
MOST_KEPT = 1000
"""Most candidates of a stage that are kept, by highest score, to choose optima from and for later stages to observe."""
MOST_VALUES = 2_000_000
"""Most codes or coordinates in the kept candidates of all stages."""


class SequentialNiching:
    """An optimizer that finds several optima instead of one: sequential niching around any other optimizer.

    It runs in stages, each with a new optimizer, its own seed and a share of the evaluations; the first stage is an ordinary search. In
    later stages scores are lowered near the optima found before (Beasley, Bull and Martin, "A sequential niche technique for multimodal
    function optimization", 1993). At the distance d from an optimum a score is lowered by
    ``STEEPNESS`` · spread · (1 - d / (``MARGIN`` · ``distance``)), where that is positive. The spread is that of the scores so far, from
    their lower quartile to the best, so that it means the same for spikes and for logits. Gradients through a code book or spikes have no
    such scale, so they are turned: near an optimum, a vector of ``OUTWARD`` times their length is added, away from it. A later stage
    whose optimizer listens observes all earlier evaluations, with lowered scores.

    A stage's optimum is the best of its candidates at least ``distance`` from the earlier optima. If the best such candidate of all
    stages is better by more than ``TOLERANCE`` spreads, that one is chosen; else the stage's own differs more from the other optima.
    On a noisy target it is the answer of the stage's own optimizer, if that is far enough. :meth:`optima` compares the stages' set with
    the greedy choice from all candidates, since a later stage may find more than an earlier one, and returns the greedy set if it is
    better by as much.

    Parameters
    ----------
    problem : Problem
        The whole problem; its ``evaluations`` must be known.
    make : callable
        Builds the optimizer of a stage from the stage's problem.
    n : int
        Number of stages and optima, at least 1.
    distance : float
        Least distance between two optima, in units of ``measure``.
    measure : LatentDistance
        Distances between decoded latents.
    plateau : int or None
        Candidates without improvement after which a stage ends early; the later stages share its remaining evaluations.

    Raises
    ------
    ValueError
        The number of evaluations is not known.
    """

    Options: ClassVar[Any] = None
    """None: the stages' optimizers have options."""

    def __init__(
        self,
        problem: Problem,
        make: Callable[[Problem], Any],
        n: int,
        distance: float,
        measure: LatentDistance,
        plateau: int | None = None,
    ) -> None:
        if problem.evaluations is None:
            raise ValueError("stages share the evaluations, whose number must be known")
        self.problem = problem
        self.n = n
        self.distance = distance
        self.measure = measure
        self._make = make
        self._plateau = plateau
        self._total = problem.evaluations
        self._most = max(64, min(MOST_KEPT, MOST_VALUES // (problem.latent.size * n)))
        self.kept: list[Leaders] = []
        """The best candidates of every stage begun, projected."""
        self._found = torch.empty(0, *problem.latent.shape, dtype=torch.int64 if isinstance(problem.latent, Categorical) else torch.float32)
        """Optima of the stages that have ended."""
        self._spread = 1.0
        self._all_told = 0
        self._asked: Tensor | None = None
        self._inner: Any
        self._begin()
        if isinstance(self._inner, Listener):
            self.observe = self._observe  # an attribute, so that this is a Listener only if its stages' optimizers are

    @property
    def stage(self) -> int:
        """Number of the running stage, from 0."""
        return len(self.kept) - 1

    @property
    def stalled(self) -> bool:
        """Whether the last stage has reached its plateau, so that the search may end."""
        return self.stage == self.n - 1 and self._on_plateau

    @property
    def _on_plateau(self) -> bool:
        return self._plateau is not None and self._idle >= self._plateau

    @property
    def note(self) -> str:
        """The note of the running stage's optimizer about itself; empty without one."""
        return self._inner.note if isinstance(self._inner, HasNote) else ""

    @property
    def needs_gradient(self) -> bool:
        """Whether the running stage needs gradients of its next candidates."""
        return self._inner.needs_gradient

    def ask(self) -> Tensor:
        r"""Return the running stage's next candidates, (n, \*latent), at most as many as remain of its share."""
        asked = self._asked = self._inner.ask()
        left = self._share - self._told
        # a stage whose trials were all missed continues beyond its share
        return asked[:left] if left > 0 and self.stage < self.n - 1 else asked

    def tell(self, evaluations: Evaluations) -> None:
        """Give the running stage its scores, lowered, and begin the next stage once the share is used.

        Raises
        ------
        RuntimeError
            There was no ``ask`` since the last ``tell``.
        """
        if self._asked is None:
            raise RuntimeError("tell answers an ask, and nothing was asked since the last one")
        asked, self._asked = self._asked, None
        lowered = self._lowered(evaluations)
        scores = lowered.scores.detach().to("cpu", torch.float64)
        self._keep(evaluations)
        self._inner.tell(_padded(lowered, asked))
        self._told += len(scores)
        self._all_told += len(scores)
        best = float(scores.nan_to_num(-math.inf).max())
        self._idle = 0 if best > self._highest else self._idle + len(scores)
        self._highest = max(best, self._highest)
        if self.stage < self.n - 1 and (self._told >= self._share or self._on_plateau) and self._known:
            self._found = torch.cat([self._found, self._stage_optimum()[None].to(self._found)])
            self._begin()

    def _observe(self, evaluations: Evaluations) -> None:
        """Give the running stage other searches' candidates, lowered; they may become optima too."""
        self._keep(evaluations)
        self._inner.observe(self._lowered(evaluations))

    def recommend(self) -> Tensor:
        r"""Return the first of :meth:`optima`: (\*latent).

        Raises
        ------
        RuntimeError
            There is no score yet.
        """
        return self.optima()[0]

    def optima(self) -> Tensor:
        r"""Return the set so far, highest score first: (k, \*latent), hard and projected; k is ``n`` unless there are fewer candidates.

        Candidates nearer than ``distance`` are included only if there are no others.

        Raises
        ------
        RuntimeError
            There is no score yet.
        """
        if not self._known:
            raise RuntimeError("nothing to recommend: no score was told yet")
        latents, scores = self._candidates()
        staged = self._found
        if len(staged) < self.n:
            staged = torch.cat([staged, self._stage_optimum()[None].to(staged)])
        staged = filled(staged, latents, scores, self.n, self.distance, self.measure)
        known = self._scores_of(staged, latents, scores)
        if not self.problem.noisy:
            greedy = filled(latents[:0], latents, scores, self.n, self.distance, self.measure)
            of_greedy = self._scores_of(greedy, latents, scores)
            better = float(of_greedy.mean()) - TOLERANCE * self._spread > float(known.mean())
            more = count_distinct(greedy, self.distance, self.measure) - count_distinct(staged, self.distance, self.measure)
            if more > 0 or (more == 0 and better):
                staged, known = greedy, of_greedy
        return staged[known.argsort(descending=True, stable=True)]

    def state_dict(self) -> dict[str, Any]:
        """Return the optimizer's state as nested plain data and tensors. Valid between ``tell`` and the next ``ask``."""
        return {
            "inner": self._inner.state_dict(),
            "kept": [leaders.state_dict() for leaders in self.kept],
            "found": self._found.clone(),
            "spread": self._spread,
            "share": self._share,
            "told": self._told,
            "all_told": self._all_told,
            "highest": self._highest,
            "idle": self._idle,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state that :meth:`state_dict` returned."""
        self.kept = [Leaders(self._most) for _ in state["kept"]]
        for leaders, kept in zip(self.kept, state["kept"], strict=True):
            leaders.load_state_dict(kept)
        self._found = state["found"].clone()
        self._spread, self._highest = float(state["spread"]), float(state["highest"])
        self._share, self._told, self._all_told = int(state["share"]), int(state["told"]), int(state["all_told"])
        self._idle = int(state["idle"])
        self._asked = None
        self._inner = self._staged(self.stage)
        self._inner.load_state_dict(state["inner"])

    @property
    def _known(self) -> bool:
        return any(len(leaders) for leaders in self.kept)

    def _begin(self) -> None:
        """Begin the next stage with its share of the remaining evaluations."""
        self.kept.append(Leaders(self._most))
        self._told, self._idle, self._highest = 0, 0, -math.inf
        self._share = self._share_of(1.0)
        self._inner = self._staged(self.stage)
        if self.stage == 0:
            if isinstance(self._inner, Listener):  # known only once the optimizer is built
                self._share = self._share_of(LEAD)
                self._inner = self._staged(0)
            return
        latents, scores = self._candidates()
        spread = float(scores.max() - scores.quantile(0.25))
        self._spread = spread if spread > 0 else 1.0
        if isinstance(self._inner, Listener):
            self._inner.observe(self._lowered(Evaluations(latents, scores)))

    def _share_of(self, weight: float) -> int:
        """Return this stage's share of the remaining evaluations, with ``weight`` for it and 1 for each later stage."""
        return max(1, round((self._total - self._all_told) * weight / (weight + self.n - 1 - self.stage)))

    def _staged(self, stage: int) -> Any:
        seed = self.problem.seed
        if stage:
            seed = int(np.random.SeedSequence((seed, stage)).generate_state(1, np.uint64)[0] >> 1)
        return self._make(replace(self.problem, seed=seed, evaluations=self._share))

    def _keep(self, evaluations: Evaluations) -> None:
        latents, space = evaluations.latents.detach(), self.problem.latent
        hard = space.harden(latents) if isinstance(space, Categorical) else latents
        scores = evaluations.scores.detach().to("cpu", torch.float64)
        self.kept[-1].add(self.measure.decoded(hard).cpu(), scores)

    def _lowered(self, evaluations: Evaluations) -> Evaluations:
        """Return evaluations with scores lowered, and gradients turned away, near the optima found."""
        if not len(self._found):
            return evaluations
        gradients = evaluations.gradients
        with torch.set_grad_enabled(gradients is not None):
            latents = evaluations.latents.detach()
            if gradients is not None:
                latents = latents.float().requires_grad_()
            near = (1 - self.measure(latents, self._found) / (MARGIN * self.distance)).clamp(min=0).sum(1)
            if gradients is not None:
                (slope,) = torch.autograd.grad(near.sum(), latents)
                gradients = _turned(gradients, slope.to(gradients), near.detach())
        scores = evaluations.scores - (STEEPNESS * self._spread * near.detach()).to(evaluations.scores)
        return replace(evaluations, scores=scores, gradients=gradients)

    def _candidates(self) -> tuple[Tensor, Tensor]:
        r"""Return all kept candidates, stage by stage, the best first in each: (m, \*latent) and (m,)."""
        ranked = [leaders.ranked() for leaders in self.kept if len(leaders)]
        return torch.cat([latents for latents, _ in ranked]), torch.cat([scores for _, scores in ranked])

    def _stage_optimum(self) -> Tensor:
        latents, scores = self._candidates()
        if self.problem.noisy and len(self.kept[-1]):
            answer = self.measure.decoded(self._inner.recommend().cpu()[None]).to(latents)
            if not len(self._found) or float(self.measure(answer, self._found).min()) >= self.distance:
                return answer[0]
        own, own_scores = self.kept[-1].ranked()
        best = best_apart(latents, scores, self._found, self.distance, self.measure)
        if not len(own):
            return latents[best]
        row = best_apart(own, own_scores, self._found, self.distance, self.measure)
        enough = float(own_scores[row]) >= float(scores[best]) - TOLERANCE * self._spread
        if enough and (not len(self._found) or float(self.measure(own[row][None], self._found).min()) >= self.distance):
            return own[row]
        return latents[best]

    def _scores_of(self, chosen: Tensor, latents: Tensor, scores: Tensor) -> Tensor:
        """Return the score of each of ``chosen``; the lowest known score for one that is not kept."""
        same = self.measure(chosen, latents) < SAME
        return torch.where(same, scores, scores.min()).max(1).values


def _turned(gradients: Tensor, slope: Tensor, near: Tensor) -> Tensor:
    """Return ``gradients`` with a vector of ``OUTWARD`` times their length added against ``slope``, where ``near`` is positive."""

    def over(rows: Tensor) -> Tensor:
        return rows.flatten(1).norm(dim=1).view(-1, *[1] * (rows.ndim - 1))

    steep, own = over(slope), over(gradients)
    outward = -slope / steep.clamp(min=1e-30) * own.where(own > 0, 1.0)
    turned = (near.to(gradients) > 0).view(steep.shape) & (steep > 0)
    return torch.where(turned, gradients + OUTWARD * outward, gradients)


def _padded(evaluations: Evaluations, asked: Tensor) -> Evaluations:
    """Return evaluations for all of ``asked``; candidates that were cut off count as missed."""
    cut = len(asked) - len(evaluations.scores)
    if not cut:
        return replace(evaluations, latents=asked)

    def longer(values: Tensor | None, fill: float) -> Tensor | None:
        return None if values is None else torch.cat([values, values.new_full((cut, *values.shape[1:]), fill)])

    scores = torch.cat([evaluations.scores, evaluations.scores.new_full((cut,), torch.nan)])
    return Evaluations(asked, scores, longer(evaluations.variance, torch.nan), longer(evaluations.gradients, 0.0))
