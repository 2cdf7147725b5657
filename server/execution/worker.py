"""One attempt at one job, in its own process."""

from __future__ import annotations

import hashlib
import mimetypes
import os
import signal
import threading
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

from ..errors import OUT_OF_ROOM
from ..storage.folders import artifact_files
from ..storage.records import ArtifactRecord
from . import child, engine, messages
from .task import WorkerTask


def main(connection: Connection, maker: engine.Engine, task: WorkerTask) -> None:
    """Run the job, send the server its progress and outcome, and end with the server at the latest.

    Parameters
    ----------
    connection : Connection
        The process's end of the pipe to the server.
    maker : Engine
        What runs the job.
    task : WorkerTask
        The attempt.
    """
    if task.device:
        os.environ["CUDA_VISIBLE_DEVICES"] = task.device  # read when torch first looks for GPUs
    child.settle(f"jobs/{task.job_id}#{task.attempt}", task.logs, task.threads)
    commands = _Commands(connection)
    signal.signal(signal.SIGTERM, lambda *_: commands.suspend())
    outbox = _Outbox(connection)
    outbox.close(attempt(maker.analyse if task.analyses else maker.run, task, outbox.advance, commands.latest))


def attempt(
    run: Callable[..., bool], task: WorkerTask, on_progress: Callable[[bytes], None], should_stop: Callable[[], engine.Command]
) -> messages.Message:
    """Run the job and return how that ended.

    Parameters
    ----------
    run : callable
        ``Engine.run`` or ``Engine.analyse``.
    task : WorkerTask
        The attempt.
    on_progress, should_stop : callable
        See ``Engine.run``.

    Returns
    -------
    Message
        ``Finished``, ``Suspended`` or ``Failed``.
    """
    try:
        cancelled = run(task, on_progress=on_progress, should_stop=should_stop)
        return messages.Finished(cancelled, tuple(describe(task.folder / "artifacts")))
    except engine.Suspended:
        return messages.Suspended()
    except Exception as error:
        return failure(error)


def failure(error: Exception) -> messages.Failed:
    """Return why a job failed, by a canonical code."""
    from ...engine.errors import InvalidJob, Unmeasured

    details = "".join(traceback.format_exception(error))
    if isinstance(error, OSError) and error.errno in OUT_OF_ROOM:
        where = f" ({error.filename})" if error.filename else ""
        return messages.Failed("RESOURCE_EXHAUSTED", f"{error.strerror}{where}; make room and resume the job", details)
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return messages.Failed("RESOURCE_EXHAUSTED", f"not enough memory: {error}", details)
    if isinstance(error, InvalidJob):
        return messages.Failed("FAILED_PRECONDITION", f"the job was fine when it was created, and can't run now: {error}", details)
    if isinstance(error, (OSError, Unmeasured)):
        return messages.Failed("FAILED_PRECONDITION", str(error), details)
    # An error of a component or of actmax: they can't be distinguished.
    return messages.Failed("INTERNAL", f"{type(error).__name__}: {error}", details)


def describe(folder: Path) -> list[ArtifactRecord]:
    """Flush the files below ``folder`` to disk, hash them and return their records, sorted by path."""
    found: list[ArtifactRecord] = []
    for path, file in artifact_files(folder):
        with file.open("rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").hexdigest()
            os.fsync(opened.fileno())
            size = opened.tell()
        media_type = "application/x-npz" if path.endswith(".npz") else mimetypes.guess_type(path)[0]
        found.append(ArtifactRecord(path, size, digest, media_type or "application/octet-stream"))
    return found


class _Commands:
    """The server's latest command, read by a thread that ends this process when the server is gone."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._cancelled = self._suspended = False
        threading.Thread(target=self._listen, name="commands", daemon=True).start()

    def latest(self) -> engine.Command:
        # A suspended job keeps its cancellation: its next worker receives it again.
        return "suspend" if self._suspended else "cancel" if self._cancelled else ""

    def suspend(self) -> None:
        self._suspended = True

    def _listen(self) -> None:
        while True:
            command = child.receive(self._connection)
            self._cancelled |= command == messages.CANCEL
            self._suspended |= command == messages.SUSPEND


class _Outbox:
    """Sends messages from a separate thread, and only the newest progress, so that a slow server never slows a job."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._changed = threading.Condition()
        self._progress: bytes | None = None
        self._last: messages.Message | None = None
        self._thread = threading.Thread(target=self._send, name="outbox", daemon=True)
        self._thread.start()

    def advance(self, progress: bytes) -> None:
        with self._changed:
            self._progress = progress
            self._changed.notify()

    def close(self, last: messages.Message) -> None:
        with self._changed:
            self._last = last
            self._changed.notify()
        self._thread.join()

    def _send(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._progress is not None or self._last is not None)
                progress, last, self._progress = self._progress, self._last, None
            try:
                if progress is not None:
                    self._connection.send_bytes(messages.encode(messages.Advanced(progress)))
                if last is not None:
                    return self._connection.send_bytes(messages.encode(last))
            except OSError:
                os._exit(75)  # the server is gone
