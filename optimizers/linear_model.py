"""A linear model of the score, fitted as evaluations come in, that ranks candidates before they are evaluated."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from ..models.spaces import Box, LatentSpace
from .natural_scale import natural_scale
from .optimizer import Problem, State

MOST_FEATURES = 512
"""Most features: with more, a fit would take more than the few milliseconds that an ask may take."""
GROWTH = 0.02
"""Share by which the evaluations grow before the weights are fitted again."""
COMPONENTS = 8
"""Most principal components of the code vectors."""


class LinearModel:
    """Bayesian ridge regression of the score on the value at each position.

    In a box the features are each coordinate and its square, since a peak may lie inside. For codes they are the leading principal
    components of the code's vector or, where codes are few, one indicator for each code. Every feature has about unit variance.

    Parameters
    ----------
    size : int
        Positions of a latent.
    table : Tensor or None
        (cardinality, width): the features of each code; None in a box.
    centre, scale : Tensor
        (size,) shift and scale that standardise a box's coordinates; unused for codes.
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
        """Return the model for a problem, or None where it would need more than 512 features.

        Parameters
        ----------
        problem : Problem
            Over any space.
        ridge : float
            Precision of the weights' prior, > 0.
        """
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
        """Whether the model has scores that differ."""
        return self._count > 1 and self._variance() > 0

    def add(self, rows: Tensor, scores: Tensor) -> None:
        """Add latents, (n, size), with their scores, (n,); rows whose score isn't finite are left out."""
        told = scores.isfinite()
        features, scores = self._features(rows[told]), scores[told].float()
        self._squares.addmm_(features.T, features)
        self._products += features.T @ scores
        self._sums += features.sum(0)
        self._count += len(scores)
        self._score_sum += float(scores.double().sum())
        self._score_squares += float(scores.double().square().sum())

    def sample(self, rows: Tensor, spread: float, generator: torch.Generator) -> Tensor:
        """Return the scores of latents under weights drawn from the posterior, up to a constant.

        Parameters
        ----------
        rows : Tensor
            (n, size) latents.
        spread : float
            Factor on the posterior's standard deviation: 0 is its mean, 1 is Thompson sampling.
        generator : torch.Generator
            Source of the draw.

        Returns
        -------
        Tensor
            float32, (n,).
        """
        return (self._features(rows) @ self.weights(spread, generator))[:, 0]

    def weights(self, spread: float, generator: torch.Generator, draws: int = 1) -> Tensor:
        """Return weights drawn from the posterior.

        Parameters
        ----------
        spread : float
            Factor on the posterior's standard deviation: 0 is its mean, 1 is Thompson sampling.
        generator : torch.Generator
            Source of the draws.
        draws : int
            Number of draws.

        Returns
        -------
        Tensor
            float32, (features, draws).
        """
        weights, factor, unexplained = self._fitted()
        if not spread:
            return weights.expand(-1, draws)
        noise = torch.randn(len(weights), draws, generator=generator) * (math.sqrt(unexplained) * spread)
        return weights + torch.linalg.solve_triangular(factor.T, noise, upper=True)

    def _fitted(self) -> tuple[Tensor, Tensor, float]:
        """Return the posterior's mean, (features, 1), the factor of its precision, and the variance that the mean leaves unexplained.

        The fit is repeated when the evaluations have grown by :data:`GROWTH`: a factorization costs more than the rest of an ask.
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
        """Return the contributions of single values to the score.

        Parameters
        ----------
        weights : Tensor
            (features, 1).
        positions : Tensor
            (cells,) int64 positions.
        values : Tensor
            (cells,) values at these positions: coordinates or codes.

        Returns
        -------
        Tensor
            (cells,), up to a constant for each position.
        """
        if self._table is not None:
            return self.of_codes(weights)[positions, values]
        linear, square = weights.reshape(2, -1)
        standard = (values.float() - self._centre[positions]) / self._scale[positions]
        return standard * (linear[positions] + square[positions] * standard)

    def of_codes(self, weights: Tensor) -> Tensor:
        """Return the contribution of every code at every position under weights, (features, 1): (size, cardinality); codes only."""
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
        """Return the model's sums and its current fit as plain data."""
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
        """Continue from a state of :meth:`state`."""
        self._squares, self._products, self._sums = (state[name].clone() for name in ("squares", "products", "sums"))
        self._count, self._score_sum, self._score_squares = state["count"], state["score_sum"], state["score_squares"]
        fit = state["fit"]
        self._fit = None if fit is None else (fit["weights"].clone(), fit["factor"].clone(), float(fit["unexplained"]))
        self._fit_count = int(state["fit_count"])


def _code_features(space: LatentSpace, vectors: Tensor | None) -> Tensor | None:
    """Return the features of each code, (cardinality, width), or None where they would be too many."""
    assert not isinstance(space, Box)
    room = MOST_FEATURES // space.size
    if space.cardinality <= room:  # a free weight for each code; features of its vector would allow only a score linear in the vector
        return torch.eye(space.cardinality) * math.sqrt(space.cardinality)
    if vectors is None:
        return None
    width = min(COMPONENTS, room, *vectors.shape)
    if width < 1:
        return None
    centred = vectors.detach().cpu().float() - vectors.detach().cpu().float().mean(0)
    # the sign of a component is the solver's choice, and ridge regression doesn't depend on it
    left, values, _ = torch.linalg.svd(centred, full_matrices=False)
    features = left[:, :width] * values[:width]
    return features / features.std().clamp(min=1e-12)
