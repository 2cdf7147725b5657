"""The engine as the server's processes call it. It is imported when a process first calls it, so the server itself needs no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol

from ...models.permissions import Permissions
from ..messages import jobs as messages
from .task import WorkerTask

Command = Literal["", "cancel", "suspend"]


class Suspended(Exception):
    """A run stopped at a checkpoint on request."""


@dataclass(frozen=True)
class Checked:
    """Size of a valid job; ``total_evaluations`` is 0 if seconds alone limit it."""

    total_evaluations: int
    searches: int


class Engine(Protocol):
    """The engine in terms of plain data. It is pickled to the processes that call it.

    Raises
    ------
    engine.errors.InvalidJob
        From any method, with fields relative to the job's spec.
    """

    def warm(self, *, running: bool = False) -> None:
        """Import what the other methods need; what ``run`` needs too if ``running``."""
        ...

    def check(self, spec: Mapping[str, Any], permissions: Permissions) -> Checked:
        """Validate a job and return its size."""
        ...

    def check_analyses(self, spec: Mapping[str, Any], permissions: Permissions) -> None:
        """Validate that the analyses of ``spec`` can be run on the ended job that the rest of ``spec`` describes."""
        ...

    def components(self) -> list[dict[str, Any]]:
        """Return all components as mappings with kind, name, summary, options_schema and unavailable."""
        ...

    def describe(self, target: Mapping[str, Any], permissions: Permissions) -> dict[str, Any]:
        """Build a target and return its shape, modality, differentiable, and layers (name, shape, kind)."""
        ...

    def run(self, task: WorkerTask, *, on_progress: Callable[[bytes], None], should_stop: Callable[[], Command]) -> bool:
        """Run a job, or resume it from the task's folder, and write its artifacts there.

        Parameters
        ----------
        task : WorkerTask
            The job, its folder, and its permissions.
        on_progress : callable
            Called with a serialised ``actmax.v1.Progress``.
        should_stop : callable
            Returns "" to continue, "cancel" to end and write results, "suspend" to write a checkpoint and stop.

        Returns
        -------
        bool
            Whether the job was cancelled.

        Raises
        ------
        Suspended
            The run has written its checkpoint and stopped on request.
        """
        ...

    def analyse(self, task: WorkerTask, *, on_progress: Callable[[bytes], None], should_stop: Callable[[], Command]) -> bool:
        """Run the task's analyses on the ended job in ``task.folder/artifacts`` and add their sections there.

        Parameters and return value are those of :meth:`run`.

        Raises
        ------
        Suspended
            The run has written its checkpoint and stopped on request.
        Exception
            All analyses failed.
        """
        ...


class Replicating(Engine, Protocol):
    """An engine whose generations several processes may evaluate."""

    def replica(self, spec: Mapping[str, Any], permissions: Permissions, threads: int) -> Callable[[Any], Any]:
        """Return a function for another process that evaluates an ``engine.evaluation.evaluator.Pass`` to its ``Outcome``.

        Parameters
        ----------
        spec : mapping of str to object
            The job.
        permissions : Permissions
            What the job may use.
        threads : int
            CPU threads of the process.
        """
        ...

    def run(
        self, task: WorkerTask, *, on_progress: Callable[[bytes], None], should_stop: Callable[[], Command], spread: Any = None
    ) -> bool:
        """See ``Engine``; ``spread`` is an ``engine.evaluation.evaluator.PassDispatcher``, which distributes passes over processes."""
        ...


class ActmaxEngine:
    """The engine of actmax, ``actmax.engine``."""

    def warm(self, *, running: bool = False) -> None:
        """See ``Engine``."""
        from ...engine import build  # noqa: F401

        if running:
            from ...engine import run  # noqa: F401

    def check(self, spec: Mapping[str, Any], permissions: Permissions) -> Checked:
        """See ``Engine``."""
        from ...engine.build import check
        from ...engine.spec import JobSpec

        checked = check(JobSpec.parse(spec), permissions=permissions)
        return Checked(checked.total_evaluations, checked.searches)

    def check_analyses(self, spec: Mapping[str, Any], permissions: Permissions) -> None:
        """See ``Engine``."""
        from ...engine.jobs.finished import check_finished
        from ...engine.spec import JobSpec

        parsed = JobSpec.parse(spec)
        check_finished(parsed, parsed.analyses, permissions=permissions)

    def components(self) -> list[dict[str, Any]]:
        """See ``Engine``."""
        from ...engine.components.registry import components

        return [asdict(entry) for entry in components(None)]

    def describe(self, target: Mapping[str, Any], permissions: Permissions) -> dict[str, Any]:
        """See ``Engine``."""
        from ...engine.build import describe_target
        from ...engine.spec import ComponentSpec

        component = ComponentSpec.parse(target, "target")
        stimulus, differentiable, layers = describe_target(component, permissions=permissions)
        return {
            "shape": list(stimulus.shape),
            "modality": stimulus.modality,
            "differentiable": differentiable,
            "layers": [{"name": layer.name, "shape": list(layer.shape), "kind": layer.kind} for layer in layers],
        }

    def run(
        self, task: WorkerTask, *, on_progress: Callable[[bytes], None], should_stop: Callable[[], Command], spread: Any = None
    ) -> bool:
        """See ``Replicating``."""
        from ...engine import run
        from ...engine.build import check
        from ...engine.jobs.progress import Progress
        from ...engine.spec import JobSpec
        from ...models.ambient import own_threads

        def report(progress: Progress) -> None:
            on_progress(messages.progress(progress).SerializeToString())

        try:
            with own_threads(task.threads):
                job = check(JobSpec.parse(task.spec), permissions=task.permissions)
                settings = run.RunSettings(checkpoint_interval=task.checkpoint_seconds, keep_checkpoint=True, spread=spread)
                result = run.run_resolved(job, task.folder, on_progress=report, should_stop=should_stop, settings=settings)
        except run.Suspended as suspended:
            raise Suspended from suspended
        return result.cancelled

    def analyse(self, task: WorkerTask, *, on_progress: Callable[[bytes], None], should_stop: Callable[[], Command]) -> bool:
        """See ``Engine``."""
        from ...engine.jobs.finished import analyse_artifacts, checkpointer
        from ...engine.jobs.progress import Progress
        from ...engine.spec import JobSpec
        from ...models.ambient import own_threads

        def report(stage: str, warnings: tuple[str, ...] = ()) -> None:
            progress = Progress((), 0, 0, 0.0, 0.0, warnings, "", stage)
            on_progress(messages.progress(progress).SerializeToString())

        analyses = JobSpec.parse(task.spec).analyses
        saver = checkpointer(task.folder / "checkpoint.safetensors", analyses, task.checkpoint_seconds)
        with own_threads(task.threads):
            folder = task.folder / "artifacts"
            done = analyse_artifacts(folder, analyses, saver, permissions=task.permissions, on_stage=report, should_stop=should_stop)
        if done.reason == "suspend":
            raise Suspended
        if done.notices and not done.sections:
            raise RuntimeError("; ".join(done.notices))
        report("all analyses have ended", done.notices)
        return done.reason == "cancel"

    def replica(self, spec: Mapping[str, Any], permissions: Permissions, threads: int) -> Callable[[Any], Any]:
        """See ``Replicating``."""
        from ...engine.run import replica
        from ...engine.spec import JobSpec

        return replica(JobSpec.parse(spec), permissions=permissions, threads=threads)
