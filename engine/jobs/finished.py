"""Runs analyses on a job that has ended, from its artifacts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...models.ambient import own_threads, under_default_settings
from ...models.permissions import NOTHING, Permissions
from ..analyses.analysis import AnalysisContext, RecordsSearches
from ..analyses.resolving import JobAnalysis
from ..analyses.running import Analysed, run_analyses
from ..build import check
from ..errors import InvalidJob
from ..evaluation.loop import StopReason
from ..evaluation.packing import pass_size
from ..report.adding import add_sections
from ..resolved_job import ResolvedJob
from ..results.reading import read_result
from ..spec import ComponentSpec, JobSpec, ReportSpec
from .observers import Checkpointer

STATE = ".actmax-analyse-{}.safetensors"
"""Name of the checkpoint that an interrupted call leaves beside the artifacts, with a digest of the analyses; the same call resumes it."""


def analyse_finished(
    folder: Path,
    analyses: Sequence[ComponentSpec],
    *,
    permissions: Permissions = NOTHING,
    given: Mapping[str, Any] | None = None,
    on_stage: Callable[[str], None] = lambda _: None,
    should_stop: Callable[[], StopReason] = lambda: "",
    threads: int | None = None,
) -> Analysed:
    """Run ``analyses`` on a job that has ended, and add their sections to its artifacts.

    An interrupted call leaves a checkpoint beside the artifacts, from which the same call continues.

    Parameters
    ----------
    folder : Path
        The artifacts: ``result.json``, ``arrays.npz``, and ``report.html`` if there is one.
    analyses : sequence of ComponentSpec
        The analyses. One that records searches while they run can't be run afterwards.
    permissions : Permissions
        What the analyses, and the job's parts, may use.
    given : mapping of str to object, optional
        Ready parts, by the names that the job and ``analyses`` use for them.
    on_stage : callable
        Called with a description of each stage.
    should_stop : callable
        Called between steps. After "cancel" the sections made so far are added; after "suspend" none are, and the same call continues.
    threads : int or None
        CPU threads for torch; torch's own number when None.

    Returns
    -------
    Analysed
        The sections that were added, and notices.

    Raises
    ------
    UnreadableResult
        ``folder`` holds no result.
    InvalidJob
        An analysis, or the job itself, can't be used here.
    OSError
        The numbers can't be written.
    """
    path = folder / STATE.format(_fingerprint(analyses)[:12])
    with own_threads(threads):
        saver = checkpointer(path, analyses)
        done = analyse_artifacts(folder, analyses, saver, permissions=permissions, given=given, on_stage=on_stage, should_stop=should_stop)
    if done.reason != "suspend":
        path.unlink(missing_ok=True)
    return done


def checkpointer(path: Path, analyses: Sequence[ComponentSpec], interval: float = 5.0) -> Checkpointer:
    """Return a checkpointer for the state of ``analyses``.

    Parameters
    ----------
    path : Path
        The checkpoint's file.
    analyses : sequence of ComponentSpec
        The analyses; a checkpoint of others is refused.
    interval : float
        Least seconds between two writes.
    """
    return Checkpointer(path, _fingerprint(analyses), interval, required=False)


@under_default_settings
def analyse_artifacts(
    folder: Path,
    analyses: Sequence[ComponentSpec],
    saver: Checkpointer,
    *,
    permissions: Permissions = NOTHING,
    given: Mapping[str, Any] | None = None,
    on_stage: Callable[[str], None] = lambda _: None,
    should_stop: Callable[[], StopReason] = lambda: "",
) -> Analysed:
    """Run ``analyses`` on the artifacts in ``folder``, continuing from the checkpoint of ``saver``, which is kept.

    Other parameters, return value and errors are those of :func:`analyse_finished`.
    """
    result = read_result(folder)
    job = check_finished(result.spec, analyses, permissions=permissions, given=given)
    saver.resume([])

    def report(stage: str) -> None:
        on_stage(stage)
        saver.generation_done([], 0.0)

    context = AnalysisContext(
        job.target.to(job.device),
        job.generator.to(job.device),
        job.units,
        result.searches,
        seed=job.spec.seed,
        device=job.device,
        batch=pass_size(job.target, job.generator.stimulus, job.device),
        trials=sum(search.evaluations for search in result.searches),
        report=report,
        should_stop=should_stop,
    )
    done = run_analyses(job.analyses, context, saver.analyses)
    if done.reason == "suspend":
        saver.save([], 0.0)
        return done
    if not done.sections and not done.notices:
        return done
    spec = result.spec.model_copy(update={"analyses": [*result.spec.analyses, *analyses]})
    told = add_sections(folder, replace(result, spec=spec), done.sections, done.notices)
    return replace(done, notices=told)


def check_finished(
    spec: JobSpec, analyses: Sequence[ComponentSpec], *, permissions: Permissions = NOTHING, given: Mapping[str, Any] | None = None
) -> ResolvedJob:
    """Return the ended job ``spec`` with ``analyses`` alone; labels differ from those of its earlier analyses.

    Parameters
    ----------
    spec : JobSpec
        The job.
    analyses, permissions, given
        See :func:`analyse_finished`.

    Raises
    ------
    InvalidJob
        An analysis, or the job itself, can't be used here; or an analysis records searches while they run.
    """
    before = list(spec.analyses)
    asked = spec.model_copy(update={"analyses": list(analyses), "report": ReportSpec()})
    job = check(asked, permissions=permissions, given=given)
    named = [one for one in job.analyses if one.field != "report"]
    for one in named:
        if isinstance(one.analysis, RecordsSearches):
            raise InvalidJob.at(one.field, f"{one.label} records searches while they run; name it in the job, and run that again")
    return replace(job, analyses=[_labelled_apart(one, component, before) for one, component in zip(named, analyses, strict=True)])


def _labelled_apart(one: JobAnalysis, component: ComponentSpec, before: list[ComponentSpec]) -> JobAnalysis:
    number = sum(component.name == other.name for other in before) + 1
    before.append(component)
    return one if number == 1 else replace(one, label=f"{component.name} {number}")


def _fingerprint(analyses: Sequence[ComponentSpec]) -> str:
    """Return a digest of the analyses, which identifies their checkpoint."""
    asked = json.dumps([one.model_dump(mode="json") for one in analyses], sort_keys=True)
    return hashlib.sha256(asked.encode()).hexdigest()
