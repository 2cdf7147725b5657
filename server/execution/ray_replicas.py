"""Distributes a generation over a job's own process and replicas of generator and target, each a Ray actor."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ..observing.logs import Logs
from . import child
from .engine import Replicating
from .resources import Request
from .task import WorkerTask

if TYPE_CHECKING:
    from ...engine.evaluation.evaluator import Outcome, Pass

_log = logging.getLogger(__name__)
_LEAST_PATIENCE = 2.0


class RayReplica:
    """An actor with its own generator and target. It is stateless between passes."""

    def __init__(self, maker: Replicating, task: WorkerTask, number: int) -> None:
        Logs(task.logs.level, task.logs.as_json).configure(f"jobs/{task.job_id}#{task.attempt} replica {number}")
        child.limit_threads(task.threads)
        self._evaluate = maker.replica(task.spec, task.permissions, task.threads)

    def ready(self) -> None:
        """Return once the replica can evaluate."""

    def evaluate(self, work: Pass) -> Outcome:
        """Return the outcome of one pass."""
        return self._evaluate(work).apart()


class RayReplicas:
    """An ``engine.evaluation.evaluator.PassDispatcher`` over this process and ``request.replicas`` - 1 actors.

    Each process gets an equal share of a generation's passes. Shares of actors that die, or are much slower, are evaluated
    in this process: equal passes have equal outcomes, so results do not depend on the process, bit for bit. Ray restarts dead actors where
    it has room; actors that are not ready are not waited for.

    Parameters
    ----------
    maker : Replicating
        The engine.
    task : WorkerTask
        The job's task.
    request : Request
        Resources of each actor, and the number of processes.
    """

    def __init__(self, maker: Replicating, task: WorkerTask, request: Request) -> None:
        import ray
        import ray.exceptions

        self._ray: Any = ray
        # Ray's types of actors declare none of their methods.
        actor: Any = ray.remote(RayReplica).options(
            num_cpus=request.cpus, num_gpus=request.gpus, memory=request.memory or None, max_restarts=-1, max_task_retries=0
        )
        self._actors = [actor.remote(maker, task, number) for number in range(2, request.replicas + 1)]
        self._ready: list[Any] = []
        self._coming: dict[Any, Any] = {actor.ready.remote(): actor for actor in self._actors}

    def __call__(self, passes: Sequence[Pass], own: Callable[[Pass], Outcome]) -> Iterator[Outcome]:
        """See ``engine.evaluation.evaluator.PassDispatcher``."""
        self._welcome()
        share = len(passes) // (len(self._ready) + 1)
        outcomes: dict[int, Outcome] = {}
        asked: dict[Any, tuple[Any, int]] = {}
        sent = 0
        for actor in self._ready if share else ():
            for at in range(sent, sent + share):
                asked[actor.evaluate.remote(passes[at].apart())] = actor, at
            sent += share
        began = time.monotonic()
        for at in range(sent, len(passes)):
            outcomes[at] = own(passes[at])
        patience = max(_LEAST_PATIENCE, 3 * (time.monotonic() - began))
        while asked:
            done, _ = self._ray.wait(list(asked), num_returns=1, timeout=patience)
            if not done:
                break
            actor, at = asked.pop(done[0])
            found = self._taken(done[0], actor)
            outcomes[at] = own(passes[at]) if found is None else found
        for actor, at in asked.values():
            self._lose(actor, "is too slow")
            outcomes[at] = own(passes[at])
        return (outcomes[at] for at in range(len(passes)))

    def _taken(self, ref: Any, actor: Any) -> Outcome | None:
        errors = self._ray.exceptions
        try:
            return self._ray.get(ref)
        except errors.RayActorError:
            self._lose(actor, "was lost")
        except errors.RayError as error:
            # If the job itself is at fault, this process raises the same error.
            _log.warning("a replica could not evaluate its share: %s", error)
        return None

    def _lose(self, actor: Any, why: str) -> None:
        """Leave an actor out until it answers again, after a restart by Ray or once it has finished its calls."""
        if actor in self._ready:
            _log.warning("a replica %s; the others evaluate its share until it answers again", why)
            self._ready.remove(actor)
            self._coming[actor.ready.remote()] = actor

    def _welcome(self) -> None:
        """Add actors that have become ready."""
        if not self._coming:
            return
        done, _ = self._ray.wait(list(self._coming), num_returns=len(self._coming), timeout=0)
        for ref in done:
            actor = self._coming.pop(ref)
            try:
                self._ray.get(ref)
            except self._ray.exceptions.ActorUnavailableError:
                self._coming[actor.ready.remote()] = actor  # it is being started again
            except self._ray.exceptions.RayError as error:
                _log.warning("a replica can't be had, the job goes on without it: %s", error)
            else:
                self._ready.append(actor)
