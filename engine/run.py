"""Runs a job from its spec to its artifacts, step by step: build, search, finals, analyses, report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from ..models.ambient import own_threads, under_default_settings
from ..models.permissions import NOTHING, Permissions
from .analyses.analysis import AnalysisContext
from .analyses.running import attach_recorders, run_analyses
from .build import check
from .errors import Unmeasured
from .evaluation.evaluator import EvaluationSetup, Evaluator, PassDispatcher
from .evaluation.loop import Loop, Observer, StopReason
from .evaluation.packing import pass_size
from .jobs.finals import final_results
from .jobs.observers import Checkpointer, ProgressReporter
from .jobs.progress import Progress
from .jobs.provenance import fingerprint, provenance_of, versions_of
from .jobs.writing import NotWritten, prepare, write
from .resolved_job import ResolvedJob
from .results.result import JobResult, SearchResult
from .results.section import Section
from .search.diverse_search import DiverseSearch
from .search.recorder import SearchPlan
from .search.search import Search, SearchedUnit
from .spec import JobSpec

__all__ = ["NotWritten", "RunSettings", "Suspended", "batch_of", "execute", "fingerprint", "replica", "run_job", "searches_of"]


class Suspended(Exception):
    """The job was checkpointed and can be resumed."""


@dataclass(frozen=True)
class RunSettings:
    """How a process runs a job; the job's results do not depend on it.

    Attributes
    ----------
    threads : int or None
        CPU threads for torch; torch's own number when None.
    checkpoint_interval : float
        Least seconds between two checkpoints.
    keep_checkpoint : bool
        Whether the ended job's checkpoint is left to the caller, who has yet to record the end.
    spread : callable or None
        Distributes the passes of a generation over processes, each with a :func:`replica`; see
        :class:`actmax.engine.evaluation.loop.Loop`.
    command : str
        The command line that ran the job, for the record; empty if readers of the result must not see it.
    """

    threads: int | None = None
    checkpoint_interval: float = 5.0
    keep_checkpoint: bool = False
    spread: PassDispatcher | None = None
    command: str = ""


@dataclass
class JobRun:
    """A running job: the data of its steps, and their results so far.

    Attributes
    ----------
    job : ResolvedJob
        The job.
    searches : sequence of Search
        All searches of the job.
    loop : Loop
        Drives the searches.
    should_stop : callable
        Called between generations, and between the steps of an analysis.
    saver : Checkpointer or None
        Keeps checkpoints.
    reason : str
        Why the job ends early; empty while it doesn't.
    found : list of Search
        Searches that measured something.
    results : list of SearchResult
        Results of these searches.
    sections, notices : tuple
        Sections of analyses, and warnings about the whole job.
    """

    job: ResolvedJob
    searches: Sequence[Search]
    loop: Loop
    should_stop: Callable[[], StopReason]
    saver: Checkpointer | None = None
    reason: StopReason = ""
    found: list[Search] = field(default_factory=list)
    results: list[SearchResult] = field(default_factory=list)
    sections: tuple[Section, ...] = ()
    notices: tuple[str, ...] = ()

    def suspend(self) -> None:
        """Save a checkpoint, and raise :class:`Suspended`."""
        if self.saver is not None:
            self.saver.save(self.searches, self.loop.seconds)
        raise Suspended

    def result(self) -> JobResult:
        """Return the result so far."""
        missed = [search for search in self.searches if search.scores.size and search not in self.found]
        lost = [f"{search.unit} by {search.optimizer_label}: {warning}" for search in missed for warning in search.tally.warnings()]
        return JobResult(
            self.job.spec,
            self.results,
            self.loop.seconds,
            cancelled=self.reason == "cancel",
            sections=self.sections,
            pictures=self.job.pictures,
            notices=(*self.job.notices(), *lost, *self.notices),
            unmeasured=len(missed),
        )


def search(run: JobRun) -> None:
    """Drive the searches to their end.

    Raises
    ------
    Suspended
        ``should_stop`` returned "suspend"; a checkpoint is saved.
    Unmeasured
        No response was a finite number.
    """
    run.reason = run.loop.run(run.should_stop)
    if run.reason == "suspend":
        run.suspend()
    for one in run.searches:
        one.stopped_by = one.stopped_by or "cancelled"
    for observer in run.loop.observers:
        if isinstance(observer, ProgressReporter):
            observer.report_now(run.searches, run.loop.seconds)
    run.found = [one for one in run.searches if one.scores.size and not _all_missed(one)]
    if not run.found and run.reason != "cancel":
        raise Unmeasured(_nothing_measured(run.searches))


def finals(run: JobRun) -> None:
    """Measure each search's recommendation again, if that was not part of the search."""
    run.results, notices = final_results(run.job, run.loop, run.found)
    run.notices += tuple(notices)


