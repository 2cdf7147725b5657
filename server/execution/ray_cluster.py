"""The server's connection to a Ray cluster, which it starts on this machine or joins."""

from __future__ import annotations

import contextlib
import json
import logging
import multiprocessing
import os
import secrets
import shutil
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from importlib.util import find_spec
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any

from actmax.v1 import job_pb2

from ...wire.addresses import is_loopback
from ..config import ServerConfig, StartError
from ..observing.logs import Logs
from . import child, ray_driver, ray_joining
from .engine import Engine
from .ray_joining import Joining
from .resources import Node, Request, Unmet, here, unmet
from .task import WorkerTask

_log = logging.getLogger(__name__)
_spawn = multiprocessing.get_context("spawn")
_START_SECONDS = 120.0
_KNOCK_SECONDS = 5.0
_ANSWER_SECONDS = 10.0
_NODES_SECONDS = 5.0
_AGAIN_SECONDS = 5.0


class RayCluster:
    """A ``Launcher`` that runs attempts on Ray. A separate process keeps or joins the cluster, so that the server never imports Ray.

    Parameters
    ----------
    config : ServerConfig
        ``executor`` is "ray" for a cluster on this machine that ends with the server; "ray:auto", "ray:HOST:PORT" or "ray://HOST:PORT"
        for another cluster.
    """

    def __init__(self, config: ServerConfig) -> None:
        self._config = config
        self._own = config.executor == "ray"
        rest = config.executor.removeprefix("ray:")
        address = config.executor if rest.startswith("//") else "auto" if rest == "auto" else rest
        token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)} if self._own else {}
        self._joining = Joining("" if self._own else address, token)
        self._lock = threading.Lock()
        self._process: SpawnProcess | None = None
        self._connection: Connection | None = None
        self._nodes: list[Node] = []
        self._read = self._failed = float("-inf")
        self._closed = False

    @property
    def joining(self) -> Joining:
        """The address and environment to join the cluster with, once it was started."""
        return self._joining

    @property
    def pid(self) -> int:
        """Id of the process that keeps or has joined the cluster; 0 without a process."""
        return (self._process.pid or 0) if self._process is not None else 0

    def start(self) -> None:
        """See ``Launcher``."""
        if find_spec("ray") is None:
            raise StartError(f"executor: {self._config.executor} needs Ray; pip install 'actmax[ray]'")
        if not self._own and self._joining.address != "auto":
            self._knock()
        with self._lock:
            self._start()

    def ready(self) -> bool:
        """See ``Launcher``."""
        with self._lock:
            if self._closed:
                return False
            if self._process is not None and self._process.is_alive():
                return True
            if time.monotonic() < self._failed + _AGAIN_SECONDS:
                return False
            self._drop()
            try:
                self._start()
            except StartError as error:
                self._failed = time.monotonic()
                _log.error("%s; trying again", error)
                return False
            return True

    def unmet(self, spec: job_pb2.JobSpec) -> list[Unmet]:
        """See ``Launcher``; returns nothing if the cluster doesn't answer, or grows on demand."""
        if self._config.autoscaling:
            return []
        if not self._lock.acquire(timeout=1.0):  # a restart of the cluster is under way, which may take long
            return []
        try:
            nodes = self._present()
        finally:
            self._lock.release()
        return unmet(self._request(spec), nodes, "the cluster") if nodes else []

    def work(self, connection: Connection, engine: Engine, task: WorkerTask, spec: job_pb2.JobSpec) -> tuple[Callable[..., None], Any]:
        """See ``Launcher``."""
        request = self._request(spec)
        task = replace(task, threads=self._config.threads or request.threads, device="")
        return ray_driver.main, (connection, engine, task, self._joining, request)

    def close(self) -> None:
        """See ``Launcher``."""
        with self._lock:
            self._closed = True
            self._drop()

    def _request(self, spec: job_pb2.JobSpec) -> Request:
        # The number of this machine's cores says nothing about another cluster.
        return Request.of(spec, self._config.worker_threads if self._own else self._config.threads or 1)

    def _knock(self) -> None:
        """Raise ``StartError`` for an address where nothing listens, which Ray would retry for minutes."""
        host, _, port = self._joining.address.removeprefix("ray://").rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), _KNOCK_SECONDS).close()
        except OSError as error:
            raise StartError(f"executor: {self._config.executor}: no Ray cluster is there ({error.strerror or error})") from error

    def _start(self) -> None:
        ours, theirs = child.pipe()
        process = _spawn.Process(target=keep, args=(theirs, self._own, self._joining, self._config.logs), name="ray", daemon=True)
        try:
            process.start()
        except OSError as error:
            ours.close()
            raise StartError(f"executor: no process could be started for Ray ({error.strerror})") from error
        finally:
            theirs.close()
        self._process, self._connection = process, ours
        answer = self._answer(_START_SECONDS) or {"error": f"no answer within {_START_SECONDS:g} s"}
        if "error" in answer:
            self._drop()
            which = "no cluster could be started" if self._own else "the cluster can't be joined"
            raise StartError(f"executor: {self._config.executor}: {which}: {answer['error']}")
        self._joining = Joining(answer["address"], self._joining.environment)
        self._nodes, self._read = [Node(**node) for node in answer["nodes"]], time.monotonic()
        _log.info("ray: %d nodes at %s", len(self._nodes), answer["address"])

    def _present(self) -> list[Node]:
        if time.monotonic() > self._read + _NODES_SECONDS and self._connection is not None:
            with contextlib.suppress(OSError):
                while self._connection.poll():  # late answers to earlier questions
                    self._connection.recv_bytes()
                self._connection.send_bytes(b"nodes")
            answer = self._answer(_ANSWER_SECONDS)
            self._nodes = [Node(**node) for node in answer["nodes"]] if answer and "nodes" in answer else []
            self._read = time.monotonic()
        return self._nodes

    def _answer(self, seconds: float) -> dict[str, Any] | None:
        assert self._connection is not None
        try:
            return json.loads(self._connection.recv_bytes()) if self._connection.poll(seconds) else None
        except (EOFError, OSError):
            return {"error": "its process ended"}

    def _drop(self) -> None:
        process, connection, self._process, self._connection = self._process, self._connection, None, None
        if connection is not None:
            connection.close()  # which asks it to end
        if process is not None:
            process.join(15.0)
            process.kill()
            process.join()
            process.close()


