"""What a search had found best at growing numbers of evaluations: the frames of its film."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..results.result import Moment
from ..search.recorder import Decode

MOST_MOMENTS = 60
FEWEST_MOMENTS = 24
"""A film of fewer is not worth its place; then some searches have none."""
MOST_BYTES = 256 << 20
"""Of the latents, or of the stimuli that they become, of all films of a job."""
_GROWTH = 1.1
"""Of the evaluations between two moments, where a search does not know how many it will make."""


class Film:
    """Keeps the best candidate of a search at moments that grow apart by a constant factor, so that their number is bounded.

    Parameters
    ----------
    evaluations : int or None
        How many the search may make; None where unknown: every second moment is then dropped whenever there would be too many.
    most : int
        Moments that are kept, at least 2.
    """

    def __init__(self, evaluations: int | None, most: int = MOST_MOMENTS) -> None:
        self.most = most
        self.moments: list[tuple[int, float, Tensor]] = []
        """(evaluations, best score until then, latent on the CPU), each of another latent than that before."""
        self._growth = max(evaluations, 2) ** (1 / most) if evaluations else _GROWTH
        self._next = 1
        self._best = -math.inf
        self._latent: Tensor | None = None
        self._fresh = False

    def see(self, before: int, latents: Tensor, scores: np.ndarray, replicates: int, harden: Callable[[Tensor], Tensor]) -> None:
        """Candidates, (n, *latent), and their scores, (n,), NaN where missed; each was shown so often, after ``before`` evaluations."""
        for number, score in enumerate(scores.tolist()):
            if score > self._best:
                self._best, self._latent, self._fresh = score, latents[number], True
            evaluations = before + (number + 1) * replicates
            if evaluations >= self._next:
                self._next = max(evaluations + 1, math.ceil(evaluations * self._growth))
                self._take(evaluations, harden)
        if self._latent is not None:  # not to keep its whole generation
            self._latent = harden(self._latent.detach()[None].cpu())[0].clone()

    def _take(self, evaluations: int, harden: Callable[[Tensor], Tensor]) -> None:
        if self._latent is None or not self._fresh:
            return
        self.moments.append((evaluations, self._best, harden(self._latent.detach()[None].cpu())[0].clone()))
        self._fresh = False
        if len(self.moments) > self.most:
            self.moments = self.moments[::2]
            self._growth = self._growth**2

    def attend(self, gradients: Tensor) -> None:
        """Nothing is kept of gradients."""

    def result(self, decode: Decode) -> list[Moment]:
        """The frames."""
        if not self.moments:
            return []
        stimuli = decode(torch.stack([latent for _, _, latent in self.moments]))
        return [Moment(at, score, stimulus) for (at, score, _), stimulus in zip(self.moments, stimuli, strict=True)]

    def state_dict(self) -> dict[str, Any]:
        """All that it needs to go on."""
        return {
            "evaluations": [evaluations for evaluations, _, _ in self.moments],
            "scores": [score for _, score, _ in self.moments],
            "latents": torch.stack([latent for _, _, latent in self.moments]) if self.moments else None,
            "growth": self._growth,
            "next": self._next,
            "best": self._best,
            "latent": self._latent,
            "fresh": self._fresh,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from ``state``."""
        latents: Sequence[Tensor] = () if state["latents"] is None else list(state["latents"].clone())
        self.moments = list(zip(map(int, state["evaluations"]), map(float, state["scores"]), latents, strict=True))
        self._growth, self._next, self._best = float(state["growth"]), int(state["next"]), float(state["best"])
        self._latent, self._fresh = state["latent"], bool(state["fresh"])


def room(searches: int, values: int) -> tuple[int, int]:
    """How many of ``searches`` have a film, and of how many moments, where a frame has ``values`` numbers.

    Films grow shorter first, down to :data:`FEWEST_MOMENTS`; then the later searches have none.
    """
    frames = MOST_BYTES // (4 * max(values, 1))
    moments = min(MOST_MOMENTS, max(FEWEST_MOMENTS, frames // max(searches, 1)))
    return min(searches, max(1, frames // moments)), moments
