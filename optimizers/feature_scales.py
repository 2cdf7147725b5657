"""How a feature model's prior and warp are scaled: by what makes the evaluations most likely.

A warp is a transformation of responses whose noise grows with them, for a model that takes noise to be the same everywhere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

OFFSET = 0.05
"""Added before a root or a logarithm, in units of a typical response: silence has neither an infinite slope nor an infinite logarithm."""


def plain(scores: Tensor, unit: float) -> tuple[Tensor, Tensor]:
    """As they are, for noise of one size: (n,) -> what they become, and the logarithm of each one's slope."""
    return scores / unit, torch.full_like(scores, -math.log(unit))


def root(scores: Tensor, unit: float) -> tuple[Tensor, Tensor]:
    """The square root, for counts: it makes Poisson noise one of the same size everywhere (Bartlett, 1936)."""
    shifted = (scores.clamp(min=0.0) + OFFSET * unit) / unit
    return shifted.sqrt(), -0.5 * shifted.log() - math.log(2 * unit)


def logarithm(scores: Tensor, unit: float) -> tuple[Tensor, Tensor]:
    """The logarithm, for noise in proportion to the response."""
    shifted = (scores.clamp(min=0.0) + OFFSET * unit) / unit
    return shifted.log(), -shifted.log() - math.log(unit)


WARPS = (plain, root, logarithm)
"""``unit`` is a typical size of the scores; the latter two are for scores ≥ 0."""


@dataclass(frozen=True)
class Scales:
    """The prior's standard deviations, of standardised responses to a natural draw.

    Attributes
    ----------
    linear, square, product : float
        Of the linear part, the squares, and the products of two coordinates.
    wave : float
        Of the part made of random Fourier features.
    length : float
        Of these, in distances of two natural draws.
    noise : float
        Variance of one measurement.
    """

    linear: float = 1.0
    square: float = 0.3
    product: float = 0.3
    wave: float = 0.7
    length: float = 1.0
    noise: float = 0.1


RELEVANCE, MOST_RELEVANT = 5 / 3, 8.0
"""Factor by which a coordinate's relevance changes when the scales are chosen, and the most that it may be, or one over it."""
CHANCE = 0.5
"""By how much a change of it has to raise the log evidence."""
CHOICES: dict[str, tuple[float, ...]] = {
    "noise": (1e-4, 1e-3, 0.01, 0.03, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2),
    "length": (0.35, 0.5, 0.7, 1.0, 1.4, 2.0),
    "wave": (0.25, 0.5, 1.0, 2.0),
    "linear": (0.5, 1.0, 2.0),
    "square": (0.1, 0.3, 1.0),
    "product": (0.1, 0.3, 1.0),
}


class Likelihood:
    """The evidence for scales, by the kernel that the features stand for."""

    def __init__(self, rows: Tensor, pairs: bool) -> None:
        rows = rows.double()
        size = rows.shape[1]
        self._inner = rows @ rows.T / size
        squares = rows.square()
        together = squares @ squares.T
        totals = squares.sum(1)
        self._squares = (together - totals[:, None] - totals[None] + size) / (2 * size)
        self._products = ((rows @ rows.T).square() - together) / (2 * size**2) if pairs else torch.zeros_like(together)
        self._rows = rows
        self.weigh(torch.ones(size))

    def weigh(self, relevance: Tensor) -> None:
        """Take distances with every coordinate multiplied by its relevance, (size,)."""
        rows = self._rows * relevance.double()
        totals = rows.square().sum(1)
        self._distances = (totals[:, None] + totals[None] - 2 * rows @ rows.T).clamp(min=0.0) / (2 * rows.shape[1])

    def __call__(self, scales: Scales, standard: Tensor) -> float:
        """Return the log evidence of standardised responses, (n,), but for a constant; -inf where the kernel can't be factored."""
        kernel = 9.0 + scales.linear**2 * self._inner + scales.square**2 * self._squares + scales.product**2 * self._products
        kernel += scales.wave**2 * (self._distances / (-2 * scales.length**2)).exp_()
        kernel.diagonal().add_(scales.noise)
        factor = torch.linalg.cholesky_ex(kernel)
        if int(factor.info):
            return -math.inf
        solved = torch.linalg.solve_triangular(factor.L, standard[:, None], upper=False)
        return -0.5 * float(solved.square().sum()) - float(factor.L.diagonal().log().sum())


def swept(likelihood: Likelihood, scales: Scales, standard: Tensor) -> tuple[Scales, float]:
    """The best of each of :data:`CHOICES` in turn, and its likelihood."""
    best = likelihood(scales, standard)
    for name, choices in CHOICES.items():
        for choice in choices:
            tried = replace(scales, **{name: choice})
            value = likelihood(tried, standard) if tried != scales else best
            if value > best:
                scales, best = tried, value
    return scales, best


def weighed(likelihood: Likelihood, relevance: Tensor, scales: Scales, standard: Tensor) -> Tensor:
    """Every coordinate's relevance in turn, one step down or up where that is worth more than chance; ``likelihood`` keeps them."""
    best = likelihood(scales, standard)
    for coordinate in range(len(relevance)):
        for factor in (1 / RELEVANCE, RELEVANCE):
            tried = relevance.clone()
            tried[coordinate] = (tried[coordinate] * factor).clamp(1 / MOST_RELEVANT, MOST_RELEVANT)
            likelihood.weigh(tried)
            value = likelihood(scales, standard)
            if value > best + CHANCE:
                relevance, best = tried, value
                break
    likelihood.weigh(relevance)
    return relevance
