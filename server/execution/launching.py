"""Where the processes of attempts run: on this machine, or on a Ray cluster."""

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
    """Says what the process that the server starts for an attempt is to do. Methods may be called from any thread."""

    def start(self) -> None:
        """Make ready; may take seconds.

        Raises
        ------
        StartError
            It can't be.
        """
        ...

    def ready(self) -> bool:
        """Whether an attempt may be started now; tries to mend what is broken."""
        ...

    def unmet(self, spec: job_pb2.JobSpec) -> list[Unmet]:
        """What the job asks for and will never get."""
        ...

    def work(self, connection: Connection, engine: Engine, task: WorkerTask, spec: job_pb2.JobSpec) -> tuple[Callable[..., None], Any]:
        """A function and its arguments for a spawned process, which speaks ``messages`` over ``connection`` and ends with the server."""
        ...

    def close(self) -> None:
        """Let go of everything."""
        ...


class Local:
    """Jobs run in the processes that the server starts. What they ask of machines is checked against this one, and binds nothing."""

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
    """What the setting ``executor`` names."""
    if config.executor == "local":
        return Local(config)
    from .ray_cluster import RayCluster

    return RayCluster(config)
