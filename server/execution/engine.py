"""What the processes ask of the engine. Nothing here is imported before a process asks, so the server itself needs no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol

from ...models.permissions import Permissions
from ..messages import jobs as messages
from .task import WorkerTask

Command = Literal["", "cancel", "suspend"]


class Suspended(Exception):
    """A run stopped at a checkpoint, as it was asked to."""


@dataclass(frozen=True)
class Checked:
    """What is known of a job that may start; ``total_evaluations`` is 0 where seconds alone limit it."""

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
        """Load what the other methods will need; ``run``, too, where ``running``."""
        ...

    def check(self, spec: Mapping[str, Any], permissions: Permissions) -> Checked:
        """All that can be known before a job starts."""
        ...

    def check_analyses(self, spec: Mapping[str, Any], permissions: Permissions) -> None:
        """Validate that the analyses of ``spec`` can be run on the rest of it, a job that has ended."""
        ...

    def components(self) -> list[dict[str, Any]]:
        """Every component: kind, name, summary, options_schema, unavailable."""
        ...

    def describe(self, target: Mapping[str, Any], permissions: Permissions) -> dict[str, Any]:
        """A target: shape, modality, differentiable, and layers (name, shape, kind)."""
        ...

    def run(self, task: WorkerTask, *, on_progress: Callable[[bytes], None], should_stop: Callable[[], Command]) -> bool:
        """Run a job, or resume it from the task's folder, and write its artifacts there.

        Parameters
        ----------
        task : WorkerTask
            The job, where its files are, and what it may use.
        on_progress : callable
            Called with a serialised ``actmax.v1.Progress``.
        should_stop : callable
            Returns "" to go on, "cancel" to end and keep what was found, "suspend" to save and leave.

        Returns
        -------
        bool
            Whether the job was cancelled.

        Raises
        ------
        Suspended
            It was asked to, and has written its checkpoint.
        """
        ...

    def analyse(self, task: WorkerTask, *, on_progress: Callable[[bytes], None], should_stop: Callable[[], Command]) -> bool:
        """Run the task's analyses on the ended job in ``task.folder/artifacts`` and add their sections there; else as ``run``.

        Raises
        ------
        Suspended
            It was asked to, and has written its checkpoint.
        Exception
            Not one section was made.
        """
        ...


class Replicating(Engine, Protocol):
    """An engine whose generations several processes may evaluate."""

    def replica(self, spec: Mapping[str, Any], permissions: Permissions, threads: int) -> Callable[[Any], Any]:
        """Return what another process evaluates passes with, from ``engine.evaluation.evaluator.Pass`` to its ``Outcome``."""
        ...

    def run(
        self, task: WorkerTask, *, on_progress: Callable[[bytes], None], should_stop: Callable[[], Command], spread: Any = None
    ) -> bool:
        """See ``Engine``; ``spread`` is an ``engine.evaluation.evaluator.Spread``, which shares the parts out."""
        ...


class ActmaxEngine:
    """``actmax.engine``."""

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
