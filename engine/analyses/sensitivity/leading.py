"""How many factors suffice: what is left of the responses when all but the leading ones are held at the middle of their range."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .factors import Factors

MOST_STEPS = 16
"""Numbers of leading factors that are tried besides none, at most."""
ENOUGH = 0.9
"""Share of the variance that counts as enough."""


def numbers_of(factors: int) -> list[int]:
    """Return the numbers of leading factors that are tried, from 0 to all."""
    return sorted({round(factors * part / MOST_STEPS) for part in range(MOST_STEPS + 1)}) if factors > MOST_STEPS else [*range(factors + 1)]


def held_rows(factors: Factors, order: NDArray[np.int64], rows: int, seed: int) -> Tensor:
    """Return uniform rows as they are, then once for each of :func:`numbers_of`, all but the leading factors held at the middle.

    Parameters
    ----------
    factors : Factors
        They are drawn between their bounds.
    order : ndarray
        Factors, the leading one first.
    rows : int
        How many are drawn.
    seed : int
        Of the draws.

    Returns
    -------
    Tensor
        float64, ((1 + numbers) · rows, factors).
    """
    drawn = torch.from_numpy(np.random.default_rng(seed).uniform(factors.low, factors.high, (rows, len(order))))
    parts = [drawn]
    for number in numbers_of(len(order)):
        held = torch.full_like(drawn, factors.middle)
        kept = torch.from_numpy(order[:number].copy())
        held[:, kept] = drawn[:, kept]
        parts.append(held)
    return torch.cat(parts)


def explained(responses: NDArray[np.float64], rows: int) -> NDArray[np.float64] | None:
    """Return the squared correlation of the held responses with the whole ones, (numbers,), 0 where the held ones are all alike.

    None where the whole ones are all alike, or one was missed.
    """
    whole, *held = responses.reshape(-1, rows)
    if not np.isfinite(responses).all() or _alike(whole):
        return None
    return np.array([0.0 if _alike(one) else float(np.corrcoef(whole, one)[0, 1]) ** 2 for one in held])


def _alike(responses: NDArray[np.float64]) -> bool:
    return bool(np.ptp(responses) <= 1e-6 * np.abs(responses).max())