def analyses(run: JobRun) -> None:
    """Run the job's analyses, one after another.

    Raises
    ------
    Suspended
        ``should_stop`` returned "suspend"; a checkpoint is saved, and the next attempt resumes at this step.
    """
    saver = run.saver

    def report(stage: str) -> None:
        run.loop.report(stage)
        if saver is not None:
            saver.generation_done(run.searches, run.loop.seconds)

    context = AnalysisContext(
        run.loop.setup.target,
        run.loop.setup.generator,
        run.job.units,
        run.results,
        seed=run.job.spec.seed,
        device=run.job.device,
        batch=run.loop.max_batch,
        trials=sum(one.evaluations for one in run.searches),
        report=report,
        should_stop=run.should_stop,
    )
    done = run_analyses(run.job.analyses, context, {} if saver is None else saver.analyses, run.reason)
    run.sections, run.notices, run.reason = done.sections, (*run.notices, *done.notices), done.reason
    if run.reason == "suspend":
        run.suspend()


STEPS: tuple[Callable[[JobRun], None], ...] = (search, finals, analyses)
"""The steps between building a job and writing its report. Each uses the results of the steps before it."""


@under_default_settings
def execute(
    job: ResolvedJob,
    searches: Sequence[Search],
    *,
    observers: Sequence[Observer] = (),
    elapsed: float = 0.0,
    should_stop: Callable[[], StopReason] = lambda: "",
    saver: Checkpointer | None = None,
    spread: PassDispatcher | None = None,
) -> JobResult:
    """Take a resolved job through :data:`STEPS`, and return its result; parameters are those of :func:`run_job`."""
    loop = Loop(
        setup_of(job),
        searches,
        observers=observers,
        seconds=job.spec.budget.seconds,
        elapsed=elapsed,
        sharing=job.spec.sharing,
        spread=spread,
    )
    run = JobRun(job, searches, loop, should_stop, saver)
    for step in STEPS:
        step(run)
    return run.result()


@under_default_settings
def run_job(
    spec: JobSpec,
    folder: Path | None,
    *,
    on_progress: Callable[[Progress], None] = lambda _: None,
    should_stop: Callable[[], StopReason] = lambda: "",
    permissions: Permissions = NOTHING,
    given: Mapping[str, Any] | None = None,
    settings: RunSettings = RunSettings(),
) -> JobResult:
    """Run ``spec``, or continue from the checkpoint in ``folder``, and write its artifacts.

    Parameters
    ----------
    spec : JobSpec
        The job.
    folder : Path or None
        Holds ``checkpoint.safetensors`` while the job runs and ``artifacts/`` once it has ended. None: nothing is written or drawn.
    on_progress : callable
        Called with the job's progress, a few times a second at most: at the start, between forward passes and generations, during the
        final measurements, and at the end.
    should_stop : callable
        Called between generations: returns "" to continue, "cancel" to end with a result, "suspend" to save a checkpoint and stop.
    permissions : Permissions
        What the job may import, read and ask.
    given : mapping of str to object, optional
        Ready parts, by the names that the job gives them; see :func:`actmax.engine.build.check`.
    settings : RunSettings
        How this process runs it.

    Returns
    -------
    JobResult
        One result for each search; of a cancelled job, for the searches that had evaluated something.

    Raises
    ------
    InvalidJob
        Before any work.
    Suspended
        After "suspend".
    Unmeasured
        No response was a finite number.
    OSError
        Before any work: the folder can't be written to.
    NotWritten
        After the search: the numbers can't be written; the error holds the result. Failed drawings are only named in ``notices``.
    """
    with own_threads(settings.threads):
        job = check(spec, permissions=permissions, given=given)
        return run_resolved(job, folder, on_progress=on_progress, should_stop=should_stop, settings=settings)


