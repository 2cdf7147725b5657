"""Runs a job from its text to its artifacts."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch

from ..models.ambient import own_threads, under_default_settings
from ..models.file_access import AllowedFiles
from ..models.generators.constrained import ConstrainedGenerator
from ..models.version import version_of
from ..optimizers.optimizer import HasNote
from .analyses.folder_images import most_activating
from .build import CheckedJob, check
from .errors import Unmeasured
from .evaluation.evaluator import Evaluator, Spread
from .evaluation.loop import Loop, Observer
from .evaluation.packing import pass_size
from .evaluation.plain_responses import with_plain_responses
from .jobs.observers import Checkpointer, ProgressReporter
from .jobs.progress import Progress
from .jobs.writing import NotWritten, prepare, write
from .results.result import JobResult, Moment, Optimum, SearchResult
from .search.diverse_search import DiverseSearch
from .search.film import Film, room
from .search.finals import Measured
from .search.search import Search
from .spec import JobSpec

__all__ = ["NotWritten", "Suspended", "batch_of", "execute", "fingerprint", "replica", "run_job", "searches_of"]

StopReason = Literal["", "cancel", "suspend"]


class Suspended(Exception):
    """The job was checkpointed and can be resumed."""


def searches_of(job: CheckedJob) -> list[Search]:
    """One search a unit and optimizer, unit by unit, the main optimizer first."""
    labels = job.labels()
    kind = DiverseSearch if job.spec.diverse else Search
    searches = [
        kind(
            str(unit),
            labels[number],
            job.generator.latent,
            job.objective(unit),
            job.optimizer(number, unit_number),
            job.spec.budget,
            job.natural_best(unit) if job.plain else None,  # of which its scores are multiples
            job.unit_name(unit),
            job.design,
        )
        for unit_number, unit in enumerate(job.units)
        for number in range(len(job.optimizers))
    ]
    if job.spec.report.film != "none":
        latent, stimulus = job.generator.latent, job.generator.stimulus
        filmed, moments = room(len(searches), max(latent.size, math.prod(stimulus.shape)))
        for search in searches[:filmed]:
            search.film = Film(job.spec.budget.evaluations, moments)
    return searches


@under_default_settings
def run_job(
    spec: JobSpec,
    folder: Path | None,
    *,
    on_progress: Callable[[Progress], None] = lambda _: None,
    should_stop: Callable[[], StopReason] = lambda: "",
    allow_imports: Sequence[str] = (),
    allow_files: AllowedFiles = False,
    threads: int | None = None,
    checkpoint_interval: float = 5.0,
    given: Mapping[str, Any] | None = None,
    keep_checkpoint: bool = False,
    spread: Spread | None = None,
) -> JobResult:
    """Run ``spec``, or go on from the checkpoint in ``folder``, and write its artifacts.

    Parameters
    ----------
    spec : JobSpec
        What to do.
    folder : Path or None
        Holds ``checkpoint.safetensors`` while the job runs and ``artifacts/`` once it has ended. None: nothing is written or drawn.
    on_progress : callable
        Called with where the job stands, a few times a second at most: at the start, between forward passes and generations, while what
        was found is measured, and at the end.
    should_stop : callable
        Asked between generations: "" to go on, "cancel" to end and keep what was found, "suspend" to save and leave.
    allow_imports : sequence of str
        Packages that ``package:attribute`` names may come from.
    allow_files : bool or tuple of str
        Whether options may name files of this machine and servers, or the folders and addresses that they may name.
    threads : int or None
        CPU threads for torch; its own number when None.
    checkpoint_interval : float
        Seconds between two checkpoints, at least.
    given : mapping of str to object, optional
        Parts at hand, by the names that the job gives them; see :func:`actmax.engine.build.check`.
    keep_checkpoint : bool
        Leave the checkpoint of the ended job to the caller, who has yet to record the end.
    spread : callable or None
        Shares the passes of a generation out between processes, each with a :func:`replica`; see
        :class:`actmax.engine.evaluation.loop.Loop`.

    Returns
    -------
    JobResult
        One result a search; of a cancelled job, those searches that had evaluated something.

    Raises
    ------
    InvalidJob
        Before any work.
    Suspended
        After "suspend".
    Unmeasured
        Not a single response was a finite number.
    OSError
        Before any work: the folder can't be written.
    NotWritten
        After it: the numbers can't be written; the error holds the result. What can't be drawn is only named in the result's ``notices``.
    """
    with own_threads(threads):
        job = check(spec, allow_imports=allow_imports, allow_files=allow_files, given=given)
        searches = searches_of(job)
        if folder is None:
            reporter = ProgressReporter(on_progress, spec.budget.seconds, notices=job.notices)
            return execute(job, searches, observers=[reporter], should_stop=should_stop, spread=spread)
        prepare(folder)
        saver = Checkpointer(
            folder / "checkpoint.safetensors", fingerprint(spec), checkpoint_interval, _versions(job), required=keep_checkpoint
        )
        elapsed = saver.resume(searches)
        undrawn: list[str] = []
        reporter = ProgressReporter(on_progress, spec.budget.seconds, notices=lambda: (*job.notices(), *saver.notices(), *undrawn))
        try:
            result = execute(
                job, searches, observers=[reporter, saver], elapsed=elapsed, should_stop=should_stop, saver=saver, spread=spread
            )
        except Unmeasured:  # tried again, it begins anew
            saver.path.unlink(missing_ok=True)
            raise
        written = write(
            result,
            folder,
            job.generator.stimulus,
            saver,
            searches,
            keep_checkpoint=keep_checkpoint,
            on_drawn=lambda drawn: reporter.pass_done(searches, result.seconds, stage=f"drawing the report: {drawn:,} pictures"),
        )
        undrawn += written.notices[len(result.notices) :]
        if undrawn:
            reporter.report_now(searches, result.seconds)
        return written


@under_default_settings
def replica(
    spec: JobSpec, *, allow_imports: Sequence[str] = (), allow_files: AllowedFiles = False, threads: int | None = None
) -> Evaluator:
    """What another process evaluates passes of this job with; parameters as of :func:`run_job`.

    Raises
    ------
    InvalidJob
        The job can't run there.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    job = check(spec, allow_imports=allow_imports, allow_files=allow_files)
    return Evaluator(
        job.generator.to(job.device),
        job.target.to(job.device),
        [job.objective(unit) for unit in job.units for _ in job.optimizers],  # as searches_of has them
        device=job.device,
        seed=spec.seed,
        transformations=job.scoring.transformations(),
    )


