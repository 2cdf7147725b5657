"""Selects the best candidates that are far enough from each other."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .distance import LatentDistance

SAME = 1e-6
"""Distance below which two latents count as equal."""


def best_apart(latents: Tensor, scores: Tensor, taken: Tensor, distance: float, measure: LatentDistance) -> int:
    r"""Return the row of highest score at least ``distance`` from all of ``taken``; if there is none, the row farthest from them.

    Parameters
    ----------
    latents : Tensor
        (m, \*latent).
    scores : Tensor
        (m,).
    taken : Tensor
        (k, \*latent), k ≥ 0, hard and projected.
    distance : float
        Least distance.
    measure : LatentDistance
        The distance.
    """
    if not len(taken):
        return int(scores.argmax())
    nearest = measure(latents, taken).min(1).values
    apart = nearest >= distance
    if not bool(apart.any()):
        return int(nearest.argmax())
    return int(torch.where(apart, scores, -math.inf).argmax())


def filled(chosen: Tensor, latents: Tensor, scores: Tensor, n: int, distance: float, measure: LatentDistance) -> Tensor:
    """Return ``chosen``, extended one by one by the best of ``latents`` apart from all before, to ``n`` or until no other latent is left.

    Parameters are those of :func:`best_apart`, with ``chosen`` for ``taken``.
    """
    while len(chosen) < n:
        row = best_apart(latents, scores, chosen, distance, measure)
        if len(chosen) and float(measure(latents[row][None], chosen).min()) < SAME:
            break
        chosen = torch.cat([chosen, latents[row][None].to(chosen)])
    return chosen


def count_distinct(chosen: Tensor, distance: float, measure: LatentDistance) -> int:
    r"""Return how many of ``chosen``, (k, \*latent), are at least ``distance`` from all before them."""
    return int((measure.within(chosen) >= distance).logical_or(torch.ones(len(chosen), len(chosen)).triu().bool()).all(1).sum())
