"""The server as a whole: built, served, and stopped in order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from functools import partial

import grpc
import grpc.aio
import sqlalchemy as sa
import sqlalchemy.exc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from actmax.v1 import (
    catalog_service_pb2,
    catalog_service_pb2_grpc,
    job_service_pb2,
    job_service_pb2_grpc,
    plugin_service_pb2,
    plugin_service_pb2_grpc,
    session_service_pb2,
    session_service_pb2_grpc,
)

from .config import ConfigError, ServerConfig, split_address
from .execution.engine import ActmaxEngine, Engine
from .execution.executor import Executor
from .execution.inspector import Inspector
from .execution.launching import CannotStart, Launcher, launcher
from .execution.steward import Steward
from .jobs import states
from .jobs.hub import Hub
from .jobs.lifecycle import Lifecycle
from .jobs.service import Jobs
from .memory import keep_freed
from .observing import tracing
from .observing.calls import Observer
from .observing.metrics import Metrics
from .plugins.door import PluginDoor
from .plugins.registry import Plugins
from .security.access import Access
from .security.pace import Pace
from .security.tokens import Tokens
from .security.transport import server_credentials
from .servicers.admission import Admission
from .servicers.catalog import CatalogServicer
from .servicers.jobs import JobServicer
from .servicers.plugins import PluginServicer
from .servicers.sessions import SessionServicer
from .sessions.service import Sessions
from .sessions.shelf import Shelf
from .storage.database import DatabaseTooNew, database_url, sqlite_url
from .storage.folders import JobFiles
from .storage.lock import FileLock, FolderInUse
from .storage.remote import job_files
from .storage.sql import SqlJobStore
from .storage.store import StorageFull, StorageGone

_log = logging.getLogger(__name__)

SERVICES = (
    job_service_pb2.DESCRIPTOR.services_by_name["JobService"].full_name,
    catalog_service_pb2.DESCRIPTOR.services_by_name["CatalogService"].full_name,
    session_service_pb2.DESCRIPTOR.services_by_name["SessionService"].full_name,
    plugin_service_pb2.DESCRIPTOR.services_by_name["PluginService"].full_name,
)
_DRAIN_SECONDS = 2.0  # for calls that are being answered


class StartError(RuntimeError):
    """The server can't start; the message says why, and nothing was left behind."""


