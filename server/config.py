"""The settings of a server."""

from __future__ import annotations

import ipaddress
import logging
import os
import socket
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from ..models.permissions import Permissions
from .observing.logs import Logs

PREFIX = "ACTMAX_SERVE_"
DEFAULT_ADDRESS = "127.0.0.1:50051"


class ConfigError(ValueError):
    """A setting that the server refuses to start with; the message names the setting and says what would work."""


class StartError(RuntimeError):
    """The server can't start; the message says why, and everything opened until then is closed."""


def _parted(value: Any) -> Any:
    return [part for part in value.split(",") if part] if isinstance(value, str) else value


Count = Annotated[int, Field(ge=1)]
Limit = Annotated[int, Field(ge=0)]
Rate = Annotated[float, Field(ge=0)]
Seconds = Annotated[float, Field(gt=0)]
Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_parted)]


class ServerConfig(BaseSettings):
    """Settings of one server.

    Attributes
    ----------
    address : str
        ``host:port`` to listen on; port 0 picks a free one. A host other than loopback needs TLS, and tokens or clients' certificates.
    data : Path
        Folder of the database and of the jobs' files; created if missing. One live server at a time.
    workers : int
        Most jobs that run at the same time, each in its own process.
    threads : int
        CPU threads of each worker; 0 divides the CPUs that this process may use between the workers.
    standby : bool
        Whether one more process waits with everything imported, so that a job begins at once; it takes a few hundred MB of memory. Not
        on Ray.
    devices : tuple of str
        Values of ``CUDA_VISIBLE_DEVICES``, assigned to the workers in turn, so that each sees its own GPU (``("0", "1")``); if
        empty, every worker sees all GPUs.
    executor : str
        Where jobs run: "local", in processes of this machine; "ray", on a Ray cluster that this server starts on this machine; "ray:auto",
        "ray:HOST:PORT" or "ray://HOST:PORT", on another Ray cluster, by its head's address or that of its Ray Client.
    autoscaling : bool
        Whether that cluster grows on demand: then jobs that ask for more than its present nodes have are accepted, and wait.
    allow_imports : tuple of str
        What a job may use beyond the catalog: packages, for components named ``package:attribute``; folders of models and pictures;
        addresses of inference servers. None by default.
    max_receive_bytes : int
        Largest message accepted, in bytes: 4096 to 2**31 - 1.
    max_evaluations : int
        Most evaluations that a job may ask for, over all its searches.
    max_searches : int
        Most searches (units x optimizers) of one job.
    max_attempts : int
        Number of workers that may die in a row without progress of the job, before it is FAILED.
    max_server_deaths : int
        Number of servers that may die in a row without progress of the job, before it is FAILED. A stop in order doesn't count.
    keep_alive_seconds : float
        Longest silence of a watch.
    cancel_seconds : float
        Time that a cancelled job's worker has to write its results, before it is killed.
    stop_seconds : float
        Time that workers have to write their checkpoints when the server stops, before they are killed.
    check_seconds : float
        Longest time that the check of one new job may take.
    checkpoint_seconds : float
        Least time between two checkpoints of a job; longer where writing takes more than a twentieth of it.
    database : str
        URL of the database, such as ``postgresql://actmax@db/actmax``, which several servers may share; if empty, ``actmax.db`` in the
        data folder (SQLite).
    files : str
        URL of the folder of checkpoints and artifacts, of any kind that fsspec supports, such as ``s3://bucket/actmax``; if empty,
        ``jobs`` in the data folder.
    lease_seconds : float
        Time without a heartbeat after which other servers on the same database take over a server's jobs.
    poll_seconds : float
        Seconds between two reads of other servers' changes.
    max_queued_per_owner, max_running_per_owner, max_stored_bytes_per_owner : int
        Most waiting jobs of one owner, most running ones, and the bytes of artifacts above which a new job is refused; 0 is no limit.
    max_open_sessions_per_owner : int
        Most open sessions of one owner; renewing an expired session is allowed beyond it. 0 is no limit.
    max_calls_per_second_per_owner : float
        Most calls a second of one owner, averaged over five seconds (of one address, without owners); 0 is no limit. Opening a stream
        counts as one call, health checks don't count.
    max_calls : int
        Most calls, watches among them, that are answered at the same time; further calls are RESOURCE_EXHAUSTED.
    tokens : bool
        Whether callers need a bearer token (``actmax token create``); each caller sees their own jobs only, administrators see all.
    tls_certificate, tls_key, tls_client_ca : str
        PEM files: the server's certificate chain and its key; and the authority whose certificates clients must show (mutual TLS).
    metrics_address : str
        ``host:port`` of the metrics for Prometheus; none when empty.
    otlp_endpoint : str
        Where traces go (OTLP over gRPC), such as ``http://127.0.0.1:4317``; nowhere when empty.
    keep_freed_memory : bool
        Whether each heap keeps up to 256 MB of freed memory instead of returning it to the system (glibc only).
    log_level, log_format : str
        "debug", "info", "warning" or "error"; "text" or "json".

    Raises
    ------
    ConfigError
        A setting is invalid, or two settings can't work together.
    """

    model_config = SettingsConfigDict(frozen=True, extra="forbid", env_prefix=PREFIX)

    address: str = DEFAULT_ADDRESS
    data: Path = Path("actmax-data")
    workers: Count = 1
    threads: Limit = 0
    standby: bool = True
    devices: Names = ()
    executor: str = "local"
    autoscaling: bool = False
    allow_imports: Names = ()
    max_receive_bytes: Annotated[int, Field(ge=4096, lt=2**31)] = 16 * 1024 * 1024
    max_evaluations: Count = 10**9
    max_searches: Count = 10_000
    max_attempts: Count = 3
    max_server_deaths: Count = 10
    keep_alive_seconds: Seconds = 5.0
    cancel_seconds: Seconds = 120.0
    stop_seconds: Seconds = 10.0
    check_seconds: Seconds = 120.0
    checkpoint_seconds: Seconds = 5.0
    database: str = ""
    files: str = ""
    lease_seconds: Seconds = 15.0
    poll_seconds: Seconds = 1.0
    max_queued_per_owner: Limit = 0
    max_running_per_owner: Limit = 0
    max_stored_bytes_per_owner: Limit = 0
    max_open_sessions_per_owner: Limit = 0
    max_calls_per_second_per_owner: Rate = 0.0
    max_calls: Count = 2000
    tokens: bool = False
    tls_certificate: str = ""
    tls_key: str = ""
    tls_client_ca: str = ""
    metrics_address: str = ""
    otlp_endpoint: str = ""
    keep_freed_memory: bool = True
    log_level: Literal["debug", "info", "warning", "error"] = "warning"
    log_format: Literal["text", "json"] = "text"

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise ConfigError(_described(error)) from None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the constructor's values as the only source; :func:`actmax.server.settings.load` reads file and environment."""
        return (init_settings,)

    @model_validator(mode="after")
    def _fits(self) -> ServerConfig:
        """Refuse settings that can't work together."""
        if bool(self.tls_certificate) != bool(self.tls_key):
            raise ConfigError("tls_certificate, tls_key: one needs the other")
        if self.tls_client_ca and not self.tls_certificate:
            raise ConfigError("tls_client_ca: clients' certificates need a server's; set tls_certificate and tls_key")
        if self.executor not in ("local", "ray", "ray:auto"):
            _require_cluster(self.executor)
        if self.executor != "local" and self.devices:
            raise ConfigError("devices: on Ray a job sees the GPUs that it asks for (resources.gpus); leave devices out")
        if self.autoscaling and self.executor in ("local", "ray"):
            raise ConfigError(f"autoscaling: {self.executor} is this machine, which does not grow; it goes with another Ray cluster")
        if self.metrics_address:
            split_address(self.metrics_address, "metrics_address")
        host, _ = split_address(self.address)
        if not (self.tls_certificate and (self.tokens or self.tls_client_ca)):
            require_loopback(host)
        return self

    @property
    def logs(self) -> Logs:
        """The logging settings of each of the server's processes."""
        return Logs(getattr(logging, self.log_level.upper()), self.log_format == "json")

    @cached_property
    def permissions(self) -> Permissions:
        """What every request may use; an owner's requests may also use the relay to the owner's plugins."""
        return Permissions.of(self.allow_imports)

    @property
    def worker_threads(self) -> int:
        """Number of CPU threads of each worker, at least 1."""
        return self.threads or max(1, len(os.sched_getaffinity(0)) // self.workers)


def _described(error: ValidationError) -> str:
    """Return the first violation as text; a given text is left out, as it may hold a password."""
    first = error.errors()[0]
    if not first["loc"]:
        return str(first.get("ctx", {}).get("error", first["msg"]))
    given = first["input"]
    shown = f", not {given!r}" if isinstance(given, int | float) else ""
    return f"{first['loc'][0]}: {first['msg']}{shown}"


def split_address(address: str, field: str = "address") -> tuple[str, int]:
    """Return the host and the port of ``host:port`` or ``[host]:port``.

    Parameters
    ----------
    address : str
        The address; an IPv6 host stands in brackets.
    field : str
        Name of the setting, for the message of an error.

    Raises
    ------
    ConfigError
        The address has neither form.
    """
    host, colon, port = address.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ConfigError(f"{field}: {address!r} is unclear, write an IPv6 host in brackets, such as [::1]:50051")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ConfigError(f"{field}: {address!r} is not host:port, such as {DEFAULT_ADDRESS}")
    return host, int(port)


def _require_cluster(executor: str) -> None:
    scheme, _, address = executor.partition(":")
    try:
        host, port = split_address(address.removeprefix("//"), "executor")
    except ConfigError:
        host, port = "", 0
    if scheme != "ray" or not host or not port or "/" in host:
        raise ConfigError(f"executor: {executor!r} is none of local, ray, ray:auto, ray:HOST:PORT and ray://HOST:PORT")


def require_loopback(host: str) -> None:
    """Raise ``ConfigError`` for a host that other machines can reach.

    Raises
    ------
    ConfigError
        The host isn't loopback, or isn't known.
    """
    try:
        found = {str(item[4][0]) for item in socket.getaddrinfo(host or "0.0.0.0", None)}
    except OSError as error:
        raise ConfigError(f"address: the host {host!r} is not known ({error.strerror})") from None
    reachable = sorted(ip for ip in found if not ipaddress.ip_address(ip.partition("%")[0]).is_loopback)
    if reachable:
        raise ConfigError(
            f"address: {host or 'every interface'} can be reached from other machines, and this server has no credentials to ask them "
            "for; listen on 127.0.0.1 and reach it through a tunnel such as ssh -L, or set tls_certificate and tls_key, and tokens or "
            "tls_client_ca"
        )
