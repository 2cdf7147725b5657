"""The several stimuli of searches for a diverse set, and how far they are from each other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from ...charts.words import measured, shown, times
from ...models.spaces import StimulusSpec
from ..report.comparison import reference_response
from ..results.reference import REFERENCE
from ..results.result import Optimum, SearchResult
from ..results.section import Figure, Layout, Section, StimulusPicture
from .analysis import AnalysisContext

_MOST_NAMED = 6
"""Optima up to which every distance is written out; beyond, that to the nearest."""
_NOTE = (
    "Optima stand in the order of their scores, each with its distance from the others, by number: "
    "0 is the same latent, two natural ones are about 1 apart."
)


class Diversity:
    """The optima of each search for a diverse set, with their responses and distances."""

    class Options(BaseModel):
        """It has none."""

        model_config = ConfigDict(extra="forbid")

    needs: tuple[type, ...] = ()
    instant = True

    @classmethod
    def from_options(cls, options: Options) -> Diversity:
        """Made by a job."""
        return cls()

    def empty(self, context: AnalysisContext) -> Sequence[Section]:
        """Return no optima."""
        return [_section([], context.generator.stimulus)]

    def run(self, context: AnalysisContext) -> Sequence[Section]:
        """Return the optima; none of ordinary searches, whose answer is their only."""
        return [_section(context.searches, context.generator.stimulus)]


def set_of(search: SearchResult) -> list[Optimum]:
    """The optima of a search for a diverse set; none of an ordinary one."""
    return search.optima if len(search.optima) > 1 else []


def _section(searches: Sequence[SearchResult], spec: StimulusSpec) -> Section:
    figures = [figure for search in searches for one in set_of(search) for figure in _figures(search, one, spec)]
    layout = Layout(searches={(search.unit, search.optimizer): {"optima": _json(search, spec)} for search in searches})
    rows = [
        {
            "unit": search.unit,
            "optimizer": search.optimizer,
            "optimum": one.number + 1,
            "response": one.response,
            "nearest": one.nearest,
            "distinct": one.distinct,
        }
        for search in searches
        for one in set_of(search)
    ]
    return Section("Optima", (_NOTE,) if figures else (), rows, arrays=_arrays(searches, spec), figures=figures, layout=layout)


def _figures(search: SearchResult, one: Optimum, spec: StimulusSpec) -> list[Figure]:
    """One optimum in the report, and what files it has beside the search's own."""
    title, number = f"{len(search.optima)} optima", one.number + 1
    if spec.modality == "series":
        alt = f"The series number {number} that {search.optimizer} found for {search.unit}, over time."
    else:
        alt = f"Optimum {number} for {search.unit} by {search.optimizer}"
    row = Figure(
        title,
        alt,
        StimulusPicture(one.stimulus, spec),
        unit=search.unit,
        optimizer=search.optimizer,
        caption=_caption(search, one),
        place="unit",
        file=_path(one) if one.number else None,
    )
    if not one.number or spec.modality != "image":
        return [row]
    return [row, replace(row, content=StimulusPicture(one.stimulus, spec, own_size=True), place="file", file=_path(one, "raw/"))]


def _path(one: Optimum, below: str = "") -> str:
    return f"stimuli/{below}{{search}}{f'--{one.number + 1}' if one.number else ''}.png"


def _caption(search: SearchResult, one: Optimum) -> tuple[str, ...]:
    lines = [measured(one.response, one.response_sem) if math.isfinite(one.response) else "not measured"]
    if one.score is not None:
        lines.append(f"score {measured(one.score, one.score_sem)}")
    best = reference_response(search)
    if best is not None and best > 0 and math.isfinite(one.response):
        lines.append(f"{times(one.response / best)} {REFERENCE.best}")
    lines.append(apart(one))
    return (*lines, *(() if one.distinct else ("nearer than was asked",)))


def apart(one: Optimum) -> str:
    """``0.42 from 1, 0.97 from 3``, or that to the nearest where there are many."""
    others = [(distance, number + 1) for number, distance in enumerate(one.distances) if number != one.number]
    told = others if len(others) < _MOST_NAMED else [min(others)]
    text = ", ".join(f"{_distance(distance)} from {number}" for distance, number in told)
    return text if len(told) == len(others) else f"{text}, the nearest"


def _json(search: SearchResult, spec: StimulusSpec) -> list[dict[str, Any]]:
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
            "files": {"stimulus": _path(one), "raw": _path(one, "raw/") if spec.modality == "image" else None},
        }
        for one in set_of(search)
    ]


def _arrays(searches: Sequence[SearchResult], spec: StimulusSpec) -> dict[str, NDArray[Any]]:
    """One row an optimum, search by search."""
    rows = [(number, one) for number, search in enumerate(searches) for one in set_of(search)]
    sems = [math.nan if one.response_sem is None else one.response_sem for _, one in rows]
    return {
        "optima_searches": np.array([number for number, _ in rows], np.int64),
        "optima_stimuli": np.stack([one.stimulus for _, one in rows]) if rows else np.empty((0, *spec.shape), np.float32),
        "optima_latents": np.stack([one.latent for _, one in rows]) if rows else np.empty((0,), np.float32),
        "optima_responses": np.array([one.response for _, one in rows], np.float64),
        "optima_response_sems": np.array(sems, np.float64),
    }


def _distance(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else shown(value)