def keep(connection: Connection, own: bool, joining: Joining, logs: Logs) -> None:
    """Start or join a cluster, answer questions about its nodes, and leave it when the server is gone.

    Parameters
    ----------
    connection : Connection
        The process's end of the pipe to the server.
    own : bool
        Whether to start a cluster, rather than join one.
    joining : Joining
        Address and environment of the cluster.
    logs : Logs
        How to log.
    """
    child.settle("ray", logs, threads=1)
    with contextlib.ExitStack() as undo:
        try:
            if own:
                ray, address = undo.enter_context(_cluster(joining))
            else:
                ray, address = joining.join(), joining.address
                undo.callback(ray.shutdown)
            connection.send_bytes(json.dumps({"address": address, "nodes": _nodes(ray)}).encode())
        except Exception as error:
            with contextlib.suppress(OSError):
                connection.send_bytes(json.dumps({"error": ray_joining.why(error)}).encode())
            return
        with contextlib.suppress(EOFError, OSError):
            while True:
                connection.recv_bytes()
                try:
                    answer: dict[str, Any] = {"nodes": _nodes(ray)}
                except Exception as error:
                    _log.error("the cluster is gone: %s", ray_joining.why(error))
                    return
                connection.send_bytes(json.dumps(answer).encode())


@contextlib.contextmanager
def _cluster(joining: Joining) -> Iterator[tuple[Any, str]]:
    """Yield ``ray`` and the address of a cluster on this machine alone, with its own token, without dashboard and usage statistics."""
    # Workers of Ray import what the server imports, as spawned workers do, and have normal scheduling priority.
    path = os.pathsep.join(path for path in sys.path if path)
    folder = tempfile.mkdtemp(prefix="actmax-ray-")  # not below the data folder: the paths of sockets have to be short
    scratch = {"TMPDIR": folder}  # so that killed workers leave no files behind
    ray = ray_joining.prepare({**joining.environment, **scratch, "PYTHONPATH": path, "RAY_worker_niceness": "0"})
    ray_joining.stay_on_loopback(ray)
    try:
        found = ray.init(
            address="local",
            num_cpus=int(here().cpus),
            include_dashboard=False,
            log_to_driver=False,
            configure_logging=False,
            _node_ip_address="127.0.0.1",
            _temp_dir=folder,
        )
        address = found.address_info["gcs_address"]
        if not is_loopback(address):
            _log.warning("Ray listens at %s, which other machines may reach; its token keeps them out", address)
        yield ray, address
    finally:
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


def _nodes(ray: Any) -> list[dict[str, float]]:
    alive = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return [asdict(Node(has.get("CPU", 0.0), has.get("GPU", 0.0), int(has.get("memory", 0)))) for has in alive]
