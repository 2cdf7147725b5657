"""One attempt at one job, in a process that Ray has placed on some machine."""

from __future__ import annotations

import logging
import shutil
import tempfile
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import cast

from ..observing.logs import Logs
from ..storage.folders import artifact_files, checkpoints
from . import child, messages
from .engine import Command, Engine, Replicating
from .ray_replicas import RayReplicas
from .resources import Request
from .task import WorkerTask
from .worker import attempt

_log = logging.getLogger(__name__)
_LINES = 1000
_LOOK_SECONDS = 0.2


@dataclass(frozen=True)
class News:
    """What is new since the last call: the newest progress, checkpoint files by name, log lines; each may be empty."""

    progress: bytes
    checkpoint: Mapping[str, bytes]
    lines: tuple[str, ...]


class RayWorker:
    """An actor that runs an attempt in a folder on its own machine. Ray transports the earlier checkpoint in, and results out.

    Parameters
    ----------
    maker : Engine
        What runs the job.
    task : WorkerTask
        The attempt; its ``folder`` is on the server's machine, and not used.
    request : Request
        Resources of this process, and the number of replicas.
    before : mapping of str to bytes
        Content of the attempt's folder, by path: the newest checkpoint of earlier attempts, and the results that are to be analysed.
    """

    def __init__(self, maker: Engine, task: WorkerTask, request: Request, before: Mapping[str, bytes]) -> None:
        self._maker = maker
        self._request = request
        self._lines = log_lines(f"jobs/{task.job_id}#{task.attempt}", task.logs)
        child.limit_threads(task.threads)
        self._folder = Path(tempfile.mkdtemp(prefix="actmax-"))
        for path, content in before.items():
            (self._folder / path).parent.mkdir(parents=True, exist_ok=True)
            (self._folder / path).write_bytes(content)
        self._task = replace(task, folder=self._folder)
        self._sent = {path.name: _version(path) for path in checkpoints(self._folder)}
        self._changed = threading.Condition()
        self._progress = b""
        self._over = self._cancelled = self._suspended = False

    def run(self) -> tuple[bytes, Mapping[str, bytes], News]:
        """Run the attempt.

        Returns
        -------
        bytes
            The last message, encoded by ``messages``.
        mapping of str to bytes
            The artifacts, by path; empty unless the job finished.
        News
            Progress, checkpoint and log lines since the last call of :meth:`news`.
        """
        run = self._maker.analyse if self._task.analyses else self._maker.run
        if self._request.replicas > 1:
            maker = cast("Replicating", self._maker)
            replicas = RayReplicas(maker, self._task, self._request)
            run = partial(maker.run, spread=replicas)
        try:
            word = attempt(run, self._task, self._advance, self._latest)
            made = dict(artifact_files(self._folder / "artifacts")) if isinstance(word, messages.Finished) else {}
            return messages.encode(word), {path: file.read_bytes() for path, file in made.items()}, self._news()
        finally:
            with self._changed:
                self._over = True
                self._changed.notify_all()
            shutil.rmtree(self._folder, ignore_errors=True)

    def tell(self, command: bytes) -> None:
        """Receive a command of the server."""
        self._cancelled |= command == messages.CANCEL
        self._suspended |= command == messages.SUSPEND

    def news(self) -> News:
        """Return what is new, after waiting up to 0.2 s for progress."""
        with self._changed:
            self._changed.wait_for(lambda: self._progress or self._over, _LOOK_SECONDS)
            return News(b"", {}, ()) if self._over else self._news()

    def _news(self) -> News:
        progress, self._progress = self._progress, b""
        files: dict[str, bytes] = {}
        for path in checkpoints(self._folder):
            version = _version(path)
            if self._sent.get(path.name) != version:
                files[path.name], self._sent[path.name] = path.read_bytes(), version
        lines = []
        while self._lines:
            lines.append(self._lines.popleft())
        return News(progress, files, tuple(lines))

    def _advance(self, progress: bytes) -> None:
        with self._changed:
            self._progress = progress
            self._changed.notify_all()

    def _latest(self) -> Command:
        # A suspended job keeps its cancellation: its next worker receives it again.
        return "suspend" if self._suspended else "cancel" if self._cancelled else ""


def log_lines(name: str, logs: Logs) -> deque[str]:
    """Set up logging as in the server's other processes, and return a queue of the formatted lines, at most the newest 1000."""
    lines: deque[str] = deque(maxlen=_LINES)
    logs.configure(name)
    (console,) = logging.getLogger().handlers

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(console.format(record))

    logging.getLogger().addHandler(Kept())
    return lines


def _version(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_mtime_ns, status.st_ino
