"""Whether one stimulus drives more than others: tests that hold whatever the neuron does over time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

PERMUTATIONS = 1999


@dataclass(frozen=True)
class Comparison:
    """A difference of means, its 95 % confidence interval, the one-sided p of "no more than the controls", and the number of each."""

    difference: float
    low: float
    high: float
    p_value: float
    measurements: int
    controls: int


@dataclass(frozen=True)
class Block:
    """Scores from trials that were shuffled into one generation: of the stimulus in question, and of what it is compared with."""

    measured: NDArray[np.float64]
    controls: NDArray[np.float64]


def compare(blocks: Sequence[Block], seed: int) -> Comparison | None:
    """Compare within blocks; None where no block has both.

    The seed alone drew which place in its block each trial took. Where the unit does not care which of the two it is shown, every other
    order was as likely and would have met the same responses, however these drift: so permuting labels within blocks gives an exact
    p-value (Fisher, "The design of experiments", 1935). Blocks count by their information, n·m / (n + m).

    Parameters
    ----------
    blocks : sequence of Block
        Finite scores.
    seed : int
        Of the permutations drawn.
    """
    used = [block for block in blocks if block.measured.size and block.controls.size]
    if not used:
        return None
    sizes = np.array([(block.measured.size, block.controls.size) for block in used], dtype=np.float64)
    weights = sizes.prod(1) / sizes.sum(1)
    weights /= weights.sum()
    observed = float(sum(w * (b.measured.mean() - b.controls.mean()) for w, b in zip(weights, used, strict=True)))
    low, high = _interval(used, weights, observed)
    n, m = (int(total) for total in sizes.sum(0))
    return Comparison(observed, low, high, _p_value(used, weights, observed, seed), n, m)


def _p_value(blocks: Sequence[Block], weights: NDArray[np.float64], observed: float, seed: int) -> float:
    draws = np.random.default_rng(seed)
    drawn = np.zeros(PERMUTATIONS)
    largest = 0.0
    for weight, block in zip(weights, blocks, strict=True):
        pooled = np.concatenate([block.measured, block.controls])
        largest = max(largest, float(np.abs(pooled).max()))
        n, m = block.measured.size, block.controls.size
        chosen = draws.permuted(np.broadcast_to(pooled, (PERMUTATIONS, n + m)), axis=1)[:, :n].sum(1)
        drawn += weight * (chosen / n - (pooled.sum() - chosen) / m)
    # equal but for rounding counts as reached
    reached = int((drawn >= observed - 1e-9 * largest).sum())
    return (1 + reached) / (1 + PERMUTATIONS)


def _interval(blocks: Sequence[Block], weights: NDArray[np.float64], observed: float) -> tuple[float, float]:
    """Welch's, with the variance of each of the two pooled over blocks."""
    parts: list[tuple[float, float]] = []
    for side in ("measured", "controls"):
        groups = [getattr(block, side) for block in blocks]
        freedom = sum(group.size - 1 for group in groups)
        if freedom < 1:
            return math.nan, math.nan
        variance = sum(float(((group - group.mean()) ** 2).sum()) for group in groups) / freedom
        parts.append((variance * float(sum(w**2 / group.size for w, group in zip(weights, groups, strict=True))), freedom))
    error = sum(part for part, _ in parts)
    if error == 0:
        return observed, observed
    freedom = error**2 / sum(part**2 / df for part, df in parts)
    half = float(stdtrit(freedom, 0.975)) * math.sqrt(error)
    return observed - half, observed + half


def mean_interval(scores: NDArray[np.float64]) -> tuple[float, float, float]:
    """Mean of ``scores`` and Student's 95 % interval of it; NaN where unknown."""
    if not scores.size:
        return math.nan, math.nan, math.nan
    mean = float(scores.mean())
    if scores.size < 2:
        return mean, math.nan, math.nan
    half = float(stdtrit(scores.size - 1, 0.975)) * float(scores.std(ddof=1)) / math.sqrt(scores.size)
    return mean, mean - half, mean + half
