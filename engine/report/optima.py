"""The several stimuli of a search for a diverse set, as the report and the files hold them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...models.spaces import StimulusSpec
from ..results.result import Optimum, SearchResult
from .charts import Chart
from .comparison import natural_best
from .embedded import embedded
from .names import ArtifactNames
from .words import shown

_SIZE = 96
_MOST_NAMED = 6
"""Optima up to which every distance is written out; beyond, that to the nearest."""


@dataclass(frozen=True)
class OptimumCell:
    """One optimum as the report shows it; ``apart`` is how far it is from the others, in words. See :class:`Embedded` for the picture."""

    optimum: Optimum
    measured: bool
    multiple: float | None
    apart: str
    picture: str | None
    width: int
    chart: Chart | None


def set_of(search: SearchResult) -> list[Optimum]:
    """The optima of a search for a diverse set; none of an ordinary one, whose answer is its only."""
    return search.optima if len(search.optima) > 1 else []


def optimum_cells(search: SearchResult, spec: StimulusSpec, *, light: bool = False) -> list[OptimumCell]:
    """A cell for each of :func:`set_of`."""
    best = natural_best(search)
    cells: list[OptimumCell] = []
    for one in set_of(search):
        series = f"The series number {one.number + 1} that {search.optimizer} found for {search.unit}, over time."
        multiple = one.response / best if best is not None and best > 0 and math.isfinite(one.response) else None
        made = embedded(one.stimulus, spec, series, _SIZE, light=light)
        cells.append(OptimumCell(one, math.isfinite(one.response), multiple, apart(one), made.picture, made.width, made.chart))
    return cells


def apart(one: Optimum) -> str:
    """``0.42 from 1, 0.97 from 3``, or that to the nearest where there are many."""
    others = [(distance, number + 1) for number, distance in enumerate(one.distances) if number != one.number]
    told = others if len(others) < _MOST_NAMED else [min(others)]
    text = ", ".join(f"{_distance(distance)} from {number}" for distance, number in told)
    return text if len(told) == len(others) else f"{text}, the nearest"


def optima_json(search: SearchResult, names: ArtifactNames, stimulus: StimulusSpec) -> list[dict[str, Any]]:
    """What ``result.json`` holds of :func:`set_of`."""
    return [
        {
            "response": one.response,
            "response_sem": one.response_sem,
            "score": one.score,
            "score_sem": one.score_sem,
            "measurements": one.measurements,
            "distances": list(one.distances),
            "nearest": one.nearest,
            "distinct": one.distinct,
            "files": {
                "stimulus": names.stimulus(search, one.number),
                "raw": names.raw(search, one.number) if stimulus.modality == "image" else None,
            },
        }
        for one in set_of(search)
    ]


def optima_arrays(searches: Sequence[SearchResult], stimulus: StimulusSpec) -> dict[str, np.ndarray]:
    """What ``arrays.npz`` holds of :func:`set_of`: one row an optimum, search by search."""
    rows = [(number, one) for number, search in enumerate(searches) for one in set_of(search)]
    sems = [math.nan if one.response_sem is None else one.response_sem for _, one in rows]
    return {
        "optima_searches": np.array([number for number, _ in rows], np.int64),
        "optima_stimuli": np.stack([one.stimulus for _, one in rows]) if rows else np.empty((0, *stimulus.shape), np.float32),
        "optima_latents": np.stack([one.latent for _, one in rows]) if rows else np.empty((0,), np.float32),
        "optima_responses": np.array([one.response for _, one in rows], np.float64),
        "optima_response_sems": np.array(sems, np.float64),
    }


def _distance(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else shown(value)
