"""The result for programs: ``result.json`` and ``arrays.npz``."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...models.spaces import StimulusSpec
from ..results.result import JobResult, SearchResult
from ..results.section import Layout, Section
from .comparison import Comparison, best_seen
from .figures import FigureFiles
from .names import ArtifactNames

FORMAT = 1
"""Version of both files; raised when readers of the former version would misread them."""


@dataclass(frozen=True)
class Written:
    """A job as it is written: its result, and the names of its files.

    Attributes
    ----------
    result : JobResult
        The result.
    stimulus : StimulusSpec
        Shape, range and modality of its stimuli.
    comparison, drawn : Comparison
        All its searches, and those of the units that have a convergence plot and a place in the report.
    names : ArtifactNames
        File names of units and searches.
    figures : FigureFiles
        File names of sections' figures.
    """

    result: JobResult
    stimulus: StimulusSpec
    comparison: Comparison
    drawn: Comparison
    names: ArtifactNames
    figures: FigureFiles

    @classmethod
    def of(cls, result: JobResult, stimulus: StimulusSpec, most_drawn: int) -> Written:
        """Return the job with names for its files; the first ``most_drawn`` units are drawn."""
        comparison, names = Comparison(result.searches), ArtifactNames(result.searches)
        return cls(result, stimulus, comparison, comparison.first(most_drawn), names, FigureFiles(result.sections, names))


def result_json(job: Written, files: frozenset[str]) -> str:
    """Return ``result.json``: strict JSON, with null for numbers that are not finite.

    Its ``searches`` are in the order of the rows of ``arrays.npz``. File names are relative to its own folder, null for files that don't
    exist. A series has no picture at its own size, only units that are drawn have a convergence plot, and ``files`` are all that could be
    drawn. ``sheets`` names all parts of what is too long for one picture. ``sections`` has the results of analyses.
    """
    result, stimulus = job.result, job.stimulus
    layouts = [section.layout for section in result.sections if section.layout is not None]
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
        "summary": _summary(job, layouts),
        "searches": [_search(job, search, layouts) for search in result.searches],
        "sections": [section_json(section, job.figures, files) for section in result.sections if section.layout is None],
        **{name: value for layout in layouts for name, value in layout.job.items()},
        "pictures": [reading.to_json() for reading in result.pictures],
        "files": {
            "report": "report.html",
            "arrays": "arrays.npz",
            "montage": "montage.png" if job.comparison.units else None,
            "convergence": "convergence.png" if job.comparison.units else None,
        },
        "sheets": {
            "montage": [name for name in map(job.names.montage, range(len(files))) if name in files],
            **{
                section.layout.sheets: _sheets(section, job.figures, files)
                for section in result.sections
                if section.layout and section.layout.sheets
            },
        },
        "spec": result.spec.model_dump(mode="json"),
        "provenance": dict(result.provenance),
    }
    return json.dumps(finite(_present(document, files | {"arrays.npz"})), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _search(job: Written, search: SearchResult, layouts: Sequence[Layout]) -> dict[str, Any]:
    """Return one search, with the fields that sections' layouts add."""
    plotted = search.unit in job.drawn.units
    fields: dict[str, Any] = {}
    files: dict[str, str] = {}
    for layout in layouts:
        fields.update(_named(layout.searches.get((search.unit, search.optimizer), {}), search, job.names))
        files.update({key: job.names.path(path, search.unit, search.optimizer) for key, path in layout.search_files.items()})
    return {
        "unit": search.unit,
        "unit_name": search.unit_name,
        "optimizer": search.optimizer,
        "note": search.note,
        "response": search.response,
        "response_sem": search.response_sem,
        "response_unit": search.response_unit,
        "score": search.score,
        "score_sem": search.score_sem,
        "measurements": search.measurements,
        "best_seen": best_seen(search),
        "evaluations": search.evaluations,
        "overheard": search.overheard,
        "ended_after_seconds": search.seconds,
        "stopped_by": search.stopped_by,
        "outcome": search.outcome,
        "warnings": list(search.warnings),
        **fields,
        "files": {
            "stimulus": job.names.stimulus(search),
            "raw": job.names.raw(search) if job.stimulus.modality == "image" else None,
            **files,
            "convergence": job.names.convergence(search.unit) if plotted else None,
        },
    }


def _summary(job: Written, layouts: Sequence[Layout]) -> dict[str, Any]:
    optimizers = [
        {
            "optimizer": standing.optimizer,
            "searches": standing.searches,
            **{name: value for layout in layouts for name, value in layout.optimizers.get(standing.optimizer, {}).items()},
            "units_best": len(standing.best_for),
        }
        for standing in job.comparison.standings()
    ]
    fields = {name: value for layout in layouts for name, value in layout.summary.items()}
    return {"units": len(job.comparison.units), **fields, "optimizers": optimizers}


