"""A concave model of the score around a point, one parabola a coordinate, fitted to all evaluations, near ones most."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

LOCALITY = 3
"""Power with which an evaluation's weight falls beyond the spread: at twice the spread it is 1/64."""
OWN = 0.1
"""Prior standard deviation of a coordinate's own curvature, where that of the curvature that all share is √size."""
RIDGE = 1.0
"""Precision of the weights' prior a coordinate, where the scores' is 1."""
ROWS = 4
"""Evaluations a feature that enter a fit at most, the nearest."""
CURVATURE = 3.0
"""Most by which a coordinate's curvature may differ from that of all."""


@dataclass(frozen=True)
class Parabolas:
    """Where the score rises and how it bends, in units of the spread that it was fitted with.

    Attributes
    ----------
    slope : Tensor
        (size,) float64.
    shape : Tensor
        (size,) float64, positive: each coordinate's curvature over that which all share, 1 where nothing is known.
    bend : float
        The shared curvature, positive where the score has a peak.
    """

    slope: Tensor
    shape: Tensor
    bend: float

    def step(self, longest: float) -> Tensor:
        """To the peak, or, where that is further than ``longest`` (root mean square a coordinate) or there is none, so far uphill."""
        uphill = float(self.slope.square().mean().sqrt())
        step = self.slope / (2 * max(self.bend, uphill / (2 * longest), 1e-12) * self.shape)
        length = float(step.square().mean().sqrt())
        return step * (longest / length) if length > longest else step


def fitted(rows: Tensor, scores: Tensor, mean: Tensor, deviation: Tensor) -> Parabolas:
    """Weighted ridge regression of the scores' normal ranks on every coordinate and its square.

    Ranks, as normal quantiles, make nearly parabolas of whatever falls off from a peak, and of spike counts, with no scale to be set. A
    coordinate's curvature is drawn to that of all, which a few dozen evaluations tell.

    Parameters
    ----------
    rows : Tensor
        (n, size) evaluated latents.
    scores : Tensor
        (n,) finite.
    mean, deviation : Tensor
        (size,) the point and the spread around it.
    """
    size = rows.shape[1]
    standard = (rows - mean.float()) / deviation.float()
    square = standard.square()
    weights = square.mean(1).clamp(min=1.0).pow(-LOCALITY)
    target = normal_ranks(scores)
    most = ROWS * (2 * size + 1)
    if len(rows) > most:
        weights, near = weights.topk(most)
        standard, square, target = standard[near], square[near], target[near]
    square = square - 1.0
    features = torch.cat([standard, OWN * square, square.sum(1, keepdim=True) / size**0.5], 1)
    share = weights / weights.sum()
    features = features - share @ features
    weighted = features * weights[:, None]
    precision = weighted.T @ features
    precision.diagonal().add_(RIDGE * size)
    products = weighted.T @ (target - share @ target)
    found = torch.cholesky_solve(products[:, None], torch.linalg.cholesky(precision))[:, 0].double()
    curvature = -(OWN * found[size:-1] + found[-1] / size**0.5)
    bend = float(curvature.mean())
    shape = (curvature / bend).clamp(1 / CURVATURE, CURVATURE) if bend > 0 else torch.ones_like(curvature)
    return Parabolas(found[:size], shape, bend)


def normal_ranks(scores: Tensor) -> Tensor:
    """Normal quantiles of the scores' ranks, equals sharing theirs: float32, (n,)."""
    _, group, counts = scores.unique(return_inverse=True, return_counts=True)
    middle = (counts.cumsum(0) - counts.double() / 2) / len(scores)
    return torch.special.ndtri(middle)[group].float()
