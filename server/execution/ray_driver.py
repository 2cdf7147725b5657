"""Stands in for a worker beside the server while the actual worker runs on Ray.

The server treats this process as any worker: it receives the same commands and is killed in the same cases. When this process ends,
Ray ends the actor. Only this process writes into the attempt's folder, so the actor needs no access to the server's files.
"""

from __future__ import annotations

import logging
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from ...engine import durable
from ..storage.folders import artifact_files, checkpoints
from . import child, messages, ray_joining
from .engine import Engine
from .ray_joining import Joining
from .ray_worker import News, RayWorker
from .resources import GIB, Request
from .task import WorkerTask
from .worker import describe

_log = logging.getLogger(__name__)
_POLL_SECONDS = 0.25
_WAITING_SECONDS = 30.0


def main(connection: Connection, maker: Engine, task: WorkerTask, joining: Joining, request: Request) -> None:
    """Run the job on Ray, relay messages between the server and the actor, and end with the server at the latest.

    Parameters
    ----------
    connection : Connection
        The process's end of the pipe to the server.
    maker : Engine
        What runs the job.
    task : WorkerTask
        The attempt.
    joining : Joining
        Address and environment of the cluster.
    request : Request
        Resources of each process of the job.
    """
    child.settle(f"jobs/{task.job_id}#{task.attempt}", task.logs, threads=1)
    commands: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(connection, commands), name="commands", daemon=True).start()
    try:
        ray = joining.join()
    except Exception as error:
        word: messages.Message = messages.Lost(f"could not reach the Ray cluster: {ray_joining.why(error)}", began=False)
    else:
        signal.signal(signal.SIGTERM, lambda *_: commands.put(messages.SUSPEND))  # replaces Ray's handler
        try:
            word = _Attempt(ray, maker, task, request, connection, commands).run()
        except ray.exceptions.RayError as error:
            word = messages.Lost(f"was lost on the Ray cluster: {ray_joining.why(error)}")
        except OSError as error:
            from .worker import failure

            word = failure(error)
    try:
        connection.send_bytes(messages.encode(word))
    except OSError:
        os._exit(75)  # the server is gone


def _listen(connection: Connection, commands: queue.SimpleQueue[bytes]) -> None:
    while True:
        commands.put(child.receive(connection))


class _Attempt:
    """The actor, and the local folder that receives its files."""

    def __init__(
        self, ray: Any, maker: Engine, task: WorkerTask, request: Request, connection: Connection, commands: queue.SimpleQueue[bytes]
    ) -> None:
        self._ray = ray
        self._task = task
        self._request = request
        self._connection = connection
        self._commands = commands
        self._told: set[bytes] = set()
        before = {path.name: path.read_bytes() for path in checkpoints(task.folder)}
        if task.analyses:
            before |= {f"artifacts/{path}": file.read_bytes() for path, file in artifact_files(task.folder / "artifacts")}
        actor: Any = ray.remote(RayWorker).options(
            num_cpus=request.cpus,
            num_gpus=request.gpus,
            memory=request.memory or None,
            max_restarts=0,  # the server starts another attempt
            max_concurrency=4,  # one thread runs the job, the others answer calls
        )
        self._blank = not checkpoints(task.folder)
        self._actor = actor.remote(maker, task, request, before)

    def run(self) -> messages.Message:
        """Follow the actor to its end and return its last message."""
        ray, actor = self._ray, self._actor
        done, news = actor.run.remote(), actor.news.remote()
        began, placed = time.monotonic(), False
        while True:
            ready, _ = ray.wait([done, news], num_returns=1, timeout=_POLL_SECONDS)
            if done in ready:
                word, artifacts, last = ray.get(done)
                self._take(last)
                return self._finished(messages.decode(word), artifacts)
            if news in ready:
                placed = True
                self._take(ray.get(news))
                news = actor.news.remote()
            elif not placed and began is not None and time.monotonic() > began + _WAITING_SECONDS:
                began = float("inf")
                _log.warning("jobs/%s waits for the cluster to have room for it: %s", self._task.job_id, _asked(self._request))
            self._pass_on()
            if not placed and (word := self._left()):
                return word

    def _pass_on(self) -> None:
        while True:
            try:
                command = self._commands.get_nowait()
            except queue.Empty:
                return
            self._told.add(command)
            self._actor.tell.remote(command)

    def _left(self) -> messages.Message | None:
        """Return the last message of an attempt that was ended before Ray placed it, if nothing is lost by that; else None."""
        if messages.SUSPEND in self._told:
            return messages.Suspended()
        if messages.CANCEL in self._told and self._blank:
            return messages.Finished(True, ())
        return None

    def _take(self, news: News) -> None:
        for line in news.lines:
            print(line, file=sys.stderr, flush=True)
        for name, content in news.checkpoint.items():
            if Path(name).name == name:  # the job's own code may run there
                durable.replace(self._task.folder / name, content)
        if news.progress:
            self._connection.send_bytes(messages.encode(messages.Advanced(news.progress)))

    def _finished(self, word: messages.Message, artifacts: Mapping[str, bytes]) -> messages.Message:
        if not isinstance(word, messages.Finished):
            return word
        root = self._task.folder / "artifacts"
        root.mkdir(exist_ok=True)
        for path, content in artifacts.items():
            parts = Path(path).parts
            if Path(path).is_absolute() or ".." in parts:
                return messages.Failed("INTERNAL", f"an artifact would be at {path!r}", "")
            root.joinpath(*parts).parent.mkdir(parents=True, exist_ok=True)
            root.joinpath(*parts).write_bytes(content)
        found = tuple(describe(root))
        if found != word.artifacts:
            return messages.Lost("sent artifacts that did not arrive whole")
        return messages.Finished(word.cancelled, found)


def _asked(request: Request) -> str:
    return f"{request.cpus:.4g} CPUs, {request.gpus:.4g} GPUs, {request.memory / GIB:.4g} GiB"