def section_json(section: Section, figures: FigureFiles, files: Collection[str]) -> dict[str, Any]:
    """Return one entry of ``sections``; figures whose file is not in ``files`` are left out."""
    return {
        "analysis": section.analysis,
        "name": section.name,
        "title": section.title,
        "notes": list(section.notes),
        "columns": section.columns,
        "rows": [dict(row) for row in section.rows],
        "arrays": {name: section.array_name(name) for name in section.arrays},
        "figures": [
            {
                "title": figure.title,
                "alt": figure.alt,
                "caption": list(figure.caption),
                "media_type": figure.media_type,
                "unit": figure.unit,
                "optimizer": figure.optimizer,
                "file": figures.path(figure),
            }
            for figure in section.figures
            if figures.path(figure) in files
        ],
    }


def arrays_npz(result: JobResult, stimulus: StimulusSpec) -> bytes:
    r"""Return ``arrays.npz``: one row for each search in every array, nothing pickled; see ``docs/outputs.md``.

    ``units``, ``optimizers`` and ``stopped_by`` (str), ``stimuli`` (n, \*stimulus) float32 as the generator made them,
    ``latents`` (n, \*latent), ``responses`` and ``response_sems`` (n,) float64 with NaN if unknown, ``evaluations`` (n,) int64, and
    ``scores`` (n, most evaluations) float64, in the order of evaluation. Row i holds ``evaluations[i]`` scores, NaN for a missed trial, and
    NaN behind them. ``provenance`` is JSON text, without date, threads and command: runs of equal numbers give equal files. The
    arrays of sections follow, by :meth:`actmax.engine.results.section.Section.array_name`.
    """
    searches = result.searches
    scores = np.full((len(searches), max((search.evaluations for search in searches), default=0)), np.nan)
    for row, search in zip(scores, searches, strict=True):
        row[: search.evaluations] = search.scores
    rows: dict[str, Any] = {
        "format": np.array(FORMAT),
        "units": np.array([search.unit for search in searches], dtype=np.str_),
        "optimizers": np.array([search.optimizer for search in searches], dtype=np.str_),
        "stopped_by": np.array([search.stopped_by for search in searches], dtype=np.str_),
        "stimuli": np.stack([search.stimulus for search in searches]) if searches else np.empty((0, *stimulus.shape), np.float32),
        "latents": np.stack([search.latent for search in searches]) if searches else np.empty((0,), np.float32),
        "responses": np.array([search.response for search in searches], np.float64),
        "response_sems": np.array([_or_nan(search.response_sem) for search in searches], np.float64),
        "evaluations": np.array([search.evaluations for search in searches], np.int64),
        "scores": scores,
    }
    if result.provenance:  # without what differs between two runs of equal numbers
        kept = {name: value for name, value in result.provenance.items() if name not in ("date", "threads", "command")}
        rows["provenance"] = np.array(json.dumps(kept, ensure_ascii=False))
    for section in result.sections:
        rows.update({section.array_name(name): array for name, array in section.arrays.items()})
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **rows)
    return buffer.getvalue()


def _sheets(section: Section, figures: FigureFiles, files: Collection[str]) -> list[str]:
    paths = [figures.path(figure) for figure in section.figures if figure.place == "file"]
    return [path for path in paths if path in files]


def _named(value: Any, search: SearchResult, names: ArtifactNames, in_files: bool = False) -> Any:
    """Return ``value`` with a search's names filled into the paths below ``files``."""
    if isinstance(value, Mapping):
        return {key: _named(item, search, names, in_files or key == "files") for key, item in value.items()}
    if isinstance(value, list):
        return [_named(item, search, names, in_files) for item in value]
    return names.path(value, search.unit, search.optimizer) if in_files and isinstance(value, str) else value


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value


def _present(value: Any, files: frozenset[str]) -> Any:
    """Return ``value`` with null for every file name below ``files`` that is not in the set."""
    if isinstance(value, list):
        return [_present(item, files) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {**value, "files": {key: name if name in files else None for key, name in value["files"].items()}} if "files" in value else value
    return {key: item if key in ("files", "sections", "spec") else _present(item, files) for key, item in kept.items()}


def finite(value: Any) -> Any:
    """Return ``value`` as plain JSON data, with None for numbers that are not finite."""
    if isinstance(value, dict):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value