def batch_of(job: CheckedJob) -> int | None:
    """Stimuli in one pass: with replicas a chunk, else as many as fit (None)."""
    if job.spec.replicas is None:
        return None
    return min(job.spec.replicas.chunk, pass_size(job.target, job.generator.stimulus, job.device))


@under_default_settings
def execute(
    job: CheckedJob,
    searches: Sequence[Search],
    *,
    observers: Sequence[Observer] = (),
    elapsed: float = 0.0,
    should_stop: Callable[[], StopReason] = lambda: "",
    saver: Checkpointer | None = None,
    spread: Spread | None = None,
) -> JobResult:
    """Drive ``searches`` to their end and measure what each recommends once more, where that was not part of the search."""
    generator, target = job.generator.to(job.device), job.target.to(job.device)
    loop = Loop(
        generator,
        target,
        searches,
        device=job.device,
        observers=observers,
        seconds=job.spec.budget.seconds,
        elapsed=elapsed,
        sharing=job.spec.sharing,
        seed=job.spec.seed,
        transformations=job.scoring.transformations(),
        max_batch=batch_of(job),
        spread=spread,
    )
    reason = loop.run(should_stop)
    if reason == "suspend":
        if saver is not None:
            saver.save(searches, loop.seconds)
        raise Suspended
    for search in searches:
        search.stopped_by = search.stopped_by or "cancelled"
    for observer in observers:
        if isinstance(observer, ProgressReporter):
            observer.report_now(searches, loop.seconds)
    found = [search for search in searches if search.scores.size and not _all_missed(search)]
    if not found and reason != "cancel":
        raise Unmeasured(_nothing_measured(searches))
    results: list[SearchResult] = []
    told: list[str] = []
    for search, answers in zip(found, _measured(loop, found), strict=True):
        optima = _optima(job, answers)
        answer = optima[0]
        results.append(
            SearchResult(
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
                overheard=search.overheard,
                response_sem=answer.response_sem,
                measurements=answer.measurements,
                note=search.optimizer.note if isinstance(search.optimizer, HasNote) else "",
                importance=None if search.importance is None else search.importance.numpy(),
                optima=optima,
                film=_film(job, search, loop.max_batch, told),
                stimulus_spec=generator.stimulus,
                warnings=_warnings(search, answer.response),
                outcome=search.tally.outcome,
            )
        )
    results = with_plain_responses(job, loop, found, results)
    missed = [search for search in searches if search.scores.size and search not in found]
    told += [f"{search.unit} by {search.optimizer_label}: {warning}" for search in missed for warning in search.tally.warnings()]
    images = None
    if job.spec.report.images and reason != "cancel":
        try:
            images, reason = most_activating(
                job.spec.report,
                target,
                job.units,
                device=job.device,
                batch=loop.max_batch,
                seed=job.spec.seed,
                trial=sum(search.evaluations for search in searches),
                should_stop=should_stop,
                on_shown=lambda shown: loop.report(f"showing the folder's pictures: {shown:,}"),
            )
        except Exception as error:  # what was found is worth more than pictures beside it
            told.append(f"the pictures of {job.spec.report.images} could not be shown to the target: {type(error).__name__}: {error}")
        if reason == "suspend":  # the searches have ended; the next attempt comes straight to here
            if saver is not None:
                saver.save(searches, loop.seconds)
            raise Suspended
    return JobResult(
        job.spec,
        results,
        loop.seconds,
        cancelled=reason == "cancel",
        images=images,
        pictures=job.pictures,
        notices=(*job.notices(), *told),
        unmeasured=len(missed),
    )


