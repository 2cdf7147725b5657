"""The unit's own response to found stimuli, for searches that maximized another score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ...models.objectives.objective import compares
from ...models.objectives.unit import UnitObjective
from ..evaluation.loop import Loop
from ..resolved_job import ResolvedJob
from ..results.result import Optimum, SearchResult
from ..search.search import Search

DRAWS = 32
"""Transformed showings over which a reported score is averaged; at least two times ``samples``."""


def with_plain_responses(job: ResolvedJob, loop: Loop, searches: Sequence[Search], results: Sequence[SearchResult]) -> list[SearchResult]:
    """Return ``results`` with scores moved from ``response`` to ``score``, and the units' own responses measured.

    Under another objective than the plain unit, or under transformations, a score is no response, and no multiple of a natural response.
    Each untransformed stimulus is shown as often as its score was measured. A score that was measured once, under one random
    transformation, is measured again under about :data:`DRAWS` transformations.

    Parameters
    ----------
    job : ResolvedJob
        The job; if its scores are plain responses, ``results`` stay unchanged.
    loop : Loop
        Measures.
    searches : sequence of Search
        The searches.
    results : sequence of SearchResult
        A result for each search.
    """
    if job.plain:
        return list(results)
    results = _scored_again(job, loop, searches, results)
    units = {str(unit): unit for unit in job.units}
    plain = {search: UnitObjective(units[search.unit]) for search in searches}
    asked = [
        (search, torch.cat([torch.from_numpy(one.latent)[None].repeat(one.measurements, *[1] * one.latent.ndim) for one in result.optima]))
        for search, result in zip(searches, results, strict=True)
    ]
    told = []
    for result, measured in zip(results, loop.measure(asked, plain), strict=True):
        values = measured.double().cpu().split([one.measurements for one in result.optima])
        optima = [_answered(one, own) for one, own in zip(result.optima, values, strict=True)]
        answer = optima[0]
        told.append(
            replace(
                result,
                score=answer.score,
                score_sem=answer.score_sem,
                response=answer.response,
                response_sem=answer.response_sem,
                natural_best=job.reference(units[result.unit]),
                optima=optima,
            )
        )
    return told


def _scored_again(job: ResolvedJob, loop: Loop, searches: Sequence[Search], results: Sequence[SearchResult]) -> list[SearchResult]:
    """Return results with scores averaged over fresh transformations, if there are any and no leader was measured several times."""
    if job.spec.transformations is None or any(one.measurements > 1 for result in results for one in result.optima):
        return list(results)
    n = max(2, DRAWS // loop.setup.samples)
    asked = [
        (search, torch.cat([torch.from_numpy(one.latent)[None].repeat(n, *[1] * one.latent.ndim) for one in result.optima]))
        for search, result in zip(searches, results, strict=True)
        if not compares(search.objective)
    ]
    scores = {search: found for (search, _), found in zip(asked, loop.measure(asked), strict=True)}
    told = []
    for search, result in zip(searches, results, strict=True):
        if search in scores:
            each = [values[values.isfinite()] for values in scores[search].double().cpu().split(n)]
            optima = [
                replace(one, response=float(values.mean()), response_sem=float(values.std() / len(values) ** 0.5))
                if len(values) > 1
                else one
                for one, values in zip(result.optima, each, strict=True)
            ]
            result = replace(result, optima=optima)
        told.append(result)
    return told


def _answered(found: Optimum, values: Tensor) -> Optimum:
    values = values[values.isfinite()]
    n = int(values.numel())
    return replace(
        found,
        score=found.response,
        score_sem=found.response_sem,
        response=float(values.mean()) if n else float("nan"),
        response_sem=float(values.std() / n**0.5) if n > 1 else None,
    )
