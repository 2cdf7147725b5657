"""The best candidates that lie apart from each other."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .distance import LatentDistance

SAME = 1e-6
"""Distance under which two latents are one."""


def best_apart(latents: Tensor, scores: Tensor, taken: Tensor, distance: float, measure: LatentDistance) -> int:
    """The row of highest score at least ``distance`` from all of ``taken``; where there is none, the row farthest from them."""
    if not len(taken):
        return int(scores.argmax())
    nearest = measure(latents, taken).min(1).values
    apart = nearest >= distance
    if not bool(apart.any()):
        return int(nearest.argmax())
    return int(torch.where(apart, scores, -math.inf).argmax())


def filled(chosen: Tensor, latents: Tensor, scores: Tensor, n: int, distance: float, measure: LatentDistance) -> Tensor:
    """``chosen``, then one by one the best of ``latents`` apart from all before, until there are ``n`` or no other latent is left."""
    while len(chosen) < n:
        row = best_apart(latents, scores, chosen, distance, measure)
        if len(chosen) and float(measure(latents[row][None], chosen).min()) < SAME:
            break
        chosen = torch.cat([chosen, latents[row][None].to(chosen)])
    return chosen


def count_distinct(chosen: Tensor, distance: float, measure: LatentDistance) -> int:
    """How many of ``chosen`` are at least ``distance`` from all before them."""
    return int((measure.within(chosen) >= distance).logical_or(torch.ones(len(chosen), len(chosen)).triu().bool()).all(1).sum())