def _warnings(search: Search, response: float) -> tuple[str, ...]:
    """What to know of a search's answer."""
    lost = ("the response to the recommended stimulus was missed when it was measured again",)
    return (*search.tally.warnings(), *(() if math.isfinite(response) else lost))


def _nothing_measured(searches: Sequence[Search]) -> str:
    """Why a job has nothing to report, in a line."""
    tried = [search for search in searches if search.evaluations]
    if not tried:
        return "nothing was evaluated before the budget's seconds were over; give more seconds, or evaluations"
    responses, nan = sum(search.evaluations for search in tried), sum(search.tally.nan for search in tried)
    units = ", ".join(dict.fromkeys(search.unit for search in tried[:3])) + (", …" if len(tried) > 3 else "")
    what = f"none of {responses} responses of {units} was a finite number ({nan} NaN, {responses - nan} infinite)"
    return f"{what}; check the target's weights (a broken checkpoint gives NaN) and the range of its stimuli, or whether it answers at all"


def _measured(loop: Loop, searches: Sequence[Search]) -> list[list[Measured]]:
    """The answers of each search, those that are still open measured once."""
    answers = [search.answers() for search in searches]
    open_ = [
        (search, torch.stack(latents))
        for search, found in zip(searches, answers, strict=True)
        if (latents := [answer.latent for answer in found if not answer.measurements])
    ]
    told = torch.cat(loop.measure(open_)).double() if open_ else torch.empty(0, dtype=torch.float64)
    scores = iter(torch.where(told.isfinite(), told, torch.nan).tolist())
    return [[answer if answer.measurements else Measured(answer.latent, next(scores), None, 1) for answer in found] for found in answers]


def _optima(job: CheckedJob, answers: Sequence[Measured]) -> list[Optimum]:
    """The stimuli of ``answers``, and how far they are from each other."""
    generator = job.generator
    with torch.no_grad():
        latents = torch.stack([answer.latent for answer in answers]).to(job.device)
        latents = generator.project(latents) if isinstance(generator, ConstrainedGenerator) else latents
        stimuli = generator(latents).float().cpu().numpy()
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


def _film(job: CheckedJob, search: Search, batch: int, notices: list[str]) -> list[Moment]:
    """Return the frames of a search's film; where the generator fails, none, with the reason added to ``notices``."""
    try:
        return _frames(job, search, batch)
    except Exception as error:  # what was found is worth more than its film
        notices.append(f"the film of {search.unit} could not be made: {type(error).__name__}: {error}")
        return []


def _frames(job: CheckedJob, search: Search, batch: int) -> list[Moment]:
    moments = [] if search.film is None else search.film.moments
    frames: list[Moment] = []
    with torch.no_grad():
        for start in range(0, len(moments), batch):
            part = moments[start : start + batch]
            stimuli = job.generator(torch.stack([latent for _, _, latent in part]).to(job.device)).float().cpu().numpy()
            frames += [Moment(at, score, stimulus) for (at, score, _), stimulus in zip(part, stimuli, strict=True)]
    return frames


def fingerprint(spec: JobSpec) -> str:
    """The same for the same job: what a checkpoint is known by."""
    return hashlib.sha256(spec.model_dump_json().encode()).hexdigest()


def _versions(job: CheckedJob) -> dict[str, str]:
    """Of the parts that live elsewhere."""
    found = {"generator": version_of(job.generator), "target": version_of(job.target)}
    return {role: version for role, version in found.items() if version}


def _all_missed(search: Search) -> bool:
    return bool(torch.from_numpy(search.scores).isnan().all())
