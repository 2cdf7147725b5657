"""A linear model of the score, fitted as evaluations come in, that tells promising candidates from others before they are evaluated."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from ..models.spaces import Box, LatentSpace
from .natural_scale import natural_scale
from .optimizer import Problem, State

MOST_FEATURES = 512
"""Beyond which refitting would cost more than the few milliseconds that an ask may take."""
GROWTH = 0.02
"""Share by which the evaluations grow before the weights are fitted anew."""
COMPONENTS = 8
"""Most principal components of the code vectors."""


class LinearModel:
    """Bayesian ridge regression of the score on what stands at each position.

    What stands there is, in a box, the coordinate and its square, for a peak may lie inside; for codes, the leading principal components of
    the code's vector, or, where codes are few, which one it is. Every feature is scaled to about unit variance.

    Parameters
    ----------
    table : Tensor or None
        (cardinality, width): the features of each code; None in a box.
    centre, scale : Tensor
        (size,) that make a box's coordinates standard; unused for codes.
    ridge : float
        Precision of the weights' prior, where the residuals' is 1.
    """

    def __init__(self, size: int, table: Tensor | None, centre: Tensor, scale: Tensor, ridge: float) -> None:
        self._table, self._centre, self._scale, self._ridge = table, centre, scale, ridge
        width = 2 * size if table is None else size * table.shape[1]
        self._squares = torch.zeros(width, width)
        self._products = torch.zeros(width)
        self._sums = torch.zeros(width)
        self._count, self._score_sum, self._score_squares = 0, 0.0, 0.0
        self._fit: tuple[Tensor, Tensor, float] | None = None
        self._fit_count = 0

    @classmethod
    def of(cls, problem: Problem, ridge: float) -> LinearModel | None:
        """The model for a problem, or None where it would have more than 512 features."""
        space = problem.latent
        if isinstance(space, Box):
            if 2 * space.size > MOST_FEATURES:
                return None
            centre, scale = natural_scale(space, problem.bank)
            return cls(space.size, None, centre.float(), scale.float(), ridge)
        table = _code_features(space, problem.code_vectors)
        return None if table is None else cls(space.size, table, torch.empty(0), torch.empty(0), ridge)

    @property
    def ready(self) -> bool:
        """Whether it was told scores that differ."""
        return self._count > 1 and self._variance() > 0

    def add(self, rows: Tensor, scores: Tensor) -> None:
        """Take in latents, (n, size), with their scores; what isn't finite is left out."""
        told = scores.isfinite()
        features, scores = self._features(rows[told]), scores[told].float()
        self._squares.addmm_(features.T, features)
        self._products += features.T @ scores
        self._sums += features.sum(0)
        self._count += len(scores)
        self._score_sum += float(scores.double().sum())
        self._score_squares += float(scores.double().square().sum())

    def sample(self, rows: Tensor, spread: float, generator: torch.Generator) -> Tensor:
        """Scores of latents, (n, size), under weights drawn from the posterior, up to a constant: float32, (n,).

        Parameters
        ----------
        rows : Tensor
            Latents.
        spread : float
            Factor on the posterior's standard deviation: 0 is its mean, 1 is Thompson sampling.
        generator : torch.Generator
            For the draw.
        """
        return (self._features(rows) @ self.weights(spread, generator))[:, 0]

    def weights(self, spread: float, generator: torch.Generator, draws: int = 1) -> Tensor:
        """Weights drawn from the posterior as :meth:`sample` does, (features, draws)."""
        weights, factor, unexplained = self._fitted()
        if not spread:
            return weights.expand(-1, draws)
        noise = torch.randn(len(weights), draws, generator=generator) * (math.sqrt(unexplained) * spread)
        return weights + torch.linalg.solve_triangular(factor.T, noise, upper=True)

    def _fitted(self) -> tuple[Tensor, Tensor, float]:
        """The posterior's mean, (features, 1), the factor of its precision, and the variance that the mean leaves unexplained.

        They are found anew when evaluations have grown by a share: a factorization costs more than all else of an ask.
        """
        if self._fit is not None and self._count < self._fit_count * (1 + GROWTH):
            return self._fit
        mean, score = self._sums / self._count, self._score_sum / self._count
        squares = torch.addr(self._squares, mean, self._sums, alpha=-1.0)
        products = self._products - self._sums * score
        squares.diagonal().add_(self._ridge)
        factor = torch.linalg.cholesky(squares)
        weights = torch.cholesky_solve(products[:, None], factor)
        unexplained = max(self._variance() - float(products @ weights[:, 0]) / self._count, 0.0)
        self._fit, self._fit_count = (weights, factor, unexplained), self._count
        return self._fit

    def gains(self, weights: Tensor, positions: Tensor, values: Tensor) -> Tensor:
        """What ``values`` at ``positions``, both (cells,), add to the score under weights, (features, 1): (cells,)."""
        if self._table is not None:
            return self.of_codes(weights)[positions, values]
        linear, square = weights.reshape(2, -1)
        standard = (values.float() - self._centre[positions]) / self._scale[positions]
        return standard * (linear[positions] + square[positions] * standard)

    def of_codes(self, weights: Tensor) -> Tensor:
        """What every code adds to the score at every position, under such weights: (size, cardinality); codes only."""
        assert self._table is not None
        return weights.reshape(-1, self._table.shape[1]) @ self._table.T

    def _variance(self) -> float:
        return max(self._score_squares / self._count - (self._score_sum / self._count) ** 2, 0.0)

    def _features(self, rows: Tensor) -> Tensor:
        if self._table is None:
            standard = (rows.float() - self._centre) / self._scale
            return torch.cat([standard, standard.square()], 1)
        return self._table[rows].flatten(1)

    def state(self) -> dict[str, Any]:
        """Its sums, and the fit in use."""
        fit = None if self._fit is None else {"weights": self._fit[0].clone(), "factor": self._fit[1].clone(), "unexplained": self._fit[2]}
        return {
            "fit": fit,
            "fit_count": self._fit_count,
            "squares": self._squares.clone(),
            "products": self._products.clone(),
            "sums": self._sums.clone(),
            "count": self._count,
            "score_sum": self._score_sum,
            "score_squares": self._score_squares,
        }

    def restore(self, state: State) -> None:
        """Go on from :meth:`state`."""
        self._squares, self._products, self._sums = (state[name].clone() for name in ("squares", "products", "sums"))
        self._count, self._score_sum, self._score_squares = state["count"], state["score_sum"], state["score_squares"]
        fit = state["fit"]
        self._fit = None if fit is None else (fit["weights"].clone(), fit["factor"].clone(), float(fit["unexplained"]))
        self._fit_count = int(state["fit_count"])


def _code_features(space: LatentSpace, vectors: Tensor | None) -> Tensor | None:
    """(cardinality, width), or None where there would be too many."""
    assert not isinstance(space, Box)
    room = MOST_FEATURES // space.size
    if space.cardinality <= room:  # whatever a code is worth; its vector alone could say no more than that more of it is better
        return torch.eye(space.cardinality) * math.sqrt(space.cardinality)
    if vectors is None:
        return None
    width = min(COMPONENTS, room, *vectors.shape)
    if width < 1:
        return None
    centred = vectors.detach().cpu().float() - vectors.detach().cpu().float().mean(0)
    # the sign of a component is the solver's choice, and no matter to a ridge
    left, values, _ = torch.linalg.svd(centred, full_matrices=False)
    features = left[:, :width] * values[:width]
    return features / features.std().clamp(min=1e-12)
