"""One attempt at a job, in the server's process: starts the worker, follows it, and records how it ended."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path

from actmax.v1 import job_pb2

from ..config import ServerConfig
from ..jobs import states
from ..jobs.lifecycle import Lifecycle
from ..messages.specs import plain
from ..observing.metrics import Metrics
from ..storage.folders import JobFiles
from ..storage.records import JobRecord
from . import child, messages
from .engine import Engine
from .launching import Launcher
from .task import WorkerTask
from .warm_worker import WarmWorker

_log = logging.getLogger(__name__)
_spawn = multiprocessing.get_context("spawn")
_PROGRESS_SECONDS = 0.1


@dataclass(frozen=True)
class ExecutionContext:
    """What all attempts of one server share.

    Attributes
    ----------
    config, lifecycle, files, metrics
        The server's settings, lifecycle, job files and metrics.
    engine : Engine
        What worker processes run.
    launcher : Launcher
        Where worker processes run.
    """

    config: ServerConfig
    lifecycle: Lifecycle
    files: JobFiles
    engine: Engine
    metrics: Metrics
    launcher: Launcher


class _NothingToAnalyse(Exception):
    """The artifacts of the analysed job are gone."""


class Attempt:
    """The present attempt of a claimed job.

    ``run`` is called once, in a thread that may block; the other methods may be called from any thread, at any time.

    Parameters
    ----------
    context : ExecutionContext
        What all attempts of the server share.
    job : JobRecord
        The job.
    device : str
        The worker's GPUs in the form of ``CUDA_VISIBLE_DEVICES``; empty for all.
    relay : str
        Address of the relay to the plugins of the job's owner, empty for none.
    standby : WarmWorker or None
        The process that waits for a job.
    """

    def __init__(
        self, context: ExecutionContext, job: JobRecord, device: str = "", relay: str = "", standby: WarmWorker | None = None
    ) -> None:
        self.job = job
        self._config = context.config
        self._lifecycle = context.lifecycle
        self._files = context.files
        self._engine = context.engine
        self._metrics = context.metrics
        self._launcher = context.launcher
        self._device = device
        self._relay = relay
        self._standby = standby
        self._lock = threading.Lock()
        self._process: SpawnProcess | None = None
        self._connection: Connection | None = None
        self._cancelled = job.state == states.CANCELLING
        self._told_at = time.monotonic() if self._cancelled else None
        self._paused = self._stopping = self._killed = self._fenced = False

    @property
    def pid(self) -> int:
        """The worker's process id; 0 without a process."""
        return (self._process.pid or 0) if self._process is not None else 0

    def cancel(self) -> None:
        """Request that the worker ends the job and writes its results; after ``cancel_seconds`` it is killed."""
        with self._lock:
            if not self._cancelled:
                self._cancelled, self._told_at = True, time.monotonic()
                self._send(messages.CANCEL)

    def pause(self) -> None:
        """Request that the worker writes a checkpoint and ends, as a client suspends the job; after ``cancel_seconds`` it is killed."""
        with self._lock:
            if not self._paused:
                self._paused = True
                self._told_at = self._told_at or time.monotonic()
                self._send(messages.SUSPEND)

    def fence(self) -> None:
        """Kill the worker, since the job has a later attempt or was taken over."""
        with self._lock:
            self._fenced = True
            if self._process is not None:
                self._process.kill()

    def suspend(self) -> None:
        """Request that the worker writes a checkpoint and ends, as the server stops."""
        with self._lock:
            self._stopping = True
            self._send(messages.SUSPEND)

    def kill(self) -> None:
        """Kill the worker."""
        with self._lock:
            self._stopping = self._killed = True
            if self._process is not None:
                self._process.kill()

    def run(self) -> None:
        """Start the worker, follow it to its end and record the outcome."""
        try:
            connection, process = self._start()
        except OSError as error:
            return self._crashed(f"no worker could be started ({error.strerror})")
        except _NothingToAnalyse as error:
            why = str(error)
            self._insist(lambda: self._lifecycle.failed(self.job, "FAILED_PRECONDITION", why))
            return None
        try:
            last = self._listen(connection, process)
            if last is not None:
                process.join(10.0)  # it has sent its last message and is ending
        except messages.BadMessage as error:
            last = messages.Failed("INTERNAL", str(error), "")
        finally:
            process.kill()
            process.join()
            with self._lock:
                self._process = self._connection = None
            connection.close()
        if not self._fenced:
            self._save()
        self._conclude(last, process.exitcode)
        process.close()

    def broke(self, error: Exception) -> None:
        """Record a crash after ``run`` raised: without it the job would stay RUNNING with nothing that follows the worker."""
        if not self._stopping:
            self._crashed(f"the server could not watch over its worker ({type(error).__name__}: {error})")

    def _start(self) -> tuple[Connection, SpawnProcess]:
        task = self._task()
        waiting = self._standby.take(task) if self._standby is not None else None
        ours, process = waiting or self._spawned(task)
        with self._lock:
            self._process, self._connection = process, ours
            # Commands that came while the process was being started.
            if self._cancelled:
                self._send(messages.CANCEL)
            if self._stopping or self._paused:
                self._send(messages.SUSPEND)
            if self._killed or self._fenced:
                process.kill()
        _log.info("jobs/%s: attempt %d runs in process %d", self.job.id, self.job.attempt, process.pid)
        if self._standby is not None:
            self._standby.prepare()  # for the next job
        return ours, process

    def _spawned(self, task: WorkerTask) -> tuple[Connection, SpawnProcess]:
        ours, theirs = child.pipe()
        try:
            target, arguments = self._launcher.work(theirs, self._engine, task, job_pb2.JobSpec.FromString(self.job.spec))
            process = _spawn.Process(target=target, args=arguments, daemon=True, name=f"jobs/{self.job.id}")
            process.start()
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        return ours, process

    def _task(self) -> WorkerTask:
        spec = plain(job_pb2.JobSpec.FromString(self.job.spec))
        folder = self._files.begin(self.job.id, self.job.attempt)
        if self.job.analysis_of:
            self._copy_analysed(folder / "artifacts")
        return WorkerTask(
            self.job.id,
            self.job.attempt,
            spec,
            folder,
            replace(self._config.permissions, relay=self._relay),
            self._config.worker_threads,
            self._config.checkpoint_seconds,
            self._device,
            self._config.logs,
            bool(self.job.analysis_of),
        )

    def _copy_analysed(self, folder: Path) -> None:
        """Copy the artifacts of the analysed job into ``folder``, and remove its replaced editions.

        The edition that an analysis has replaced stays until the next analysis begins, for downloads under way.

        Raises
        ------
        _NothingToAnalyse
            The job or its artifacts are gone.
        """
        job, files = self.job, self._files
        there = files.editions(job.analysis_of)
        # Read after the list: while this attempt has its turn, no other attempt can make a listed edition the present one.
        has_turn, analysed = self._lifecycle.has_turn(job), self._lifecycle.analysed(job)
        if analysed is None:
            raise _NothingToAnalyse(f"jobs/{job.analysis_of} was deleted before it was analysed")
        for edition in there if has_turn else ():
            if edition != analysed.edition:
                files.discard(analysed.id, edition)
        try:
            files.copy_published(analysed.id, analysed.edition, folder)
        except FileNotFoundError:
            raise _NothingToAnalyse(f"the artifacts of jobs/{analysed.id} are gone from the data folder") from None

    def _listen(self, connection: Connection, process: SpawnProcess) -> messages.Message | None:
        """Return the worker's last message; None if it died without one."""
        while True:
            # A dead worker's pipe is read to the end too: its last message may be in it.
            wait([connection, process.sentinel], 1.0)
            newest: messages.Advanced | None = None
            try:
                while connection.poll():
                    message = messages.decode(connection.recv_bytes())
                    if not isinstance(message, messages.Advanced):
                        self._keep(newest)
                        return message
                    newest = message
            except (EOFError, OSError):
                return None
            if newest is None and not process.is_alive() and not connection.poll():
                return None
            if self._overdue():
                return None
            if not self._keep(newest):
                self._fenced = True
                return None
            self._save()
            if newest is not None:
                time.sleep(_PROGRESS_SECONDS)  # progress of this interval becomes one write

    def _overdue(self) -> bool:
        return self._told_at is not None and time.monotonic() > self._told_at + self._config.cancel_seconds

    def _keep(self, newest: messages.Advanced | None) -> bool:
        if newest is None:
            return True
        try:
            kept = self._lifecycle.progress(self.job, newest.progress)
            self._metrics.progress.inc()
            return kept
        except Exception:
            self._metrics.store_errors.inc()
            _log.exception("jobs/%s: progress could not be kept", self.job.id)
            return True  # the next progress includes this one

    def _save(self) -> None:
        try:
            self._files.saved(self.job.id, self.job.attempt)
        except OSError:
            _log.exception("jobs/%s: its checkpoint could not be brought to the store; the next one is tried again", self.job.id)

    def _conclude(self, last: messages.Message | None, exitcode: int | None) -> None:
        job, lifecycle = self.job, self._lifecycle
        self._metrics.attempts.labels("Fenced" if self._fenced else type(last).__name__ if last else "Died").inc()
        match last:
            case _ if self._fenced:
                _log.warning("jobs/%s: it was no longer the turn of attempt %d; its worker was ended", job.id, job.attempt)
            case messages.Finished(cancelled, artifacts):
                try:
                    if artifacts or not job.analysis_of:
                        self._files.publish(job.id, job.attempt, analysed=job.analysis_of)
                except OSError as error:
                    return self._crashed(f"its artifacts could not be published ({error})")
                if cancelled:
                    kept = self._insist(lambda: lifecycle.cancelled(job, "", artifacts))
                else:
                    kept = self._insist(lambda: lifecycle.succeeded(job, artifacts))
                if kept:
                    self._files.clear(job.id, keep=job.attempt)
                if job.analysis_of and lifecycle.analysed(job) is None:
                    self._files.remove(job.analysis_of)  # what was published after its deletion
            case messages.Failed(code, message, details):
                _log.error("jobs/%s failed: %s: %s\n%s", job.id, code, message, details)
                self._insist(lambda: lifecycle.failed(job, code, message))
            case messages.Lost(why, began=True):
                self._crashed(f"its worker {why}")
            case messages.Lost(why):
                _log.error("jobs/%s: attempt %d: its worker %s", job.id, job.attempt, why)
                self._insist(lambda: lifecycle.returned(job, f"its worker {why}; tried again"))
            case messages.Suspended():
                self._insist(lambda: lifecycle.returned(job, "its worker stopped at a checkpoint; the job goes on when there is a worker"))
            case _ if self._stopping:
                self._insist(lambda: lifecycle.returned(job, "the server stopped; the job goes on from its last checkpoint"))
            case _ if self._overdue() and self._cancelled:
                seconds = f"{self._config.cancel_seconds:g} s"
                self._insist(lambda: lifecycle.cancelled(job, f"its worker did not end within {seconds} and was killed; nothing was kept"))
            case _ if self._overdue():
                self._insist(lambda: lifecycle.returned(job, "its worker did not stop in time and was killed; the last checkpoint is kept"))
            case _:
                self._crashed(f"its worker {_death(exitcode)}")

    def _crashed(self, what: str) -> None:
        _log.error("jobs/%s: attempt %d: %s", self.job.id, self.job.attempt, what)
        self._insist(lambda: self._lifecycle.crashed(self.job, what, self._config.max_attempts))

    def _insist(self, change: Callable[[], JobRecord | None]) -> bool:
        # A full disk must not lose the end of a job. Should the server stop first, its next start takes the job up again.
        pause = 0.5
        while True:
            try:
                kept = change() is not None
                if not kept:
                    _log.warning("jobs/%s: the end of attempt %d came too late", self.job.id, self.job.attempt)
                return kept
            except Exception:
                if self._stopping:
                    raise
                _log.exception("jobs/%s: its state could not be kept; trying again", self.job.id)
                time.sleep(pause)
                pause = min(5.0, 2 * pause)

    def _send(self, command: bytes) -> None:
        if self._connection is not None:
            with contextlib.suppress(OSError):  # it has ended
                self._connection.send_bytes(command)


def _death(exitcode: int | None) -> str:
    if exitcode is not None and exitcode < 0:
        why = " (out of memory?)" if exitcode == -signal.SIGKILL else ""
        return f"was killed by {signal.Signals(-exitcode).name}{why}"
    return f"ended with exit code {exitcode} before the job did"
