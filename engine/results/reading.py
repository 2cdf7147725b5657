"""Reads a finished job's result from its folder."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...models.spaces import StimulusSpec
from ..spec import JobSpec
from .result import JobResult, Optimum, SearchResult


class UnreadableResult(ValueError):
    """A folder that holds no result of a job, or one that is damaged; the message says which file and why."""


def read_result(folder: Path) -> JobResult:
    """Return a job's result, from ``result.json`` and ``arrays.npz`` in ``folder``.

    The searches have their stimuli, latents, scores, responses, optima and importance maps. Sections, films and pictures of folders
    are not read.

    Raises
    ------
    UnreadableResult
        There is no result, or it is damaged.
    InvalidJob
        The result's job is not valid in this version.
    """
    try:
        document = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        with np.load(folder / "arrays.npz", allow_pickle=False) as file:
            arrays = dict(file)
    except (OSError, ValueError) as error:
        raise UnreadableResult(f"{folder} holds no result that can be read: {error}") from error
    spec = JobSpec.parse(document["spec"])
    try:
        stimulus = StimulusSpec(**{**document["stimulus"], "shape": tuple(document["stimulus"]["shape"])})
        searches = [_search(number, entry, arrays, stimulus) for number, entry in enumerate(document["searches"])]
        provenance = document.get("provenance") or {}
        return JobResult(spec, searches, _number(document["seconds"]), bool(document["cancelled"]), provenance=provenance)
    except (KeyError, IndexError, TypeError) as error:
        raise UnreadableResult(f"{folder} holds a damaged result: {type(error).__name__}: {error}") from error


def _search(row: int, entry: Mapping[str, Any], arrays: Mapping[str, Any], stimulus: StimulusSpec) -> SearchResult:
    importance = arrays["importance"][row] if "importance" in arrays else np.full(1, np.nan)
    return SearchResult(
        unit=entry["unit"],
        optimizer=entry["optimizer"],
        response=float(arrays["responses"][row]),
        natural_best=entry.get("natural_best"),
        stimulus=arrays["stimuli"][row],
        latent=arrays["latents"][row],
        scores=arrays["scores"][row][: int(arrays["evaluations"][row])],
        seconds=_number(entry["ended_after_seconds"]),
        stopped_by=entry["stopped_by"],
        unit_name=entry["unit_name"],
        response_unit=entry.get("response_unit", ""),
        overheard=entry["overheard"],
        response_sem=entry["response_sem"],
        measurements=entry["measurements"],
        note=entry["note"],
        score=entry["score"],
        score_sem=entry["score_sem"],
        optima=_optima(row, entry, arrays),
        recorded={} if np.isnan(importance).all() else {"importance": importance},
        stimulus_spec=stimulus,
        warnings=tuple(entry["warnings"]),
        outcome=entry["outcome"],
    )


def _optima(row: int, entry: Mapping[str, Any], arrays: Mapping[str, Any]) -> list[Optimum]:
    """Return the search's optima; its answer alone if it sought no diverse set."""
    rows = np.flatnonzero(arrays["optima_searches"] == row)
    told = entry.get("optima") or []
    if not told:
        response = float(arrays["responses"][row])
        return [Optimum(0, arrays["latents"][row], arrays["stimuli"][row], response, entry["response_sem"], entry["measurements"])]
    return [
        Optimum(
            number,
            arrays["optima_latents"][at],
            arrays["optima_stimuli"][at],
            float(arrays["optima_responses"][at]),
            one["response_sem"],
            one["measurements"],
            tuple(map(_number, one["distances"])),
            one["distinct"],
            one["score"],
            one["score_sem"],
        )
        for number, (at, one) in enumerate(zip(rows, told, strict=True))
    ]


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
