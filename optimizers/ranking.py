"""What was best so far, and by how much."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from .optimizer import State


class Elite:
    """The best distinct candidates so far; of equals the latest, so that a search drifts over plateaus instead of standing still.

    Parameters
    ----------
    most : int
        How many to keep.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.rows = torch.empty(0, 0)
        """(k, size), best first."""
        self.scores = torch.empty(0, dtype=torch.float64)

    def __len__(self) -> int:
        return len(self.rows)

    def add(self, rows: Tensor, scores: Tensor) -> None:
        """Take in candidates, (n, size), with their scores; missed ones, NaN, are left out."""
        told = ~scores.isnan()
        rows, scores = rows[told].flip(0), scores[told].flip(0)  # the latest first
        if len(self):
            rows, scores = torch.cat([rows, self.rows]), torch.cat([scores, self.scores])
        seen: dict[bytes, int] = {}
        for row in scores.argsort(descending=True, stable=True).tolist():
            seen.setdefault(rows[row].numpy().tobytes(), row)
            if len(seen) == self.most:
                break
        best = torch.tensor(list(seen.values()), dtype=torch.long)
        self.rows, self.scores = rows[best], scores[best]

    def state(self) -> dict[str, Any]:
        """Rows and scores."""
        return {"rows": self.rows.clone(), "scores": self.scores.clone()}

    def restore(self, state: State) -> None:
        """Go on from :meth:`state`."""
        self.rows, self.scores = state["rows"].clone(), state["scores"].clone()


class Spread:
    """Mean, variance and maximum of all scores so far (Welford's update), and a transform that rests on them."""

    def __init__(self) -> None:
        self._count, self._mean, self._squares, self._best = 0, 0.0, 0.0, -math.inf

    def add(self, scores: Tensor) -> None:
        """Take in ``scores``; what isn't finite is left out."""
        for score in scores[scores.isfinite()].tolist():
            self._count += 1
            step = score - self._mean
            self._mean += step / self._count
            self._squares += step * (score - self._mean)
            self._best = max(self._best, score)

    def transform(self, scores: Tensor) -> Tensor:
        """pi/2 - arctan((best - score) / deviation), in which a missed score counts as the worst of all given."""
        told = scores.isfinite()
        if not bool(told.any()):
            return torch.zeros_like(scores)
        filled = torch.where(told, scores, scores[told].min())
        deviation = math.sqrt(self._squares / self._count) or 1.0
        return math.pi / 2 - torch.arctan((self._best - filled) / deviation)

    def state(self) -> dict[str, Any]:
        """Its four numbers."""
        return {"count": self._count, "mean": self._mean, "squares": self._squares, "best": self._best}

    def restore(self, state: State) -> None:
        """Go on from :meth:`state`."""
        self._count, self._mean, self._squares, self._best = state["count"], state["mean"], state["squares"], state["best"]
