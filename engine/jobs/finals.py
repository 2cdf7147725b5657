"""Results of searches, with answers measured once more if that was not part of the search."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from ...models.generators.constrained import ConstrainedGenerator
from ...optimizers.optimizer import HasNote
from ..evaluation.loop import Loop
from ..resolved_job import ResolvedJob
from ..results.result import Optimum, SearchResult
from ..search.search import Search
from ..search.sequential_halving import Measured
from .plain_responses import with_plain_responses


def final_results(job: ResolvedJob, loop: Loop, searches: Sequence[Search]) -> tuple[list[SearchResult], list[str]]:
    """Return a result for each search, and notices about recorders that failed.

    Parameters
    ----------
    job : ResolvedJob
        The job.
    loop : Loop
        Measures answers that are still open.
    searches : sequence of Search
        Searches that have ended and measured something.
    """
    notices: list[str] = []
    results = [
        _result(job, search, _optima(job, answers), _recorded(job, search, loop.max_batch, notices))
        for search, answers in zip(searches, _measured(loop, searches), strict=True)
    ]
    return with_plain_responses(job, loop, searches, results), notices


def _result(job: ResolvedJob, search: Search, optima: list[Optimum], recorded: dict[str, Any]) -> SearchResult:
    answer = optima[0]
    lost = ("the response to the recommended stimulus was missed when it was measured again",)
    return SearchResult(
        unit=search.unit,
        optimizer=search.optimizer_label,
        response=answer.response,
        natural_best=search.natural_best,
        stimulus=answer.stimulus,
        latent=answer.latent,
        scores=search.scores,
        seconds=search.seconds,
        stopped_by=search.stopped_by,
        unit_name=search.unit_name,
        response_unit=search.response_unit,
        overheard=search.overheard,
        response_sem=answer.response_sem,
        measurements=answer.measurements,
        note=search.optimizer.note if isinstance(search.optimizer, HasNote) else "",
        optima=optima,
        recorded=recorded,
        stimulus_spec=job.generator.stimulus,
        warnings=(*search.tally.warnings(), *(() if math.isfinite(answer.response) else lost)),
        outcome=search.tally.outcome,
    )


def _measured(loop: Loop, searches: Sequence[Search]) -> list[list[Measured]]:
    """Return the answers of each search; open answers are measured once."""
    answers = [search.answers() for search in searches]
    open_ = [
        (search, torch.stack(latents))
        for search, found in zip(searches, answers, strict=True)
        if (latents := [answer.latent for answer in found if not answer.measurements])
    ]
    told = torch.cat(loop.measure(open_)).double() if open_ else torch.empty(0, dtype=torch.float64)
    scores = iter(torch.where(told.isfinite(), told, torch.nan).tolist())
    return [[answer if answer.measurements else Measured(answer.latent, next(scores), None, 1) for answer in found] for found in answers]


def _optima(job: ResolvedJob, answers: Sequence[Measured]) -> list[Optimum]:
    """Return the optima of ``answers``, with stimuli and distances between them."""
    generator = job.generator
    with torch.no_grad():
        latents = torch.stack([answer.latent for answer in answers]).to(job.device)
        latents = generator.project(latents) if isinstance(generator, ConstrainedGenerator) else latents
        stimuli = generator(latents).float().cpu().contiguous().numpy()  # the layout of a stored result: kernels depend on it
        latents = latents.cpu()
        distances = job.latent_distance().within(latents)
    least = job.spec.diverse.distance if job.spec.diverse else 0.0
    return [
        Optimum(
            number,
            latents[number].numpy(),
            stimuli[number],
            answer.response,
            answer.sem,
            answer.measurements,
            tuple(distances[number].tolist()),
            bool((distances[number, :number] >= least).all()),
        )
        for number, answer in enumerate(answers)
    ]


def _recorded(job: ResolvedJob, search: Search, batch: int, notices: list[str]) -> dict[str, Any]:
    """Return what recorders have kept of a search, without recorders that fail; their errors are added to ``notices``."""

    def decode(latents: Tensor) -> NDArray[Any]:
        with torch.no_grad():
            parts = [job.generator(part.to(job.device)).float().cpu() for part in latents.split(batch)]
        return torch.cat(parts).numpy()

    found: dict[str, Any] = {}
    for name, recorder in search.recorders.items():
        try:
            kept = recorder.result(decode)
        except Exception as error:  # the search's result matters more than its recordings
            notices.append(f"the {name} of {search.unit} could not be made: {type(error).__name__}: {error}")
            continue
        if kept is not None:
            found[name] = kept
    return found
