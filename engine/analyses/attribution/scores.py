"""Scores of attribution maps: deletion and insertion, sensitivity to small changes, dependence on the weights, the pointing game."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from ....models.targets.target import HasModule, Target
from .units import Question

Score = Literal["deletion", "max-sensitivity", "randomisation"]
"""``deletion`` stands for insertion and for a random order too. The pointing game is played wherever there are masks."""

PARTS = 16
"""Parts of a stimulus that are deleted or inserted one after the other."""
RADIUS = 0.02
"""Of the changes that max-sensitivity is measured with, as a share of the range of values (Yeh et al., 2019)."""
SAMPLES = 3
"""Such changes of a stimulus."""

Explain = Callable[[Question], Tensor]
"""From a question to maps, (units, n, *space)."""


def deletion(question: Question, maps: Tensor) -> dict[str, Tensor]:
    """Return how a unit's response falls and rises as places of a stimulus are deleted and inserted in the order of its map.

    Places are replaced by the baseline in :data:`PARTS` equal parts, the most important first (deletion), or the baseline is replaced by
    the stimulus in that order (insertion). The response is averaged over the way, with 0 for the baseline's and 1 for the stimulus's own
    (Petsiuk et al., "RISE", 2018). ``random order`` is the same along a random order, for which deletion and insertion agree.

    Parameters
    ----------
    question : Question
        n stimuli.
    maps : Tensor
        (units, n, *space).

    Returns
    -------
    dict of str to Tensor
        "deletion", "insertion" and "random order", (units, n) float64 each; NaN where the stimulus does not
        raise the response above the baseline's.
    """
    found = {name: torch.full(maps.shape[:2], math.nan, dtype=torch.float64) for name in ("deletion", "insertion", "random order")}
    shuffled = torch.rand(maps.shape[2:].numel(), generator=question.rng())
    for unit, one in enumerate(question.each()):
        for number, (stimulus, baseline) in enumerate(zip(question.stimuli, question.baselines, strict=True)):
            falls = [_removed(stimulus, baseline, order) for order in (maps[unit, number].flatten().cpu(), shuffled)]
            rises = _removed(baseline, stimulus, maps[unit, number].flatten().cpu())
            curves = one.reader.responses(torch.cat([*falls, rises]))[0].double().cpu().view(3, PARTS + 1)
            full, none = curves[0, 0], curves[0, -1]
            if full - none > 1e-6 * max(abs(full), abs(none)):
                areas = torch.trapezoid((curves - none) / (full - none), dim=1) / PARTS
                for name, area in zip(("deletion", "random order", "insertion"), areas, strict=True):
                    found[name][unit, number] = area
    return found


def max_sensitivity(explain: Explain, question: Question, maps: Tensor) -> Tensor:
    """Return how far a map moves at most, relative to its norm, as each value of a stimulus is changed by up to 2 % of its range.

    Yeh et al., "On the (in)fidelity and sensitivity of explanations", 2019, with :data:`SAMPLES` random changes a stimulus.

    Returns
    -------
    Tensor
        (units, n) float64; NaN where a map is zero throughout.
    """
    rng, spec = question.rng(), question.target.stimulus
    most = torch.zeros(maps.shape[:2], dtype=torch.float64)
    size = maps.flatten(2).double().norm(dim=2).cpu()
    for _ in range(SAMPLES):
        change = (torch.rand(question.stimuli.shape, generator=rng) * 2 - 1) * RADIUS * question.spread
        moved = explain(question.about((question.stimuli + change.to(question.stimuli)).clamp(spec.low, spec.high)))
        most = most.maximum((moved - maps).flatten(2).double().norm(dim=2).cpu())
    return torch.where(size > 0, most / size, math.nan)


def similarity(maps: Tensor, others: Tensor) -> Tensor:
    """Return the rank correlations of maps, (units, n) float64; NaN where a map is the same everywhere."""
    found = torch.full(maps.shape[:2], math.nan, dtype=torch.float64)
    for unit in range(maps.shape[0]):
        for number in range(maps.shape[1]):
            one, other = (values[unit, number].flatten().double().cpu().numpy() for values in (maps, others))
            if np.ptp(one) > 0 and np.ptp(other) > 0:
                correlation: Any = stats.spearmanr(one, other)
                found[unit, number] = float(correlation.statistic)
    return found


def randomised(target: Target, seed: int) -> Target | None:
    """Return a copy of a target whose network has each parameter's values in a random order; None where it can't be copied.

    A map that hardly changes with the weights shows the stimulus and not what the network has learned (Adebayo et al., "Sanity checks for
    saliency maps", 2018).
    """
    if not isinstance(target, HasModule):
        return None
    try:
        twin = copy.deepcopy(target)
    except Exception:  # networks hold anything: locks, open files, tensors with a graph
        return None
    assert isinstance(twin, HasModule)
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in twin.module.parameters():
            order = torch.randperm(parameter.numel(), generator=rng).to(parameter.device)
            parameter.copy_(parameter.flatten()[order].view_as(parameter))
    return twin if isinstance(twin, Target) else None


def points_at(maps: Tensor, mask: Tensor | None) -> Tensor:
    """Return whether the highest value of each map lies in ``mask``, 1 or 0, (units,) float64; NaN without a mask (the pointing game).

    Parameters
    ----------
    maps : Tensor
        (units, *space), of one stimulus.
    mask : Tensor or None
        bool, (*space).
    """
    if mask is None:
        return torch.full(maps.shape[:1], math.nan, dtype=torch.float64)
    return mask.flatten()[maps.flatten(1).argmax(1).cpu()].double()


def _removed(stimulus: Tensor, other: Tensor, importance: Tensor) -> Tensor:
    """``stimulus`` with more and more of it replaced by ``other``, the most important places first: (parts + 1, *stimulus)."""
    rank = importance.argsort(descending=True, stable=True).argsort().view(stimulus.shape[1:]).to(stimulus.device)
    taken = torch.linspace(0, importance.numel(), PARTS + 1).round().to(stimulus.device)
    gone = rank < taken.view(-1, *[1] * rank.dim())
    return torch.where(gone[:, None], other, stimulus)
