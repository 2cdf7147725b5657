"""The unit's own response to what was found, where the search went by another score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from ..models.objectives.unit import UnitObjective
from .build import CheckedJob
from .loop import Loop
from .result import SearchResult
from .search import Search


def with_plain_responses(job: CheckedJob, loop: Loop, searches: Sequence[Search], results: Sequence[SearchResult]) -> list[SearchResult]:
    """``results`` with what they hold as responses as their scores, and as responses the units' own to the untransformed stimuli.

    Under another objective than the plain unit, or under transformations, a score is no response, and no multiple of a natural one. Each
    stimulus is shown again as often as its score was measured.
    """
    if job.plain:
        return list(results)
    units = {str(unit): unit for unit in job.units}
    plain = {search: UnitObjective(units[search.unit]) for search in searches}
    asked = [
        (search, torch.from_numpy(result.latent)[None].repeat(result.measurements, *[1] * result.latent.ndim))
        for search, result in zip(searches, results, strict=True)
    ]
    told = []
    for result, measured in zip(results, loop.measure(asked, plain), strict=True):
        values = measured.double().cpu()
        values = values[values.isfinite()]
        n = int(values.numel())
        told.append(
            replace(
                result,
                score=result.response,
                score_sem=result.response_sem,
                response=float(values.mean()) if n else float("nan"),
                response_sem=float(values.std() / n**0.5) if n > 1 else None,
                natural_best=job.natural_best(units[result.unit]),
            )
        )
    return told
