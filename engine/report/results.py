"""What was found, for programs: ``result.json`` and ``arrays.npz``."""

from __future__ import annotations

import io
import json
import math
from typing import Any

import numpy as np

from ...models.spaces import StimulusSpec
from ..results.result import JobResult
from .activating import images_json
from .comparison import Comparison, best_seen, exceeds, natural_best, natural_multiple
from .importance import shows_importance
from .names import ArtifactNames
from .optima import optima_arrays, optima_json

FORMAT = 1
"""Version of both files; raised when a reader of the former one would be misled."""


def result_json(
    result: JobResult, comparison: Comparison, drawn: Comparison, stimulus: StimulusSpec, names: ArtifactNames, files: frozenset[str]
) -> str:
    """Return ``result.json``: strict JSON, null where there is no finite number.

    Its ``searches`` are in the order of the rows of ``arrays.npz``; their ``optima`` are those of a search for a diverse set, empty else.
    File names are relative to its own folder, null where there is no such file (a series has no picture at its own size, only units in
    ``drawn`` have a convergence plot, and ``files`` are all that could be drawn); ``sheets`` names all parts of what is too long for one
    picture.
    """
    plotted = frozenset(drawn.units)
    searches = [
        {
            "unit": search.unit,
            "unit_name": search.unit_name,
            "optimizer": search.optimizer,
            "note": search.note,
            "response": search.response,
            "response_sem": search.response_sem,
            "score": search.score,
            "score_sem": search.score_sem,
            "measurements": search.measurements,
            "best_seen": best_seen(search),
            "natural_best": natural_best(search),
            "natural_multiple": natural_multiple(search),
            "above_natural": exceeds(search),
            "evaluations": search.evaluations,
            "overheard": search.overheard,
            "ended_after_seconds": search.seconds,
            "stopped_by": search.stopped_by,
            "outcome": search.outcome,
            "warnings": list(search.warnings),
            "optima": optima_json(search, names, stimulus),
            "files": {
                "stimulus": names.stimulus(search),
                "raw": names.raw(search) if stimulus.modality == "image" else None,
                "importance": names.importance(search) if search.importance is not None and shows_importance(stimulus) else None,
                "film": names.film(search, result.spec.report.film) if search.film else None,
                "convergence": names.convergence(search.unit) if search.unit in plotted else None,
            },
        }
        for search in result.searches
    ]
    optimizers = [
        {
            "optimizer": standing.optimizer,
            "searches": standing.searches,
            "units_compared": standing.compared,
            "units_above_natural": len(standing.above_natural),
            "median_multiple": standing.median_multiple,
            "units_best": len(standing.best_for),
        }
        for standing in comparison.standings()
    ]
    document = {
        "format": FORMAT,
        "title": result.spec.title,
        "cancelled": result.cancelled,
        "outcome": result.outcome,
        "warnings": list(result.warnings),
        "seconds": result.seconds,
        "stimulus": {
            "modality": stimulus.modality,
            "shape": list(stimulus.shape),
            "low": stimulus.low,
            "high": stimulus.high,
        },
        "summary": {
            "units": len(comparison.units),
            "units_compared": len(comparison.compared()),
            "units_above_natural": len(comparison.above_natural()),
            "optimizers": optimizers,
        },
        "searches": searches,
        "images": images_json(result.images),
        "pictures": [reading.to_json() for reading in result.pictures],
        "files": {
            "report": "report.html",
            "arrays": "arrays.npz",
            "montage": "montage.png" if comparison.units else None,
            "convergence": "convergence.png" if comparison.units else None,
        },
        "sheets": {
            "montage": [name for name in map(names.montage, range(len(files))) if name in files],
            "images": [name for name in map(names.images, range(len(files))) if name in files],
        },
        "spec": result.spec.model_dump(mode="json"),
    }
    return json.dumps(_finite(_present(document, files | {"arrays.npz"})), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def arrays_npz(result: JobResult, stimulus: StimulusSpec) -> bytes:
    """``arrays.npz``: one row a search in every array, nothing pickled.

    ``units``, ``optimizers`` and ``stopped_by`` (str), ``stimuli`` (n, *stimulus) float32 as the generator made them,
    ``latents`` (n, *latent), ``responses``, ``response_sems`` and ``natural_best`` (n,) float64 with NaN where unknown,
    ``importance`` (n, *stimulus without its channels) float32 with NaN where a search had no gradients, ``evaluations`` (n,) int64, and
    ``scores`` (n, most evaluations) float64, in the order of evaluation: row i holds ``evaluations[i]`` scores, NaN where a trial was
    missed, and NaN behind them.

    ``optima_stimuli``, ``optima_latents``, ``optima_responses`` and ``optima_response_sems`` have a row for each optimum of the searches
    for a diverse set, ``optima_searches`` the row of its search above; without such a search they have none.
    """
    searches = result.searches
    scores = np.full((len(searches), max((search.evaluations for search in searches), default=0)), np.nan)
    for row, search in zip(scores, searches, strict=True):
        row[: search.evaluations] = search.scores
    importance = np.full((len(searches), *stimulus.shape[1:]), np.nan, np.float32)
    for map_, search in zip(importance, searches, strict=True):
        if search.importance is not None:
            map_[...] = search.importance
    buffer = io.BytesIO()
    rows: dict[str, Any] = {
        "format": np.array(FORMAT),
        "units": np.array([search.unit for search in searches], dtype=np.str_),
        "optimizers": np.array([search.optimizer for search in searches], dtype=np.str_),
        "stopped_by": np.array([search.stopped_by for search in searches], dtype=np.str_),
        "stimuli": np.stack([search.stimulus for search in searches]) if searches else np.empty((0, *stimulus.shape), np.float32),
        "latents": np.stack([search.latent for search in searches]) if searches else np.empty((0,), np.float32),
        "responses": np.array([search.response for search in searches], np.float64),
        "response_sems": np.array([_or_nan(search.response_sem) for search in searches], np.float64),
        "natural_best": np.array([_or_nan(natural_best(search)) for search in searches], np.float64),
        "evaluations": np.array([search.evaluations for search in searches], np.int64),
        "importance": importance,
        "scores": scores,
    }
    rows.update(optima_arrays(searches, stimulus))
    np.savez_compressed(buffer, **rows)
    return buffer.getvalue()


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value


def _present(value: Any, files: frozenset[str]) -> Any:
    """``value`` with null for every file name, below ``files``, of what is not there."""
    if isinstance(value, list):
        return [_present(item, files) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {**value, "files": {key: name if name in files else None for key, name in value["files"].items()}} if "files" in value else value
    return {key: item if key in ("files", "spec") else _present(item, files) for key, item in kept.items()}


def _finite(value: Any) -> Any:
    """``value`` as plain JSON, with null for every number that is none."""
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    return int(value) if isinstance(value, np.integer) else value
