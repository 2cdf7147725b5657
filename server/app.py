"""The whole server: builds its parts, serves them, and stops them in order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from functools import partial

import grpc
import grpc.aio
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

from .config import ConfigError, ServerConfig, StartError, split_address
from .execution.attempt import ExecutionContext
from .execution.control import JobControl
from .execution.engine import ActmaxEngine, Engine
from .execution.executor import Executor
from .execution.inspector import Inspector
from .execution.launching import Launcher, launcher
from .execution.lease_manager import LeaseManager
from .jobs import states
from .jobs.hub import Hub
from .jobs.lifecycle import Lifecycle
from .jobs.reading import JobReader
from .memory import keep_freed
from .observing.calls import Observer, tracer
from .observing.metrics import Metrics
from .plugins.registry import Plugins
from .plugins.relay import PluginRelay
from .security.access import Access
from .security.rate_limiter import RateLimiter
from .security.tokens import Tokens
from .security.transport import server_credentials
from .servicers.admission import Admission
from .servicers.catalog import CatalogServicer
from .servicers.jobs import JobServicer
from .servicers.plugins import PluginServicer
from .servicers.sessions import SessionServicer
from .sessions.service import Sessions
from .sessions.session_index import SessionIndex
from .storage.opening import open_storage
from .storage.sql import SqlJobStore

_log = logging.getLogger(__name__)

SERVICES = (
    job_service_pb2.DESCRIPTOR.services_by_name["JobService"].full_name,
    catalog_service_pb2.DESCRIPTOR.services_by_name["CatalogService"].full_name,
    session_service_pb2.DESCRIPTOR.services_by_name["SessionService"].full_name,
    plugin_service_pb2.DESCRIPTOR.services_by_name["PluginService"].full_name,
)
_DRAIN_SECONDS = 2.0  # for calls that are being answered


class Server:
    """One server over one data folder.

    Parameters
    ----------
    config : ServerConfig
        The server's settings.
    engine : Engine or None
        What worker processes run; ``ActmaxEngine`` if None. Tests pass their own.
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
        """The ``host:port`` that the server listens on, with the port that it was given."""
        host = self.config.address.rpartition(":")[0]
        return f"{host}:{self._port}"

    async def start(self) -> None:
        """Bind the port, lock the data folder, resume unfinished jobs, and serve.

        Raises
        ------
        StartError
            The address, the data folder or the store can't be used. Everything opened until then is closed.
        """
        try:
            await self._start()
        except BaseException:
            await self._undo.aclose()
            raise

    async def stop(self, grace: float | None = None) -> None:
        """Stop the server: refuse new calls, have workers write checkpoints, then close everything.

        A second call waits for the same stop.

        Parameters
        ----------
        grace : float or None
            Seconds that workers have to write their checkpoints before they are killed; ``config.stop_seconds`` if None. The call
            returns within a few seconds more.
        """
        if self._stopped is None:
            self._stopped = asyncio.create_task(self._stop(self.config.stop_seconds if grace is None else grace))
        await asyncio.shield(self._stopped)

    async def _start(self) -> None:
        config, undo = self.config, self._undo
        try:
            credentials = server_credentials(config)
            spans, end_tracing = tracer(config.otlp_endpoint)
        except (ConfigError, ModuleNotFoundError) as error:
            raise StartError(str(error)) from error
        undo.callback(end_tracing)
        metrics, access = Metrics(), Access(certificates=bool(config.tls_client_ca))
        limiter = RateLimiter(config.max_calls_per_second_per_owner)
        self._grpc = _grpc_server(config, Admission(access, limiter, Observer(metrics, spans)))
        # Bound before the data folder is created, so that a start that fails on the port creates no folder.
        self._port = self._bind(credentials)
        undo.push_async_callback(self._unbind)
        self.store, files = open_storage(config, f"the server at {self.address} (process {os.getpid()})", undo)
        if config.tokens:
            access.ask_for(Tokens(self.store.database))
        self._publish(metrics)

        loop = asyncio.get_running_loop()
        threads = ThreadPoolExecutor(8, "storage")
        undo.callback(threads.shutdown)
        self._hub = Hub(loop)
        lifecycle = Lifecycle(self.store, self._hub.changed)
        await self._open_relay()
        self.inspector = Inspector(self._engine, config, relay=partial(self._relay.address, patient=False))
        undo.push_async_callback(self.inspector.close)
        await self.inspector.start()
        self.launcher = launcher(config)
        undo.callback(self.launcher.close)
        await loop.run_in_executor(threads, self.launcher.start)
        relay = partial(self._relay.address, patient=True)
        context = ExecutionContext(config, lifecycle, files, self._engine, metrics, self.launcher)
        self.executor = Executor(context, spans, relay=relay)
        address = self.address if self.store.database.shared else ""
        leases = LeaseManager(config, self.store, lifecycle, files, self.executor, self._hub, address)
        undo.callback(leases.stop)
        undo.callback(self.executor.stop, 0.0)

        jobs = JobReader(self.store, files, self._hub, threads, metrics, keep_alive_seconds=config.keep_alive_seconds)
        await self._add_services(jobs, JobControl(config, jobs, lifecycle, self.executor, self.inspector))
        try:
            await loop.run_in_executor(threads, leases.start)
        except OSError as error:
            raise StartError(f"{config.data}: {error}") from error
        self.executor.start()
        await self._grpc.start()
        self._serving = True

    def _publish(self, metrics: Metrics) -> None:
        """Serve the metrics if an address for them is set."""
        self.metrics, address = metrics, self.config.metrics_address
        if address:
            try:
                self._undo.callback(metrics.serve(*split_address(address)))
            except OSError as error:
                raise StartError(f"metrics_address: {address} can't be listened on ({error.strerror})") from error
        metrics.count_jobs(lambda: {states.name(state): number for state, number in self.store.counts().items()})

    async def _open_relay(self) -> None:
        """Start the relay through which workers reach plugins."""
        self._plugins = Plugins()
        self._relay = PluginRelay(self._plugins, self.config.max_receive_bytes)
        try:
            await self._relay.start()
        except OSError as error:
            raise StartError(str(error)) from error
        self._undo.push_async_callback(self._relay.stop)

    async def _add_services(self, jobs: JobReader, control: JobControl) -> None:
        """Register the servicers of all services with the gRPC server."""
        config, server = self.config, self._grpc
        job_service_pb2_grpc.add_JobServiceServicer_to_server(JobServicer(jobs, control), server)
        catalog_service_pb2_grpc.add_CatalogServiceServicer_to_server(CatalogServicer(config, self.inspector), server)
        relay = partial(self._relay.address, patient=False)
        self._sessions = Sessions(config, SessionIndex(config.data / "sessions"), relay=relay)
        self._undo.push_async_callback(self._sessions.stop)
        session_service_pb2_grpc.add_SessionServiceServicer_to_server(SessionServicer(self._sessions), server)
        plugin_service_pb2_grpc.add_PluginServiceServicer_to_server(PluginServicer(self._plugins), server)
        self._health = health.aio.HealthServicer()  # type: ignore[attr-defined]
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        reflection.enable_server_reflection((*SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
        for service in ("", *SERVICES):
            await self._health.set(service, health_pb2.HealthCheckResponse.SERVING)

    async def _stop(self, grace: float) -> None:
        await self._health.enter_graceful_shutdown()
        self._hub.close()
        self._sessions.close()
        self._plugins.close()
        stopped = asyncio.get_running_loop().run_in_executor(None, self.executor.stop, grace)
        await asyncio.gather(self._grpc.stop(min(grace, _DRAIN_SECONDS)), stopped)
        await self._undo.aclose()

    def _bind(self, credentials: grpc.ServerCredentials | None) -> int:
        address = self.config.address
        host, port = split_address(address)
        try:
            bound = self._grpc.add_secure_port(address, credentials) if credentials else self._grpc.add_insecure_port(address)
        except RuntimeError as error:
            bound, why = 0, str(error)
        else:
            why = ""
        if not bound:
            _log.debug("binding failed: %s", why)
            raise StartError(
                f"{address} can't be listened on: port {port} of {host} is taken, or not for this user to take; "
                "stop what listens there, or give another one with --address (port 0 picks a free one)"
            )
        return bound

    async def _unbind(self) -> None:
        if not self._serving:
            await self._grpc.start()  # a gRPC server that never started would keep its port
        await self._grpc.stop(0)


def _grpc_server(config: ServerConfig, admission: Admission) -> grpc.aio.Server:
    return grpc.aio.server(
        interceptors=[admission],
        maximum_concurrent_rpcs=config.max_calls,
        options=[
            ("grpc.max_receive_message_length", config.max_receive_bytes),
            # Otherwise a second server could share the port and receive half of the calls.
            ("grpc.so_reuseport", 0),
            # Clients may ping every few seconds to check quiet watches.
            ("grpc.http2.min_recv_ping_interval_without_data_ms", 5000),
            ("grpc.keepalive_permit_without_calls", 1),
            # Pings detect plugins and rigs that vanished without closing their stream.
            ("grpc.keepalive_time_ms", 10_000),
            ("grpc.keepalive_timeout_ms", 5_000),
        ],
    )


def serve(config: ServerConfig, *, engine: Engine | None = None) -> int:
    """Serve until SIGTERM or SIGINT and return an exit code.

    Once ready it prints one line to standard output: ``actmax serving on 127.0.0.1:50051, data in actmax-data``. A first signal
    stops the server in order, within ``config.stop_seconds`` and a few seconds; a second signal stops it at once.

    Parameters
    ----------
    config : ServerConfig
        The server's settings.
    engine : Engine or None
        What worker processes run; ``ActmaxEngine`` if None.

    Returns
    -------
    int
        0 after a stop, 1 if the server could not start; the reason is printed to standard error.
    """
    config.logs.configure()
    if config.keep_freed_memory:
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
