"""Rankings of the candidates evaluated so far, and the spread of their scores."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from .optimizer import State

_LEAST_VARIANCE = 1e-300
"""Where all scores are equal; far below any variance, whatever a response is measured in."""


class Elite:
    """The best distinct candidates so far; of equals the latest, so that a search drifts over plateaus instead of standing still.

    Parameters
    ----------
    most : int
        Most candidates to keep.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.rows = torch.empty(0, 0)
        """(k, size), best first."""
        self.scores = torch.empty(0, dtype=torch.float64)

    def __len__(self) -> int:
        return len(self.rows)

    def add(self, rows: Tensor, scores: Tensor) -> None:
        """Add candidates, (n, size), with their scores, (n,); missed trials, NaN, are left out."""
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
        """Return rows and scores."""
        return {"rows": self.rows.clone(), "scores": self.scores.clone()}

    def restore(self, state: State) -> None:
        """Continue from a state of :meth:`state`."""
        self.rows, self.scores = state["rows"].clone(), state["scores"].clone()


class MeasuredElite(Elite):
    """The best distinct candidates of a noisy search, by the mean of each one's measurements, shrunk towards the mean of all candidates.

    The weight of one measurement depends on the variance between measurements of one candidate over that between candidates (empirical
    Bayes; Efron and Morris, 1975). The noisier the responses, the more candidates are kept. ``RESERVE`` times ``most`` candidates stay
    in a pool, since a mean can fall.

    Parameters
    ----------
    least, most : int
        Candidates to keep without noise, and from a :attr:`noise` of 0.5 on.
    """

    RESERVE = 8
    UNKNOWN = 5
    """Repeated measurements below which the noise is assumed to be as large as the differences between candidates."""

    def __init__(self, least: int, most: int) -> None:
        super().__init__(most)
        self._least = least
        self._pool: dict[bytes, tuple[Tensor, float, int]] = {}
        self._mean, self._square, self._told = 0.0, 0.0, 0
        self._within, self._repeats = 0.0, 0

    @property
    def noise(self) -> float:
        """Variance of a measurement over the variance between candidates, 0 to 4."""
        if self._repeats < self.UNKNOWN:
            return 1.0
        within = self._within / self._repeats
        return min(within / max(self._square - within, 0.05 * self._square, _LEAST_VARIANCE), 4.0)

    def add(self, rows: Tensor, scores: Tensor) -> None:
        """Add measurements of candidates, (n, size), with their scores, (n,); missed trials, NaN, are left out."""
        for row, score in zip(rows, scores.tolist(), strict=True):
            if math.isnan(score):
                continue
            key = row.numpy().tobytes()
            kept, mean, count = self._pool.pop(key, (row.clone(), 0.0, 0))
            after = mean + (score - mean) / (count + 1)
            if count:
                self._within += (score - mean) * (score - after)
                self._repeats += 1
            else:
                self._told += 1
                share = 1 / min(self._told, 200)
                self._square = (1 - share) * (self._square + share * (score - self._mean) ** 2)
                self._mean += share * (score - self._mean)
            self._pool[key] = (kept, after, count + 1)
        self._settle()

    def again(self, n: int) -> Tensor:
        """Return the candidates to measure again: the least measured of the leading ones.

        Parameters
        ----------
        n : int
            Most candidates.

        Returns
        -------
        Tensor
            (at most n, size); fewer where there is little noise.
        """
        n = max(1, round(n * min(1.0, 2 * self.noise)))
        leading = list(self._pool.values())[: 2 * n]
        return torch.stack([row for row, _, _ in sorted(leading, key=lambda kept: kept[2])[:n]]) if leading else self.rows[:0]

    def _settle(self) -> None:
        noise = self.noise
        latest_first = list(self._pool.items())[::-1]
        valued = [(item, (item[1][1] * item[1][2] + noise * self._mean) / (item[1][2] + noise)) for item in latest_first]
        best = sorted(valued, key=lambda found: -found[1])[: self.RESERVE * self.most]
        self._pool = dict(item for item, _ in best)
        kept = best[: self._least + round((self.most - self._least) * min(1.0, 2 * noise))]
        if kept:
            self.rows = torch.stack([item[1][0] for item, _ in kept])
            self.scores = torch.tensor([value for _, value in kept], dtype=torch.float64)

    def state(self) -> dict[str, Any]:
        """Return all candidates with their means and counts, and the estimates of mean and noise."""
        kept = self._pool.values()
        return {
            **super().state(),
            "pool": torch.stack([row for row, _, _ in kept]) if kept else None,
            "means": torch.tensor([mean for _, mean, _ in kept], dtype=torch.float64),
            "counts": torch.tensor([count for _, _, count in kept], dtype=torch.int64),
            "known": torch.tensor([self._mean, self._square, self._within], dtype=torch.float64),
            "told": self._told,
            "repeats": self._repeats,
        }

    def restore(self, state: State) -> None:
        """Continue from a state of :meth:`state`."""
        super().restore(state)
        self._mean, self._square, self._within = state["known"].tolist()
        self._told, self._repeats = int(state["told"]), int(state["repeats"])
        rows = [] if state["pool"] is None else list(state["pool"])
        kept = zip(rows, state["means"].tolist(), state["counts"].tolist(), strict=True)
        self._pool = {row.numpy().tobytes(): (row.clone(), mean, count) for row, mean, count in kept}


class Spread:
    """Mean, variance and maximum of all scores so far (Welford's update), and a transform of scores by them."""

    def __init__(self) -> None:
        self._count, self._mean, self._squares, self._best = 0, 0.0, 0.0, -math.inf

    def add(self, scores: Tensor) -> None:
        """Add scores, (n,); those that aren't finite are left out."""
        for score in scores[scores.isfinite()].tolist():
            self._count += 1
            step = score - self._mean
            self._mean += step / self._count
            self._squares += step * (score - self._mean)
            self._best = max(self._best, score)

    def transform(self, scores: Tensor) -> Tensor:
        """Return pi/2 - arctan((best - score) / deviation) of scores, in (0, pi/2]; missed scores count as the lowest of the given ones."""
        told = scores.isfinite()
        if not bool(told.any()):
            return torch.zeros_like(scores)
        filled = torch.where(told, scores, scores[told].min())
        deviation = math.sqrt(self._squares / self._count) or 1.0
        return math.pi / 2 - torch.arctan((self._best - filled) / deviation)

    def state(self) -> dict[str, Any]:
        """Return count, mean, sum of squares and maximum."""
        return {"count": self._count, "mean": self._mean, "squares": self._squares, "best": self._best}

    def restore(self, state: State) -> None:
        """Continue from a state of :meth:`state`."""
        self._count, self._mean, self._squares, self._best = state["count"], state["mean"], state["squares"], state["best"]
