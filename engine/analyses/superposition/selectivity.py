"""How much single units tell classes apart, and how seldom they answer."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .geometry import Matrix


def class_selectivity(activations: Matrix, labels: NDArray[np.int64]) -> NDArray[np.float64] | None:
    """Return (μ_max − μ_rest) ÷ (μ_max + μ_rest) of each unit, (units,), 0 where it never answers; None where responses are negative.

    μ_max is the mean response to the class that drives the unit most, μ_rest the mean over the others' means.
    Morcos et al., "On the importance of single directions for generalization", 2018.
    """
    if activations.min() < 0:
        return None
    means = _class_means(activations, labels)
    most = means.max(0)
    rest = (means.sum(0) - most) / (len(means) - 1)
    both = most + rest
    return np.where(both > 0, (most - rest) / np.where(both > 0, both, 1.0), 0.0)


def class_distance(activations: Matrix, labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return d′ of each unit between its strongest class and all others, (units,); 0 where neither varies."""
    means = _class_means(activations, labels)
    found = np.zeros(activations.shape[1])
    for unit, best in enumerate(means.argmax(0)):
        inside = labels == np.unique(labels)[best]
        own, rest = activations[inside, unit], activations[~inside, unit]
        spread = np.sqrt((own.var() + rest.var()) / 2)
        found[unit] = (own.mean() - rest.mean()) / spread if spread > 0 else 0.0
    return found


def lifetime_sparseness(activations: Matrix) -> NDArray[np.float64] | None:
    """Return (1 − r̄² ÷ mean r²) ÷ (1 − 1/n) of each unit, (units,), 1 where it answers one stimulus of all; None where some are negative.

    Vinje and Gallant, "Sparse coding and decorrelation in primary visual cortex during natural vision", 2000. 0 of a silent unit.
    """
    if activations.min() < 0:
        return None
    squares = (activations**2).mean(0)
    share = activations.mean(0) ** 2 / np.where(squares > 0, squares, 1.0)
    return np.where(squares > 0, (1 - share) / (1 - 1 / len(activations)), 0.0)


def _class_means(activations: Matrix, labels: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.stack([activations[labels == label].mean(0) for label in np.unique(labels)])