@under_default_settings
def run_resolved(
    job: ResolvedJob,
    folder: Path | None,
    *,
    on_progress: Callable[[Progress], None] = lambda _: None,
    should_stop: Callable[[], StopReason] = lambda: "",
    settings: RunSettings = RunSettings(),
) -> JobResult:
    """Run a job that :func:`actmax.engine.build.check` has resolved; other parameters, result and errors are those of :func:`run_job`.

    It runs with the CPU threads that torch has: the caller applies ``settings.threads``.
    """
    spec = job.spec
    searches = searches_of(job)
    if folder is None:
        reporter = ProgressReporter(on_progress, spec.budget.seconds, notices=job.notices)
        result = execute(job, searches, observers=[reporter], should_stop=should_stop, spread=settings.spread)
        return replace(result, provenance=provenance_of(job, settings.command))
    prepare(folder)
    saver = Checkpointer(
        folder / "checkpoint.safetensors",
        fingerprint(spec),
        settings.checkpoint_interval,
        versions_of(job),
        required=settings.keep_checkpoint,
    )
    elapsed = saver.resume(searches)
    undrawn: list[str] = []
    reporter = ProgressReporter(on_progress, spec.budget.seconds, notices=lambda: (*job.notices(), *saver.notices(), *undrawn))
    try:
        result = execute(
            job, searches, observers=[reporter, saver], elapsed=elapsed, should_stop=should_stop, saver=saver, spread=settings.spread
        )
    except Unmeasured:  # a retry starts from the beginning
        saver.path.unlink(missing_ok=True)
        raise
    written = write(
        replace(result, provenance=provenance_of(job, settings.command)),
        folder,
        job.generator.stimulus,
        saver,
        searches,
        keep_checkpoint=settings.keep_checkpoint,
        on_drawn=lambda drawn: reporter.pass_done(searches, result.seconds, stage=f"drawing the report: {drawn:,} pictures"),
    )
    undrawn += written.notices[len(result.notices) :]
    if undrawn:
        reporter.report_now(searches, result.seconds)
    return written


def searches_of(job: ResolvedJob) -> list[Search]:
    """Return a search for each unit and optimizer, unit by unit, the main optimizer first, with the recorders of the job's analyses."""
    labels = job.labels()
    kind = DiverseSearch if job.spec.diverse else Search
    searches = [
        kind(
            # scores are multiples of a natural response only if they are responses
            SearchedUnit(str(unit), job.unit_name(unit), job.reference(unit) if job.plain else None, job.response_unit(unit)),
            labels[number],
            job.generator.latent,
            job.objective(unit),
            job.optimizer(number, unit_number),
            job.spec.budget,
            job.design,
        )
        for unit_number, unit in enumerate(job.units)
        for number in range(len(job.optimizers))
    ]
    plan = SearchPlan(0, len(searches), job.generator.latent, job.generator.stimulus, job.spec.budget.evaluations)
    attach_recorders(job.analyses, searches, plan)
    return searches


@under_default_settings
def replica(spec: JobSpec, *, permissions: Permissions = NOTHING, threads: int | None = None) -> Evaluator:
    """Return an evaluator of this job's passes for another process; parameters are those of :func:`run_job`.

    Raises
    ------
    InvalidJob
        The job can't run there.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    job = check(spec, permissions=permissions)
    return Evaluator(setup_of(job), [job.objective(unit) for unit in job.units for _ in job.optimizers])  # as searches_of has them


def setup_of(job: ResolvedJob) -> EvaluationSetup:
    """Return how a job's candidates are evaluated, after moving its generator and target to its device."""
    generator, target = job.generator.to(job.device), job.target.to(job.device)
    return EvaluationSetup(generator, target, job.device, job.spec.seed, job.scoring.transformations(), batch_of(job))


def batch_of(job: ResolvedJob) -> int | None:
    """Return the number of stimuli in one pass: a chunk with replicas, else None, as many as fit."""
    if job.spec.replicas is None:
        return None
    return min(job.spec.replicas.chunk, pass_size(job.target, job.generator.stimulus, job.device))


def _nothing_measured(searches: Sequence[Search]) -> str:
    """Return why a job has nothing to report, in a line."""
    tried = [search for search in searches if search.evaluations]
    if not tried:
        return "nothing was evaluated before the budget's seconds were over; give more seconds, or evaluations"
    responses, nan = sum(search.evaluations for search in tried), sum(search.tally.nan for search in tried)
    units = ", ".join(dict.fromkeys(search.unit for search in tried[:3])) + (", …" if len(tried) > 3 else "")
    what = f"none of {responses} responses of {units} was a finite number ({nan} NaN, {responses - nan} infinite)"
    return f"{what}; check the target's weights (a broken checkpoint gives NaN) and the range of its stimuli, or whether it answers at all"


def _all_missed(search: Search) -> bool:
    return bool(torch.from_numpy(search.scores).isnan().all())
