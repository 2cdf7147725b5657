"""Directions of a layer's units: how they lie to each other, and how many dimensions they fill."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

Matrix = NDArray[np.float64]

_FLAT = 1e-6
"""Share of its largest value by which a unit varies that answers all stimuli alike but for rounding."""


def live(activations: Matrix) -> NDArray[np.bool_]:
    """Return which units, columns of (stimuli, units), do not answer all stimuli alike."""
    return np.ptp(activations, axis=0) > _FLAT * np.abs(activations).max(axis=0)


def cosines(directions: Matrix) -> NDArray[np.float64]:
    """Return the cosines of all pairs of directions, rows of (n, dimensions), (n (n − 1) / 2,); rows of zeros are left out."""
    lengths = np.linalg.norm(directions, axis=1)
    unit = directions[lengths > 0] / lengths[lengths > 0, None]
    return np.clip((unit @ unit.T)[np.triu_indices(len(unit), 1)], -1, 1)


def expected_cosine(dimensions: int) -> float:
    """Return the mean |cosine| of random directions, Γ(d/2) / (√π Γ((d + 1)/2))."""
    return math.exp(math.lgamma(dimensions / 2) - math.lgamma((dimensions + 1) / 2)) / math.sqrt(math.pi)


def participation_ratio(activations: Matrix) -> float:
    """Return (Σλ)² ÷ Σλ² of the covariance's eigenvalues: as many dimensions as equal ones would fill; 0 where nothing varies.

    Gao et al., "A theory of multineuronal dimensionality, dynamics and measurement", 2017.
    """
    values = np.linalg.svd(activations - activations.mean(0), compute_uv=False) ** 2
    return float(values.sum() ** 2 / (values**2).sum()) if values.any() else 0.0


def feature_dimensionality(directions: Matrix) -> NDArray[np.float64]:
    """Return the share of a dimension that each feature has to itself, ‖Wᵢ‖² ÷ Σⱼ (Ŵᵢ · Wⱼ)², (n,); 0 of a row of zeros.

    Elhage et al., "Toy models of superposition", 2022. 1 is a dimension of its own, ½ an antipodal pair.
    """
    lengths = np.linalg.norm(directions, axis=1)
    unit = directions / np.where(lengths > 0, lengths, 1.0)[:, None]
    shared = ((unit @ directions.T) ** 2).sum(1)
    return np.where(lengths > 0, lengths**2 / np.where(shared > 0, shared, 1.0), 0.0)


def linear_cka(one: Matrix, other: Matrix) -> float | None:
    """Return the linear centred kernel alignment of two layers' answers to the same stimuli, rows; None where one of them doesn't vary.

    Kornblith et al., "Similarity of neural network representations revisited", 2019. 1: the same up to rotation and scale.
    """
    one, other = one - one.mean(0), other - other.mean(0)
    scale = np.linalg.norm(one.T @ one) * np.linalg.norm(other.T @ other)
    return float(np.linalg.norm(other.T @ one) ** 2 / scale) if scale > 0 else None


def weight_directions(module: nn.Module, layer: str, units: int) -> tuple[str, Matrix] | None:
    """Return the weights into each unit of a layer, (units, weights), and the name of the module that has them.

    It is the layer itself; or, where that has no such weights, the module inside it with the most of them into a unit; or else that of the
    last block before it. None where no module has weights of as many units.
    """
    names = [name for name, _ in module.named_modules()]
    if layer not in names:
        return None
    named = [(name, found) for name, part in module.named_modules() if (found := _weights_of(part, units)) is not None]
    own = [one for one in named if one[0] == layer]
    inside = [one for one in named if one[0].startswith(f"{layer}.")]
    before = [one for one in named if names.index(one[0]) < names.index(layer)]
    block = [one for one in before if one[0].partition(".")[0] == before[-1][0].partition(".")[0]]
    return max(own or inside or block, key=lambda one: one[1].shape[1], default=None)


def _weights_of(module: nn.Module, units: int) -> Matrix | None:
    weight = getattr(module, "weight", None)
    if not isinstance(weight, torch.Tensor) or weight.ndim < 2 or weight.shape[0] != units or "Transpose" in type(module).__name__:
        return None
    return weight.detach().double().cpu().flatten(1).numpy()