class Server:
    """One server over one data folder.

    Parameters
    ----------
    config : ServerConfig
        Its settings.
    engine : Engine
        What workers run; actmax's own but for tests.
    """

    def __init__(self, config: ServerConfig, *, engine: Engine | None = None) -> None:
        self.config = config
        self._engine = engine or ActmaxEngine()
        self._undo = AsyncExitStack()
        self._port = 0
        self._serving = False
        self._stopped: asyncio.Task[None] | None = None
        self.executor: Executor
        self.launcher: Launcher
        self.inspector: Inspector
        self.store: SqlJobStore

    @property
    def address(self) -> str:
        """Where it listens, with the port that it was given."""
        host = self.config.address.rpartition(":")[0]
        return f"{host}:{self._port}"

    async def start(self) -> None:
        """Bind, take the data folder, take up what was left unfinished, and serve.

        Raises
        ------
        StartError
            The address or the data folder can't be had.
        """
        try:
            await self._start()
        except BaseException:
            await self._undo.aclose()
            raise

    async def stop(self, grace: float | None = None) -> None:
        """Stop: tell health checks, take no more calls, have workers write checkpoints within ``grace`` seconds, let go.

        ``grace`` is ``config.stop_seconds`` where it is not given. It returns within a few seconds more than that. Calling it
        again waits for the same stop.
        """
        if self._stopped is None:
            self._stopped = asyncio.create_task(self._stop(self.config.stop_seconds if grace is None else grace))
        await asyncio.shield(self._stopped)

    async def _start(self) -> None:
        config = self.config
        try:
            credentials = server_credentials(config)
            tracer, end_tracing = tracing.tracer(config.otlp_endpoint)
        except (ConfigError, ModuleNotFoundError) as error:
            raise StartError(str(error)) from error
        self._undo.callback(end_tracing)
        metrics = self.metrics = Metrics()
        access, observer = Access(certificates=bool(config.tls_client_ca)), Observer(metrics, tracer)
        server = grpc.aio.server(
            interceptors=[Admission(access, Pace(config.max_calls_per_second_per_owner), observer)],
            maximum_concurrent_rpcs=config.max_calls,
            options=[
                ("grpc.max_receive_message_length", config.max_receive_bytes),
                # Else a second server could share the port, and get every other call.
                ("grpc.so_reuseport", 0),
                # Clients may look after quiet watches with a ping every few seconds.
                ("grpc.http2.min_recv_ping_interval_without_data_ms", 5000),
                ("grpc.keepalive_permit_without_calls", 1),
                # A plugin or a rig that vanished without a word is noticed by pings.
                ("grpc.keepalive_time_ms", 10_000),
                ("grpc.keepalive_timeout_ms", 5_000),
            ],
        )
        # First of all, as a port that is taken must leave no folder behind.
        self._port = self._bind(server, credentials)
        self._undo.push_async_callback(self._unbind, server)
        store, files = self._open()
        self.store = store
        if config.tokens:
            access.ask_for(Tokens(store.database))
        if config.metrics_address:
            try:
                self._undo.callback(metrics.serve(config.metrics_address))
            except OSError as error:
                raise StartError(f"metrics_address: {config.metrics_address} can't be listened on ({error.strerror})") from error
        metrics.count_jobs(lambda: {states.name(state): number for state, number in store.counts().items()})

        loop = asyncio.get_running_loop()
        threads = ThreadPoolExecutor(8, "storage")
        self._undo.callback(threads.shutdown)
        hub = Hub(loop)
        lifecycle = Lifecycle(store, hub.changed)
        plugins = self._plugins = Plugins()
        door = self._door = PluginDoor(plugins, config.max_receive_bytes)
        try:
            await door.start()
        except OSError as error:
            raise StartError(str(error)) from error
        self._undo.push_async_callback(door.stop)
        inspector = self.inspector = Inspector(self._engine, config, relay=partial(door.relay, patient=False))
        self._undo.push_async_callback(inspector.close)
        await inspector.start()
        launching = self.launcher = launcher(config)
        self._undo.callback(launching.close)
        try:
            await loop.run_in_executor(threads, launching.start)
        except CannotStart as error:
            raise StartError(str(error)) from error
        executor = self.executor = Executor(
            config,
            lifecycle,
            files,
            self._engine,
            metrics,
            tracer,
            launcher=launching,
            relay=partial(door.relay, patient=True),
        )
        shared = store.database.shared
        steward = Steward(config, store, lifecycle, files, executor, hub, shared=shared, address=self.address)
        self._undo.callback(steward.stop)
        self._stop_executor = lambda seconds: loop.run_in_executor(None, executor.stop, seconds)
        self._undo.callback(executor.stop, 0.0)

        jobs = Jobs(config, store, files, lifecycle, executor, inspector, hub, threads, metrics)
        job_service_pb2_grpc.add_JobServiceServicer_to_server(JobServicer(jobs), server)
        catalog_service_pb2_grpc.add_CatalogServiceServicer_to_server(CatalogServicer(config, inspector), server)
        sessions = self._sessions = Sessions(config, Shelf(config.data / "sessions"), relay=partial(door.relay, patient=False))
        self._undo.push_async_callback(sessions.stop)
        session_service_pb2_grpc.add_SessionServiceServicer_to_server(SessionServicer(sessions), server)
        plugin_service_pb2_grpc.add_PluginServiceServicer_to_server(PluginServicer(plugins), server)
        self._health = health.aio.HealthServicer()  # type: ignore[attr-defined]
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        reflection.enable_server_reflection((*SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
        for service in ("", *SERVICES):
            await self._health.set(service, health_pb2.HealthCheckResponse.SERVING)

        self._grpc, self._hub = server, hub
        try:
            await loop.run_in_executor(threads, steward.start)
        except OSError as error:
            raise StartError(f"{config.data}: {error}") from error
        executor.start()
        await server.start()
        self._serving = True

    async def _stop(self, grace: float) -> None:
        await self._health.enter_graceful_shutdown()
        self._hub.close()
        self._sessions.close()
        self._plugins.close()
        await asyncio.gather(self._grpc.stop(min(grace, _DRAIN_SECONDS)), self._stop_executor(grace))
        await self._undo.aclose()

    def _bind(self, server: grpc.aio.Server, credentials: grpc.ServerCredentials | None) -> int:
        host, port = split_address(self.config.address)
        try:
            address = self.config.address
            bound = server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
        except RuntimeError as error:
            bound, why = 0, str(error)
        else:
            why = ""
        if not bound:
            _log.debug("binding failed: %s", why)
            raise StartError(
                f"{self.config.address} can't be listened on: port {port} of {host} is taken, or not for this user to take; "
                "stop what listens there, or give another one with --address (port 0 picks a free one)"
            )
        return bound

    async def _unbind(self, server: grpc.aio.Server) -> None:
        if not self._serving:
            await server.start()  # one that never started would keep its port
        await server.stop(0)

    def _open(self) -> tuple[SqlJobStore, JobFiles]:
        data, where = self.config.data, self.config.database
        url = database_url(where) if where else sqlite_url(data / "actmax.db")
        try:
            data.mkdir(parents=True, exist_ok=True, mode=0o700)
            with tempfile.TemporaryFile(dir=data):
                pass  # it can be written to
            lock = FileLock(data / "lock", f"the server at {self.address} (process {os.getpid()})")
        except FolderInUse as error:
            raise StartError(f"the data folder {error}; stop that, or give another folder") from None
        except OSError as error:
            raise StartError(f"the data folder {data} can't be used: {error.strerror}") from error
        self._undo.callback(lock.release)
        shown = sa.make_url(where).render_as_string() if where else str(data / "actmax.db")  # without its password
        try:
            store = SqlJobStore(url)
        except (StorageFull, StorageGone, DatabaseTooNew) as error:
            raise StartError(f"{shown}: {error}") from error
        except sqlalchemy.exc.DatabaseError as error:
            raise StartError(f"{shown} can't be read as a database of actmax: {getattr(error, 'orig', error)}") from error
        self._undo.callback(store.close)
        try:
            return store, job_files(self.config.files, data)
        except (ValueError, ImportError, OSError) as error:
            raise StartError(f"the files can't be kept at {self.config.files}: {error}") from error


def serve(config: ServerConfig, *, engine: Engine | None = None) -> int:
    """Serve until SIGTERM or SIGINT; returns an exit code.

    Once ready it prints one line to standard output: ``actmax serving on 127.0.0.1:50051, data in actmax-data``. A first signal stops
    it in order, within ``config.stop_seconds`` and a few seconds; a second one at once.
    """
    config.logs.configure()
    keep_freed()
    try:
        asyncio.run(_serve(config, engine))
    except (StartError, ConfigError) as error:
        print(f"actmax: {error}", file=sys.stderr)
        return 1
    return 0


async def _serve(config: ServerConfig, engine: Engine | None) -> None:
    server = Server(config, engine=engine)
    signals = asyncio.Queue[signal.Signals]()
    with _handling(signals.put_nowait):
        await server.start()
        for line in config.permissions.idle_entries():
            _log.warning("allow_imports: %s", line)
        print(f"actmax serving on {server.address}, data in {config.data}", flush=True)
        received = await signals.get()
        _log.info("%s: stopping", received.name)
        stop = asyncio.create_task(server.stop())
        hurry = asyncio.create_task(signals.get())
        await asyncio.wait({stop, hurry}, return_when=asyncio.FIRST_COMPLETED)
        if not stop.done():
            _log.warning("stopping at once; jobs go on from their last checkpoints")
            server.executor.stop(0.0)
        hurry.cancel()
        await stop


@contextlib.contextmanager
def _handling(received: Callable[[signal.Signals], None]) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    handled = (signal.SIGTERM, signal.SIGINT)
    for number in handled:
        loop.add_signal_handler(number, received, number)
    try:
        yield
    finally:
        for number in handled:
            loop.remove_signal_handler(number)
