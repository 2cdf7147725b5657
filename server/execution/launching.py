"""Where worker processes run: on this machine, or on a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, Protocol

from actmax.v1 import job_pb2

from ..config import ServerConfig
from . import worker
from .engine import Engine
from .resources import Request, Unmet, here, unmet
from .task import WorkerTask


class Launcher(Protocol):
    """Says what the spawned process of an attempt runs. Methods may be called from any thread."""

    def start(self) -> None:
        """Prepare for attempts; may take seconds.

        Raises
        ------
        StartError
            Attempts can't be run.
        """
        ...

    def ready(self) -> bool:
        """Return whether an attempt may be started now; reconnects to a lost cluster."""
        ...

    def unmet(self, spec: job_pb2.JobSpec) -> list[Unmet]:
        """Return the job's resource requests that can never be satisfied."""
        ...

    def work(self, connection: Connection, engine: Engine, task: WorkerTask, spec: job_pb2.JobSpec) -> tuple[Callable[..., None], Any]:
        """Return a function and its arguments for a spawned process.

        The function exchanges ``messages`` over ``connection`` and ends with the server.

        Parameters
        ----------
        connection : Connection
            The process's end of the pipe.
        engine : Engine
            What runs the job.
        task : WorkerTask
            The attempt.
        spec : JobSpec
            The job, with its resource requests.
        """
        ...

    def close(self) -> None:
        """Release the cluster and its processes."""
        ...


class Local:
    """Runs jobs in the processes that the server spawns. Resource requests are compared with this machine, but not reserved."""

    def __init__(self, config: ServerConfig) -> None:
        self._node = here(config.devices)

    def start(self) -> None:
        """See ``Launcher``."""

    def ready(self) -> bool:
        """See ``Launcher``."""
        return True

    def unmet(self, spec: job_pb2.JobSpec) -> list[Unmet]:
        """See ``Launcher``."""
        asked = spec.resources
        request = Request(asked.cpus, asked.gpus, int(asked.memory * (1 << 30)))  # replicas are one process here
        return unmet(request, [self._node], "this machine")

    def work(self, connection: Connection, engine: Engine, task: WorkerTask, spec: job_pb2.JobSpec) -> tuple[Callable[..., None], Any]:
        """See ``Launcher``."""
        del spec
        return worker.main, (connection, engine, task)

    def close(self) -> None:
        """See ``Launcher``."""


def launcher(config: ServerConfig) -> Launcher:
    """Return the launcher that the setting ``executor`` names."""
    if config.executor == "local":
        return Local(config)
    from .ray_cluster import RayCluster

    return RayCluster(config)
