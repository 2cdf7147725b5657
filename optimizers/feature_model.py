"""Bayesian regression on quadratic and random Fourier features: a model of noisy responses that whole functions can be drawn from."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from .feature_scales import WARPS, Likelihood, Scales, swept, weighed
from .optimizer import State

PAIRS = 40
"""Coordinates up to which products of two of them are features: beyond, there would be more than a thousand."""
FITTED = 300
"""Evaluations, half of them the latest, from which the prior's scales are chosen."""
JITTERS = 40
"""Times that the diagonal term of the precision is doubled, to 2⁴⁰, before the model counts as unsolvable."""
GROWTH = 1.5
"""Factor by which the evaluations grow before the scales are fitted again."""


class FeatureModel:
    """A posterior over responses, linear in fixed features of a latent.

    The features are a constant, the coordinates, their squares, in up to :data:`PAIRS` dimensions their products, and random Fourier
    features of a squared-exponential kernel (Rahimi and Recht, "Random features for large-scale kernel machines", 2007). The quadratic
    features locate a peak from afar; the Fourier features model what is not quadratic about it. The posterior over the weights is normal
    (Rasmussen and Williams, 2006, equations 2.7 and 2.8), so that a function can be drawn whole and climbed.

    The prior's scales, the noise and the warp of the responses are fitted by maximum marginal likelihood, one after the other. The warps
    are none, a square root and a logarithm; the latter two are for noise that grows with the response, as Poisson noise does.

    Parameters
    ----------
    size : int
        Dimensions of a latent.
    n_features : int
        Number of random Fourier features.
    generator : torch.Generator
        Draws the frequencies and phases of the Fourier features.
    """

    def __init__(self, size: int, n_features: int, generator: torch.Generator) -> None:
        self.size = size
        self._frequencies = torch.randn(size, n_features, generator=generator) / math.sqrt(2 * size)
        self._phases = 2 * math.pi * torch.rand(n_features, generator=generator)
        self._pairs = torch.triu_indices(size, size, 1) if size <= PAIRS else torch.empty(2, 0, dtype=torch.long)
        self.scales = Scales()
        self.relevance = torch.ones(size)
        """(size,) factors by which each coordinate's length scale in the Fourier features is shorter."""
        self.warp, self._unit = 0, 1.0
        self.rows = torch.empty(0, size)
        """(n, size) float32, standardised latents."""
        self.scores = torch.empty(0, dtype=torch.float64)
        self._features = torch.empty(0, self.width)
        self._blocks: list[int] = []
        """Numbers of rows added at a time: adding the same blocks again after a restart gives the same bits."""
        self._fitted_at = 0
        self._clear()
        self._solved = False

    def __len__(self) -> int:
        return len(self.scores)

    @property
    def heard(self) -> int:
        """Number of scores above the lowest one."""
        return int((self.scores > self.scores.min()).sum()) if len(self) else 0

    @property
    def width(self) -> int:
        """Number of features."""
        return 1 + 2 * self.size + self._pairs.shape[1] + len(self._phases)

    def add(self, rows: Tensor, scores: Tensor) -> None:
        """Add evaluations to the model; the scales are fitted again each time their number has grown by half.

        Parameters
        ----------
        rows : Tensor
            (b, size) standardised latents.
        scores : Tensor
            (b,), finite.
        """
        if not len(scores):
            return
        self.rows = torch.cat([self.rows, rows.float()])
        self.scores = torch.cat([self.scores, scores.double()])
        self._blocks.append(len(scores))
        if len(self) >= GROWTH * self._fitted_at and len(self) >= 4:
            self._choose()
            self._rebuild([len(self)])
        else:
            self._take(slice(len(self) - len(scores), len(self)))
        self._solved = False

    def best(self, n: int) -> Tensor:
        """Return the ``n`` evaluated rows of the highest posterior mean, best first: (at most n, size)."""
        self._solve()
        fitted = self._features @ (self._mean * self._prior)
        return self.rows[fitted.argsort(descending=True, stable=True)[:n]]

    def best_of(self, weights: Tensor, others: Tensor) -> Tensor:
        """Return for each function the row of its highest value.

        Parameters
        ----------
        weights : Tensor
            (k, width) functions.
        others : Tensor
            (m, size) rows to consider besides all evaluated ones.

        Returns
        -------
        Tensor
            (k, size).
        """
        values = torch.cat([self._features @ weights.T, self._expand(others) @ weights.T])
        return torch.cat([self.rows, others])[values.argmax(0)]

    @property
    def mean(self) -> Tensor:
        """The posterior's mean function, as weights of the features: (1, width)."""
        self._solve()
        return (self._mean * self._prior)[None]

    def draws(self, n: int, inflation: float, generator: torch.Generator) -> Tensor:
        """Return functions drawn from the posterior.

        Parameters
        ----------
        n : int
            Number of functions.
        inflation : float
            Factor on a draw's deviation from the posterior's mean.
        generator : torch.Generator
            Source of the draws.

        Returns
        -------
        Tensor
            (n, width) weights of the features.
        """
        self._solve()
        noise = inflation * torch.randn(self.width, n, generator=generator)
        drawn = self._mean[:, None] + torch.linalg.solve_triangular(self._factor.T, noise, upper=True)
        return (drawn * self._prior[:, None]).T.contiguous()

    def values(self, weights: Tensor, rows: Tensor) -> Tensor:
        """Return the value of each function at its own row: weights, (k, width), and rows, (k, size) -> (k,)."""
        return (self._expand(rows) * weights).sum(1)

    def climb(self, weights: Tensor, starts: Tensor, radius: float, low: Tensor, high: Tensor, steps: int) -> Tensor:
        """Return the end points of gradient ascent of each function from its own start.

        Parameters
        ----------
        weights : Tensor
            (k, width) functions.
        starts : Tensor
            (k, size).
        radius : float
            Greatest Euclidean distance from the start.
        low, high : Tensor
            (size,) bounds.
        steps : int
            Number of steps, each shorter than the one before.

        Returns
        -------
        Tensor
            (k, size), within ``radius`` of the starts and the bounds.
        """
        size, pairs = self.size, self._pairs.shape[1]
        linear, squares = weights[:, 1 : size + 1], weights[:, size + 1 : 2 * size + 1] * math.sqrt(2)
        curvature = torch.diag_embed(squares)
        curvature[:, self._pairs[0], self._pairs[1]] = weights[:, 2 * size + 1 : 2 * size + 1 + pairs]
        curvature[:, self._pairs[1], self._pairs[0]] = weights[:, 2 * size + 1 : 2 * size + 1 + pairs]
        waves = weights[:, 2 * size + 1 + pairs :]
        frequencies = self._scaled
        rows = starts.clone()
        for step in range(steps):
            slope = linear + torch.bmm(curvature, rows[:, :, None])[:, :, 0]
            slope = slope - ((rows @ frequencies + self._phases).sin_() * waves) @ frequencies.T
            rows = rows + 8 * radius / steps * (1 - step / steps) * slope / slope.norm(dim=1, keepdim=True).clamp(min=1e-12)
            moved = rows - starts
            rows = starts + moved * (radius / moved.norm(dim=1, keepdim=True).clamp(min=1e-12)).clamp(max=1.0)
            rows = torch.minimum(torch.maximum(rows, low), high)
        return rows

    def _expand(self, rows: Tensor) -> Tensor:
        """Return the features without the prior's scales: (n, size) -> (n, width)."""
        products = rows[:, self._pairs[0]] * rows[:, self._pairs[1]]
        waves = (rows @ self._scaled + self._phases).cos_()
        return torch.cat([torch.ones(len(rows), 1), rows, (rows.square() - 1) / math.sqrt(2), products, waves], 1)

    @property
    def _scaled(self) -> Tensor:
        """Frequencies of the Fourier features, (size, n_features), at the fitted length scales."""
        return self._frequencies * (self.relevance[:, None] / self.scales.length)

    @property
    def _prior(self) -> Tensor:
        """Standard deviation of each feature's weight."""
        size, pairs, waves, scales = self.size, self._pairs.shape[1], len(self._phases), self.scales
        parts = (
            (1, 3.0),
            (size, scales.linear / math.sqrt(size)),
            (size, scales.square / math.sqrt(size)),
            (pairs, scales.product / size),
            (waves, scales.wave * math.sqrt(2 / max(waves, 1))),
        )
        return torch.cat([torch.full((count,), value) for count, value in parts])

    def _clear(self) -> None:
        self._features = torch.empty(0, self.width)
        self._gram = torch.zeros(self.width, self.width)
        self._sums = torch.zeros(2, self.width)
        """Sums over the rows of the features, and of the features times the warped scores."""

    def _take(self, block: slice) -> None:
        features = self._expand(self.rows[block])
        self._features = torch.cat([self._features, features])
        self._gram.addmm_(features.T, features)
        warped = WARPS[self.warp](self.scores[block], self._unit)[0].float()
        self._sums += torch.stack([features.sum(0), features.T @ warped])

    def _rebuild(self, blocks: list[int]) -> None:
        self._clear()
        self._blocks = list(blocks)
        first = 0
        for count in blocks:
            self._take(slice(first, first + count))
            first += count

    def _solve(self) -> None:
        if self._solved:
            return
        warped = WARPS[self.warp](self.scores, self._unit)[0]
        middle, deviation = float(warped.mean()), float(warped.std(correction=0)) or 1.0
        prior, noise = self._prior, self.scales.noise
        precision = prior[:, None] * self._gram * (prior / noise)
        jitter = 1.0
        for _ in range(JITTERS):
            precision.diagonal().add_(jitter)
            self._factor, failed = torch.linalg.cholesky_ex(precision)
            if not int(failed):
                break
            jitter *= 2
        else:
            raise ArithmeticError("the model of the responses cannot be solved: latents or responses are not finite")
        told = (self._sums[1] - middle * self._sums[0]) / deviation
        self._mean = torch.cholesky_solve((prior * told / noise)[:, None], self._factor)[:, 0]
        self._solved = True

    def _choose(self) -> None:
        """Fit warp and scales by the marginal likelihood over :data:`CHOICES`, one after the other; the chosen warp's scales twice."""
        self._fitted_at = len(self)
        kept = torch.arange(len(self))
        if len(kept) > FITTED:
            older = kept[: -(FITTED // 2)]
            kept = torch.cat([older[:: math.ceil(len(older) / (FITTED // 2))], kept[-(FITTED // 2) :]])
        scores = self.scores[kept]
        if float(scores.std(correction=0)) == 0.0:
            return
        self._unit = float(scores.abs().mean())
        warps = WARPS if bool((self.scores >= 0).all()) else WARPS[:1]
        likelihood = Likelihood(self.rows[kept], bool(self._pairs.shape[1]))
        likelihood.weigh(self.relevance)
        best, chosen, standards = -math.inf, self.scales, list[tuple[Tensor, float]]()
        for number, warp in enumerate(warps):
            warped, jacobian = warp(scores, self._unit)
            deviation = float(warped.std(correction=0)) or 1.0
            standards.append(((warped - warped.mean()) / deviation, float(jacobian.sum()) - len(kept) * math.log(deviation)))
            scales, found = swept(likelihood, self.scales, standards[-1][0])
            if found + standards[-1][1] > best:
                best, self.warp, chosen = found + standards[-1][1], number, scales
        standard = standards[self.warp][0]
        self.scales, _ = swept(likelihood, chosen, standard)
        if self.size <= PAIRS:
            self.relevance = weighed(likelihood, self.relevance, self.scales, standard)
            self.scales, _ = swept(likelihood, self.scales, standard)

    def state(self) -> dict[str, Any]:
        """Return the model's state as plain data; all that can be computed from it again in the same order is left out."""
        return {
            "frequencies": self._frequencies.clone(),
            "phases": self._phases.clone(),
            "rows": self.rows.clone(),
            "scores": self.scores.clone(),
            "blocks": list(self._blocks),
            "fitted_at": self._fitted_at,
            "warp": self.warp,
            "unit": self._unit,
            "scales": dict(vars(self.scales)),
            "relevance": self.relevance.clone(),
        }

    def restore(self, state: State) -> None:
        """Continue from a state of :meth:`state`."""
        self._frequencies, self._phases = state["frequencies"].clone(), state["phases"].clone()
        self.rows, self.scores = state["rows"].clone(), state["scores"].clone()
        self._fitted_at, self.warp, self._unit = int(state["fitted_at"]), int(state["warp"]), float(state["unit"])
        self.scales = Scales(**state["scales"])
        self.relevance = state["relevance"].clone() if "relevance" in state else torch.ones(self.size)
        self._rebuild([int(count) for count in state["blocks"]])
        self._solved = False
