"""Whether a unit's map moves along when its stimulus is moved."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ....models.spaces import StimulusSpec
from ....models.targets.target import LayerInfo
from ....models.transformations.geometry import Move, sampled
from ....models.units import UnitAddress
from .sweeps import Sweep

LEAST_PLACES = 9
"""Places of a map that have to be within the moved one, so that the two are compared."""

_FLAT = 1e-6
"""Share of its largest value by which a map varies that is the same everywhere but for rounding."""

MapReader = Callable[[Tensor], Tensor]
"""A layer's responses, (n, *layer) -> the unit's map, (n, height, width); a map over time has height 1."""


def map_reader(unit: UnitAddress, layer: LayerInfo, stimulus: StimulusSpec) -> MapReader | None:
    """Return what reads the map of which ``unit`` is a channel; None where its layer has no map.

    Parameters
    ----------
    unit : UnitAddress
        Of ``layer``. What it says of places is left out: the map holds all of them.
    layer : LayerInfo
        (channels, height, width); (channels, time) of a series; or (tokens, features), where tokens lie as the stimulus does, row by row,
        perhaps with one token in front.
    stimulus : StimulusSpec
        What the target takes.
    """
    shape, index = layer.shape, unit.index
    series = stimulus.modality == "series"
    if len(shape) == (2 if series else 3) and index and isinstance(index[0], int) and math.prod(shape[1:]) >= LEAST_PLACES:
        channel = index[0]
        return lambda responses: responses[:, channel][:, None] if series else responses[:, channel]
    if series or len(shape) != 2 or len(index) != 2 or not isinstance(index[1], int):
        return None
    feature = index[1]
    wide_by_high = stimulus.shape[2] / stimulus.shape[1]
    for leading in (0, 1):
        height = round(math.sqrt((shape[0] - leading) / wide_by_high))
        width = round(height * wide_by_high)
        if height * width == shape[0] - leading >= LEAST_PLACES:
            return lambda responses: responses[:, leading:, feature].unflatten(1, (height, width))
    return None


def equivariance(maps: Tensor, sweep: Sweep, size: tuple[int, int]) -> Tensor:
    """Return how well each map equals the moved map of the unchanged optimum.

    Parameters
    ----------
    maps : Tensor
        float64, (values, height, width): the unit's map for each value of ``sweep``, which has a ``place``.
    sweep : Sweep
        What was done to the stimulus.
    size : (int, int)
        Height and width of the stimulus.

    Returns
    -------
    Tensor
        float64, (values,): Pearson's correlation over the places that the moved map covers, 1 where the map follows. NaN where these are
        fewer than nine, or a map is the same everywhere.
    """
    assert sweep.place is not None, "no pixel moves"
    own = maps.shape[1:]
    # from pixels of the map to those of the stimulus, and back
    there = torch.diag(torch.tensor([size[1] / own[1], size[0] / own[0], 1.0], dtype=torch.float64))
    move = Move(there.inverse() @ sweep.place(torch.tensor(sweep.values, dtype=torch.float64)) @ there, (own[0], own[1]))
    known = maps[sweep.middle].isfinite().all()
    reference = maps[sweep.middle].expand(len(maps), 1, *own)
    expected = sampled(reference, move, "grey", 0.0)[:, 0]
    covered = sampled(torch.ones_like(reference), move, "grey", 0.0)[:, 0] > 1 - 1e-6
    found = [_correlation(one[where], other[where]) for one, other, where in zip(expected, maps, covered, strict=True)]
    return torch.tensor(found if known else [math.nan] * len(maps), dtype=torch.float64)


def _correlation(one: Tensor, other: Tensor) -> float:
    if len(one) < LEAST_PLACES or not bool(other.isfinite().all()):
        return math.nan
    if any(float(part.max() - part.min()) <= _FLAT * float(part.abs().max()) for part in (one, other)):
        return math.nan
    one, other = one - one.mean(), other - other.mean()
    return float(one @ other / (one.norm() * other.norm()))
