"""Square attack: random search by squares of extreme values."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from ..models.options import OptionsModel
from ..models.spaces import Box
from .optimizer import Evaluations, Problem, State, Unsuitable
from .searcher import Searcher

EXPECTED = 10_000
"""Evaluations of the published schedule, also assumed where their number is unknown."""
HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
"""Evaluations out of :data:`EXPECTED` after which squares are halved."""
REDRAWS = 20
"""Attempts at a square that changes something."""


class SquareAttack(Searcher):
    """Random search over maps by squares at a random place, of one of the two extreme values a channel; kept where the score doesn't fall.

    Andriushchenko, Croce, Flammarion and Hein, "Square attack: a query-efficient black-box adversarial attack via random search", 2020,
    algorithms 1 and 2. The search begins at vertical stripes of extreme values, each with its own colour. The share of the map that a
    square covers is halved at fixed shares of the expected evaluations. With the generator ``perturbation`` and ``norm: linf``, where the
    box is the ball, this is the published attack; any other box shaped like a map is searched over its corners in the same way. For
    series, (channels, time), squares are stretches of time. In the paper a square has to raise the score; here a square that leaves the
    score equal is kept too, so that the search moves on plateaus, such as those of spike counts.

    The search keeps no means, so its best candidate may be a lucky one on a noisy target.

    Parameters
    ----------
    problem : Problem
        A Box whose latents have channels and one or two dimensions of space or time.
    options : SquareAttack.Options

    Raises
    ------
    Unsuitable
        The latents are no map.
    """

    class Options(OptionsModel):
        """Options of the attack."""

        share: float = Field(
            default=0.3, gt=0, le=1, description="Share of the map that the first squares cover; 0.05 to 0.8 in the paper, by the network."
        )
        start: Literal["stripes", "natural"] = Field(
            default="stripes", description="Vertical stripes of extreme values, or a natural latent."
        )
        batch: int = Field(
            default=1,
            ge=1,
            le=10_000,
            description="Candidates an ask, each with a square of its own; the best may be kept. 1 in the paper.",
        )

    needs_gradient: ClassVar[bool] = False

    def __init__(self, problem: Problem, options: Options) -> None:
        space = problem.latent
        if not isinstance(space, Box):
            raise Unsuitable("square takes real-valued latents; search codes with patch-evolution, tt-evolution or protes")
        if len(space.shape) not in (2, 3):
            raise Unsuitable(f"square needs latents shaped (channels, height, width) or (channels, time), got {space.shape}; use cma")
        super().__init__(problem)
        self.options = options
        self.space = space
        self._shown = 0
        self._current: Tensor | None = None
        """The latent that the next squares change; the latest of equals, where the recommendation is the earliest."""

    @property
    def share(self) -> float:
        """Share of the map that the next squares cover, in (0, 1]."""
        progress = self._shown / (self.problem.evaluations or EXPECTED) * EXPECTED
        return self.options.share / 2 ** sum(progress > after for after in HALVINGS)

    def _propose(self) -> Tensor:
        batch = self.options.batch
        if self._current is None:
            if self.options.start == "natural":
                return self._starts(batch)
            channels, *middle, last = self.space.shape
            return self._extremes(batch, channels, *[1] * len(middle), last).expand(batch, *self.space.shape).clone()
        return torch.stack([self._changed(self._current) for _ in range(batch)])

    def _changed(self, current: Tensor) -> Tensor:
        channels, *sides = current.shape
        wide = (self.share * math.prod(sides)) ** (1 / len(sides))
        latent = current.clone()
        for _ in range(REDRAWS):
            window: list[slice] = [slice(None)]
            for side in sides:
                length = min(max(round(wide), 1), side)
                first = int(torch.randint(side - length + 1, (1,), generator=self.generator))
                window.append(slice(first, first + length))
            latent[tuple(window)] = self._extremes(channels, *[1] * len(sides))
            if not torch.equal(latent, current):
                break
        return latent

    def _extremes(self, *shape: int) -> Tensor:
        high = torch.randint(2, shape, generator=self.generator, dtype=torch.bool)
        return torch.where(high, float(self.space.high), float(self.space.low))

    def _learn(self, latents: Tensor, scores: Tensor, evaluations: Evaluations) -> None:
        self._shown += len(latents)
        known = torch.where(scores.isnan(), -torch.inf, scores)
        winner = int(known.argmax())
        if not scores[winner].isnan() and known[winner] >= self._best_score:  # these scores are in the best score already
            self._current = latents[winner].clone()

    def _state(self) -> dict[str, Any]:
        return {"shown": self._shown, "current": None if self._current is None else self._current.clone()}

    def _restore(self, state: State) -> None:
        self._shown = int(state["shown"])
        self._current = None if state["current"] is None else state["current"].clone()
