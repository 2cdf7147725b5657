"""A concave model of the score around a point: one parabola a coordinate, fitted to all evaluations with most weight on near ones."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

LOCALITY = 3
"""Exponent of the fall of an evaluation's weight beyond the spread: at twice the spread the weight is 1/64."""
OWN = 0.1
"""Prior standard deviation of a coordinate's own curvature, where that of the shared curvature is √size."""
RIDGE = 1.0
"""Precision of the weights' prior a coordinate, where the scores' is 1."""
ROWS = 4
"""Most evaluations in a fit, for each feature; the nearest are taken."""
CURVATURE = 3.0
"""Greatest factor between a coordinate's curvature and the shared one."""


@dataclass(frozen=True)
class Parabolas:
    """Slope and curvature of the score at a point, in units of the spread of the fit.

    Attributes
    ----------
    slope : Tensor
        (size,) float64.
    shape : Tensor
        (size,) float64, positive: each coordinate's curvature over the shared one, 1 where nothing is known.
    bend : float
        The shared curvature, positive where the score has a peak.
    """

    slope: Tensor
    shape: Tensor
    bend: float

    def step(self, longest: float) -> Tensor:
        """Return the step to the peak, (size,), in spreads.

        Parameters
        ----------
        longest : float
            Greatest length (root mean square a coordinate). Where the peak is further or absent, the step goes this far uphill.
        """
        uphill = float(self.slope.square().mean().sqrt())
        step = self.slope / (2 * max(self.bend, uphill / (2 * longest), 1e-12) * self.shape)
        length = float(step.square().mean().sqrt())
        return step * (longest / length) if length > longest else step


def fitted(rows: Tensor, scores: Tensor, mean: Tensor, deviation: Tensor) -> Parabolas:
    """Return parabolas by weighted ridge regression of the scores' normal ranks on every coordinate and its square.

    Normal quantiles of ranks turn any score that falls off from a peak, spike counts included, into a near parabola without a scale to set.
    A coordinate's curvature is shrunk towards the shared one, which a few dozen evaluations determine.

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
    """Return the normal quantiles of the scores' ranks: float32, (n,); equal scores share one quantile."""
    _, group, counts = scores.unique(return_inverse=True, return_counts=True)
    middle = (counts.cumsum(0) - counts.double() / 2) / len(scores)
    return torch.special.ndtri(middle)[group].float()
