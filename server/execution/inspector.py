"""Validates jobs and describes targets in a separate process: a bad weight file or a component's code can't crash the server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import multiprocessing
import signal
import threading
import traceback
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any

import grpc

from ...models.permissions import Permissions
from ..config import ServerConfig
from ..errors import FieldViolation, ServiceError, invalid_fields, stopping
from ..observing.logs import Logs
from ..security.principal import current_principal
from . import child
from .engine import Checked, Engine

_log = logging.getLogger(__name__)
_spawn = multiprocessing.get_context("spawn")
_WAITING = 100


class Inspector:
    """Sends questions to one long-lived process, one at a time; a process that died is replaced at the next question.

    A separate thread waits for the answers, so that slow checks delay only other checks.

    Parameters
    ----------
    engine : Engine
        What the process runs.
    config : ServerConfig
        The server's settings; ``check_seconds`` limits the time of an answer.
    relay : callable
        Returns the address of the relay to the plugins of an owner, given by name; empty for none.
    """

    def __init__(self, engine: Engine, config: ServerConfig, *, relay: Callable[[str], str] = lambda owner: "") -> None:
        self._engine = engine
        self._config = config
        self._relay = relay
        self._seconds = config.check_seconds
        self._waiting = 0
        self._thread = ThreadPoolExecutor(1, "inspector")
        self._state = threading.Lock()
        self._process: SpawnProcess | None = None
        self._connection: Connection | None = None
        self._closed = False

    async def start(self) -> None:
        """Start the process, which then imports the engine."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._running)

    async def check(self, spec: Mapping[str, Any]) -> Checked:
        """Validate a job and return its size.

        Raises
        ------
        ServiceError
            INVALID_ARGUMENT, with fields relative to the request; FAILED_PRECONDITION: a component can't be built, or ended the process;
            DEADLINE_EXCEEDED; RESOURCE_EXHAUSTED; UNAVAILABLE: the server stops.
        """
        return Checked(**await self._ask("check", spec, prefix="spec."))

    async def check_analyses(self, spec: Mapping[str, Any]) -> None:
        """Validate that the analyses of ``spec`` can be run on the ended job that the rest of ``spec`` describes.

        Raises
        ------
        ServiceError
            INVALID_ARGUMENT, with fields ``analyses[…]``, or ``name`` if the job itself can't be built; and the errors of :meth:`check`.
        """
        await self._ask("check_analyses", spec)

    async def components(self) -> list[dict[str, Any]]:
        """Return all components; see ``Engine``."""
        return (await self._ask("components", {}))["components"]

    async def describe(self, target: Mapping[str, Any]) -> dict[str, Any]:
        """Return a target's description; see ``Engine``. Errors are those of :meth:`check`, with fields relative to the target."""
        return await self._ask("describe", target)

    async def close(self) -> None:
        """End the process; waiting questions are refused, as the server stops."""
        with self._state:
            self._closed = True
            if self._process is not None:
                self._process.kill()
        await asyncio.get_running_loop().run_in_executor(self._thread, self._drop)
        self._thread.shutdown()

    @property
    def pid(self) -> int:
        """The process's id; 0 without a process."""
        with self._state:
            return (self._process.pid or 0) if self._process is not None else 0

    async def _ask(self, what: str, content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
        permissions = replace(self._config.permissions, relay=self._relay(current_principal.get().owner))
        question = json.dumps({"what": what, "content": content, "permissions": asdict(permissions)}).encode()
        if self._closed:
            raise stopping()
        if self._waiting >= _WAITING:
            busy = f"{_WAITING} checks wait already; try again in a while"
            raise ServiceError(grpc.StatusCode.RESOURCE_EXHAUSTED, busy, reason="CHECKS_BUSY", retry_seconds=5.0)
        self._waiting += 1
        try:
            # A caller that gives up withdraws its question, unless the process already works on it.
            answer = await asyncio.get_running_loop().run_in_executor(self._thread, self._exchange, question)
        finally:
            self._waiting -= 1
        if "invalid" in answer:
            found = [FieldViolation(prefix + field if field else prefix.rstrip("."), text) for field, text in answer["invalid"]]
            raise invalid_fields(found, reason="INVALID_TARGET" if what == "describe" else "INVALID_JOB")
        if "error" in answer:
            # A component's own error, or actmax's.
            _log.error("%s failed: %s\n%s", what, answer["error"], answer["details"])
            raise ServiceError(grpc.StatusCode.FAILED_PRECONDITION, f"it can't be built here: {answer['error']}", reason="CANNOT_BUILD")
        return answer["answer"]

    def _exchange(self, question: bytes) -> dict[str, Any]:
        connection, process = self._running()
        try:
            connection.send_bytes(question)
            if not wait([connection, process.sentinel], self._seconds):
                self._drop()
                what = f"the check was given up after {self._seconds:g} s"
                raise ServiceError(grpc.StatusCode.DEADLINE_EXCEEDED, what, reason="CHECK_TOO_SLOW")
            return json.loads(connection.recv_bytes())
        except (EOFError, OSError):
            raise self._death() from None

    def _running(self) -> tuple[Connection, SpawnProcess]:
        if self._process is not None and not self._process.is_alive():
            _log.warning("the checking process had ended (exit code %s); starting another", self._process.exitcode)
            self._drop()
        with self._state:
            if self._closed:
                raise stopping()
            process, connection = self._process, self._connection
            if process is None or connection is None:
                ours, theirs = child.pipe()
                arguments = (theirs, self._engine, self._config.logs)
                process = _spawn.Process(target=main, args=arguments, daemon=True, name="inspector")
                try:
                    process.start()
                except OSError as error:
                    ours.close()
                    raise ServiceError(
                        grpc.StatusCode.RESOURCE_EXHAUSTED, f"no checking process could be started: {error}", reason="NO_PROCESS"
                    ) from error
                finally:
                    theirs.close()
                self._process, self._connection = process, connection = process, ours
            return connection, process

    def _death(self) -> ServiceError:
        process = self._process
        assert process is not None
        process.join(5.0)
        code = process.exitcode
        self._drop()
        if self._closed:
            return stopping()
        if code == -signal.SIGKILL:
            what = "the check was killed, most likely for want of memory; nothing was created"
            return ServiceError(grpc.StatusCode.RESOURCE_EXHAUSTED, what, reason="CHECK_KILLED")
        how = signal.Signals(-code).name if code is not None and code < 0 else f"exit code {code}"
        what = f"the check ended its process ({how}); nothing was created"
        return ServiceError(grpc.StatusCode.FAILED_PRECONDITION, what, reason="CHECK_DIED")

    def _drop(self) -> None:
        with self._state:
            process, connection, self._process, self._connection = self._process, self._connection, None, None
        if process is not None:
            process.kill()
            process.join()
            process.close()
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.close()


def main(connection: Connection, engine: Engine, logs: Logs) -> None:
    """Answer questions until the server is gone.

    Parameters
    ----------
    connection : Connection
        The process's end of the pipe to the server.
    engine : Engine
        What answers the questions.
    logs : Logs
        How to log.
    """
    child.settle("inspector", logs, threads=1)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # ends with its server, which may still send questions
    with contextlib.suppress(Exception):  # the first question raises it again
        engine.warm()
    while True:
        # The main thread receives, so a server that dies during a check is noticed after the check.
        question = json.loads(child.receive(connection))
        try:
            connection.send_bytes(json.dumps(_answer(engine, question)).encode())
        except OSError:
            return


def _answer(engine: Engine, question: Mapping[str, Any]) -> dict[str, Any]:
    from ...engine.errors import InvalidJob

    permissions = Permissions.from_plain(question["permissions"])
    try:
        match question["what"]:
            case "check":
                return {"answer": asdict(engine.check(question["content"], permissions))}
            case "check_analyses":
                return {"answer": _check_analyses(engine, question["content"], permissions)}
            case "components":
                return {"answer": {"components": engine.components()}}
            case _:
                return {"answer": engine.describe(question["content"], permissions)}
    except InvalidJob as error:
        return {"invalid": [[violation.field, violation.description] for violation in error.violations]}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}", "details": traceback.format_exc()}


def _check_analyses(engine: Engine, spec: Mapping[str, Any], permissions: Permissions) -> dict[str, Any]:
    """Validate analyses; violations in the rest of the job get the field ``name``, the only other field of the request."""
    from ...engine.errors import InvalidJob, Violation

    try:
        engine.check_analyses(spec, permissions)
    except InvalidJob as error:
        named = [
            one if one.field.startswith("analyses") else Violation("name", f"the job can't be built now: {one.field}: {one.description}")
            for one in error.violations
        ]
        raise InvalidJob(named) from error
    return {}
