"""Gaussian-process regression over a growing set of evaluations, for searches that let a model choose what to evaluate."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from .optimizer import State

JITTER = 1e-6
TINY = 1e-300
FITTED = 400
"""Evaluations, half of them the latest, from which the kernel's scales are chosen."""
LENGTHS = tuple(2.0 ** (k / 2) for k in range(-4, 7))

NOISES = (1e-4, 1e-2, 0.1, 0.3, 1.0, 3.0, 10.0)


def _plain(scores: Tensor, unit: float) -> tuple[Tensor, Tensor]:
    return scores / unit, torch.full_like(scores, -math.log(unit))


def _root(scores: Tensor, unit: float) -> tuple[Tensor, Tensor]:
    shifted = (scores.clamp(min=0.0) + 0.05 * unit) / unit
    return shifted.sqrt(), -0.5 * shifted.log() - math.log(2 * unit)


def _log(scores: Tensor, unit: float) -> tuple[Tensor, Tensor]:
    shifted = (scores.clamp(min=0.0) + 0.05 * unit) / unit
    return shifted.log(), -shifted.log() - math.log(unit)


WARPS = (_plain, _root, _log)


class GaussianProcess:
    """A posterior over responses given all evaluations, by a squared-exponential kernel of one length.

    Rasmussen and Williams, "Gaussian Processes for Machine Learning", 2006, algorithm 2.1. Length and noise are those of a grid that
    make the evaluations most likely; so is the warp of the scores, none, a square root or a logarithm, the latter two for responses
    whose noise grows with them (Snelson et al., "Warped Gaussian processes", 2004). All are chosen anew each time the number of
    evaluations has grown by half. Between, the Cholesky factor grows by a block a batch, so that a batch of b after n costs n² b.
    Warped scores are standardised.
    """

    def __init__(self) -> None:
        self.features = torch.empty(0, 0)
        """(n, d) float32."""
        self.scores = torch.empty(0, dtype=torch.float64)
        self.length, self.noise = 1.0, 0.1
        self.warp, self._unit = 0, 1.0
        self._fitted_at = 0
        self._factor = torch.empty(0, 0)
        self._norms = torch.empty(0)
        self._weights = torch.empty(0)
        self._standard = torch.empty(0)

    def __len__(self) -> int:
        return len(self.scores)

    def add(self, features: Tensor, scores: Tensor) -> None:
        """Take in (b, d) features with their finite scores, (b,)."""
        if not len(scores):
            return
        features = features.float()
        before = len(self)
        self.features = torch.cat([self.features, features]) if before else features.clone()
        self.scores = torch.cat([self.scores, scores.double()])
        self._norms = torch.cat([self._norms, features.square().sum(1)])
        if len(self) >= 1.5 * self._fitted_at:
            self._choose()
            self._factorise()
        else:
            self._extend(before)
        self._solve()

    def keep(self, rows: Tensor) -> None:
        """Forget all evaluations but ``rows``."""
        self.features, self.scores, self._norms = self.features[rows], self.scores[rows], self._norms[rows]
        self._fitted_at = len(self)
        self._factorise()
        self._solve()

    def posterior(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of the response (without noise) at (m, d) features, in standardised units: (m,), (m,)."""
        across = self._kernel(features.float(), features.float().square().sum(1), self.features, self._norms)
        solved = torch.linalg.solve_triangular(self._factor, across.T, upper=False)
        return across @ self._weights, (1.0 - solved.square().sum(0)).clamp(min=1e-9).sqrt()

    def mean(self, features: Tensor) -> Tensor:
        """The posterior's mean alone: (m, d) -> (m,)."""
        return self._kernel(features, features.square().sum(1), self.features, self._norms) @ self._weights

    def fitted_mean(self) -> Tensor:
        """The posterior's mean at every evaluation: (n,)."""
        # K w = y - noise w, so that no kernel is needed
        return self._standard - (self.noise + JITTER) * self._weights

    def gradient(self, features: Tensor) -> Tensor:
        """Of the posterior's mean at (m, d) features: (m, d)."""
        across = self._kernel(features, features.square().sum(1), self.features, self._norms) * self._weights
        return (across @ self.features - across.sum(1, keepdim=True) * features) / self.length**2

    def _kernel(self, a: Tensor, a_norms: Tensor, b: Tensor, b_norms: Tensor, length: float | None = None) -> Tensor:
        return (self._distances(a, a_norms, b, b_norms) / (-2.0 * (length or self.length) ** 2)).exp_()

    @staticmethod
    def _distances(a: Tensor, a_norms: Tensor, b: Tensor, b_norms: Tensor) -> Tensor:
        return torch.addmm(b_norms, a, b.T, alpha=-2.0).add_(a_norms[:, None]).clamp_(min=0.0)

    def _choose(self) -> None:
        """Length and noise of the largest marginal likelihood."""
        self._fitted_at = len(self)
        rows = torch.arange(len(self))
        if len(rows) > FITTED:
            older = rows[: -(FITTED // 2)]
            rows = torch.cat([older[:: math.ceil(len(older) / (FITTED // 2))], rows[-(FITTED // 2) :]])
        if len(rows) < 4 or float(self.scores[rows].std(correction=0)) == 0.0:
            return
        distances = self._distances(self.features[rows], self._norms[rows], self.features[rows], self._norms[rows]).double()
        distances.fill_diagonal_(0.0)
        eye = torch.eye(len(rows), dtype=torch.float64)
        warps = WARPS if bool((self.scores >= 0).all()) else WARPS[:1]
        unit = float(self.scores[rows].abs().mean())
        warped = torch.stack([warp(self.scores[rows], unit)[0] for warp in warps], 1)
        jacobians = [float(warp(self.scores[rows], unit)[1].sum()) for warp in warps]
        warped = warped - warped.mean(0)
        best_score = -math.inf
        for length in LENGTHS:
            values, vectors = torch.linalg.eigh((distances / (-2.0 * length**2)).exp() + JITTER * eye)
            projected = (vectors.T @ warped).square()
            for noise in NOISES:
                spectrum = values.clamp(min=JITTER) + noise
                for number in range(len(warps)):
                    # the signal's variance at its optimum, in closed form
                    # at least TINY: scores that differ by one rounding may leave nothing once their mean is taken off
                    variance = max(float((projected[:, number] / spectrum).mean()), TINY)
                    score = jacobians[number] - 0.5 * (len(rows) * math.log(variance) + float(spectrum.log().sum()))
                    if score > best_score:
                        best_score, self.length, self.noise, self.warp = score, length, noise, number
        self._unit = unit

    def _factorise(self) -> None:
        kernel = self._kernel(self.features, self._norms, self.features, self._norms).double()
        kernel.fill_diagonal_(1.0 + self.noise + JITTER)
        while True:
            factor = torch.linalg.cholesky_ex(kernel)
            if not int(factor.info):
                break
            self.noise *= 4
            kernel.diagonal().add_(3 * self.noise / 4)
        self._factor = factor.L.float()

    def _extend(self, before: int) -> None:
        """Grow the factor by the rows after ``before``."""
        new, norms = self.features[before:], self._norms[before:]
        across = self._kernel(new, norms, self.features[:before], self._norms[:before])
        corner = self._kernel(new, norms, new, norms).double()
        corner.fill_diagonal_(1.0 + self.noise + JITTER)
        left = torch.linalg.solve_triangular(self._factor, across.T, upper=False)
        rest = torch.linalg.cholesky_ex(corner - (left.double().T @ left.double()))
        if int(rest.info):
            self._factorise()
            return
        n = len(self)
        factor = torch.zeros(n, n)
        factor[:before, :before] = self._factor
        factor[before:, :before] = left.T
        factor[before:, before:] = rest.L.float()
        self._factor = factor

    def _solve(self) -> None:
        warped = WARPS[self.warp](self.scores, self._unit)[0]
        deviation = float(warped.std(correction=0)) or 1.0
        self._standard = ((warped - float(warped.mean())) / deviation).float()
        self._weights = torch.cholesky_solve(self._standard[:, None], self._factor)[:, 0]

    def state(self) -> dict[str, Any]:
        """All that it holds."""
        return {
            "features": self.features.clone(),
            "scores": self.scores.clone(),
            "factor": self._factor.clone(),
            "length": self.length,
            "noise": self.noise,
            "warp": self.warp,
            "unit": self._unit,
            "fitted_at": self._fitted_at,
        }

    def restore(self, state: State) -> None:
        """Go on from :meth:`state`."""
        self.features, self.scores, self._factor = state["features"].clone(), state["scores"].clone(), state["factor"].clone()
        self.length, self.noise, self._fitted_at = state["length"], state["noise"], state["fitted_at"]
        self.warp, self._unit = state["warp"], state["unit"]
        self._norms = self.features.square().sum(1) if len(self) else torch.empty(0)
        if len(self):
            self._solve()
