"""The scales and the warp of a feature model, fitted by marginal likelihood.

A warp is a transformation of responses whose noise grows with them, for a model that assumes equal noise everywhere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

OFFSET = 0.05
"""Added before a root or a logarithm, in units of a typical response, so that slope and logarithm are finite at zero."""


def plain(scores: Tensor, unit: float) -> tuple[Tensor, Tensor]:
    """Return scores divided by ``unit``, for noise of one size.

    Parameters
    ----------
    scores : Tensor
        (n,) responses.
    unit : float
        Typical size of the scores, > 0.

    Returns
    -------
    warped, log_slope : Tensor
        (n,) the warped scores, and the logarithm of the warp's slope at each score.
    """
    return scores / unit, torch.full_like(scores, -math.log(unit))


def root(scores: Tensor, unit: float) -> tuple[Tensor, Tensor]:
    """Return the square root of scores, for counts: Poisson noise becomes equal everywhere (Bartlett, 1936).

    Parameters
    ----------
    scores : Tensor
        (n,) responses, >= 0.
    unit : float
        Typical size of the scores, > 0.

    Returns
    -------
    warped, log_slope : Tensor
        As of :func:`plain`.
    """
    shifted = (scores.clamp(min=0.0) + OFFSET * unit) / unit
    return shifted.sqrt(), -0.5 * shifted.log() - math.log(2 * unit)


def logarithm(scores: Tensor, unit: float) -> tuple[Tensor, Tensor]:
    """Return the logarithm of scores, for noise in proportion to the response.

    Parameters
    ----------
    scores : Tensor
        (n,) responses, >= 0.
    unit : float
        Typical size of the scores, > 0.

    Returns
    -------
    warped, log_slope : Tensor
        As of :func:`plain`.
    """
    shifted = (scores.clamp(min=0.0) + OFFSET * unit) / unit
    return shifted.log(), -shifted.log() - math.log(unit)


WARPS = (plain, root, logarithm)
"""The warps to choose from; the last two are for scores ≥ 0."""


@dataclass(frozen=True)
class Scales:
    """The prior's standard deviations, in units of standardised responses to a natural draw.

    Attributes
    ----------
    linear, square, product : float
        Standard deviation of the linear part, of the squares, and of the products of two coordinates.
    wave : float
        Standard deviation of the part made of random Fourier features.
    length : float
        Length scale of the Fourier features, in distances between two natural draws.
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
"""Factor of one change of a coordinate's relevance, and the greatest relevance; its inverse is the least one."""
CHANCE = 0.5
"""Least gain in log evidence for which a relevance is changed."""
CHOICES: dict[str, tuple[float, ...]] = {
    "noise": (1e-4, 1e-3, 0.01, 0.03, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2),
    "length": (0.35, 0.5, 0.7, 1.0, 1.4, 2.0),
    "wave": (0.25, 0.5, 1.0, 2.0),
    "linear": (0.5, 1.0, 2.0),
    "square": (0.1, 0.3, 1.0),
    "product": (0.1, 0.3, 1.0),
}


class Likelihood:
    """The marginal likelihood of scales, by the kernel that the features approximate.

    Parameters
    ----------
    rows : Tensor
        (n, size) standardised latents.
    pairs : bool
        Whether products of two coordinates are features.
    """

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
        """Multiply every coordinate by its relevance, (size,), in the distances of the Fourier part."""
        rows = self._rows * relevance.double()
        totals = rows.square().sum(1)
        self._distances = (totals[:, None] + totals[None] - 2 * rows @ rows.T).clamp(min=0.0) / (2 * rows.shape[1])

    def __call__(self, scales: Scales, standard: Tensor) -> float:
        """Return the log evidence of standardised responses, up to a constant.

        Parameters
        ----------
        scales : Scales
            The scales to rate.
        standard : Tensor
            (n,) float64 responses with mean 0 and standard deviation 1.

        Returns
        -------
        float
            -inf where the kernel can't be factored.
        """
        kernel = 9.0 + scales.linear**2 * self._inner + scales.square**2 * self._squares + scales.product**2 * self._products
        kernel += scales.wave**2 * (self._distances / (-2 * scales.length**2)).exp_()
        kernel.diagonal().add_(scales.noise)
        factor = torch.linalg.cholesky_ex(kernel)
        if int(factor.info):
            return -math.inf
        solved = torch.linalg.solve_triangular(factor.L, standard[:, None], upper=False)
        return -0.5 * float(solved.square().sum()) - float(factor.L.diagonal().log().sum())


def swept(likelihood: Likelihood, scales: Scales, standard: Tensor) -> tuple[Scales, float]:
    """Return the scales after one sweep that takes the best of each of :data:`CHOICES` in turn, and their log evidence.

    Parameters
    ----------
    likelihood : Likelihood
        The likelihood of the evaluations.
    scales : Scales
        Where the sweep begins.
    standard : Tensor
        (n,) standardised responses.
    """
    best = likelihood(scales, standard)
    for name, choices in CHOICES.items():
        for choice in choices:
            tried = replace(scales, **{name: choice})
            value = likelihood(tried, standard) if tried != scales else best
            if value > best:
                scales, best = tried, value
    return scales, best


def weighed(likelihood: Likelihood, relevance: Tensor, scales: Scales, standard: Tensor) -> Tensor:
    """Return relevances after one sweep over the coordinates, each one step down or up where that gains more than :data:`CHANCE`.

    Parameters
    ----------
    likelihood : Likelihood
        The likelihood of the evaluations; it holds the returned relevances afterwards.
    relevance : Tensor
        (size,) where the sweep begins.
    scales : Scales
        The scales in use.
    standard : Tensor
        (n,) standardised responses.

    Returns
    -------
    Tensor
        (size,).
    """
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
