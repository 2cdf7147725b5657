"""Transformations of responses whose noise grows with them, for models that take noise to be the same everywhere."""

from __future__ import annotations

import math

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
