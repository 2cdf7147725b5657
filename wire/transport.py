"""Channels to servers (plain or by TLS, with a token, blocking or with asyncio) and streams of requests."""

from __future__ import annotations

import os
import queue
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import grpc
import grpc.aio

from .addresses import is_loopback, stays_here
from .errors import InvalidInput
from .retry import RetryPolicy, retrying

Answer = TypeVar("Answer")
Request = TypeVar("Request")
Options = Sequence[tuple[str, Any]]
Metadata = list[tuple[str, str | bytes]]

DEFAULT_ADDRESS = "127.0.0.1:50051"
SECURE = "grpcs://"

CHANNEL_OPTIONS = (
    # A list of jobs with many units each outgrows gRPC's default of 4 MiB.
    ("grpc.max_receive_message_length", 64 << 20),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 5000),
)
STREAM_OPTIONS = (*CHANNEL_OPTIONS, ("grpc.keepalive_time_ms", 10_000), ("grpc.keepalive_timeout_ms", 5_000))
"""Options of streams that stay open: pings detect a peer that has vanished without closing."""

PLUGIN_BYTES = 64 << 20
"""Most bytes of a plugin's answer; a larger one is refused before it is in memory."""
UNSTATED_BYTES = 4 << 20
"""Most bytes of a message to or from a plugin whose description states no limit."""
ENVELOPE_BYTES = 4096
"""Bytes that a message takes besides its values, at most."""
TICKET = "actmax-ticket"
"""Metadata key of a server's own relay to plugins that have dialled in."""


class Credentials(NamedTuple):
    """A client's bearer token, and PEM files of the authority to trust and of the client's own certificate and key; all may be empty."""

    token: str = ""
    authority: str = ""
    certificate: str = ""
    key: str = ""

    @classmethod
    def from_environment(cls) -> Credentials:
        """Return the credentials in ACTMAX_TOKEN or the file named by ACTMAX_TOKEN_FILE, ACTMAX_CA, ACTMAX_CERT and ACTMAX_KEY.

        Raises
        ------
        InvalidInput
            The file of the token can't be read.
        """
        token = os.environ.get("ACTMAX_TOKEN", "")
        if not token and (file := os.environ.get("ACTMAX_TOKEN_FILE")):
            token = _read(file, "ACTMAX_TOKEN_FILE").decode("ascii", "replace").strip()
        return cls(token, *(os.environ.get(f"ACTMAX_{name}", "") for name in ("CA", "CERT", "KEY")))


def open_channel(address: str, credentials: Credentials | None = None, options: Options = CHANNEL_OPTIONS) -> grpc.Channel:
    """Return a channel whose calls carry the token.

    Parameters
    ----------
    address : str
        ``host:port``; by TLS where the address begins with ``grpcs://`` or ``credentials`` name an authority or a certificate.
    credentials : Credentials, optional
        The environment's credentials by default.
    options : sequence of (str, value)
        gRPC's channel arguments.

    Raises
    ------
    InvalidInput
        A file can't be read, or the token would be sent over a network unencrypted.
    """
    found = Credentials.from_environment() if credentials is None else credentials
    channel: grpc.Channel = channel_to(*_reached(address, found), options)
    return grpc.intercept_channel(channel, _Bearer(found.token)) if found.token else channel


def open_async_channel(
    address: str, credentials: Credentials | None = None, options: Options = CHANNEL_OPTIONS
) -> tuple[grpc.aio.Channel, Metadata]:
    """Return a channel for asyncio, and the metadata that every call has to carry.

    Parameters
    ----------
    address, credentials, options
        See :func:`open_channel`.

    Returns
    -------
    channel : grpc.aio.Channel
    metadata : list of (str, str or bytes)
        The token's header; empty without a token.

    Raises
    ------
    InvalidInput
        As of :func:`open_channel`.
    """
    found = Credentials.from_environment() if credentials is None else credentials
    channel: grpc.aio.Channel = channel_to(*_reached(address, found), options, grpc.aio)
    return channel, [("authorization", f"Bearer {found.token}")] if found.token else []


def channel_to(host: str, tls: grpc.ChannelCredentials | None, options: Options, kind: Any = grpc) -> Any:
    """Return a channel to a host; one on this machine is reached directly, also with a proxy in the environment.

    Parameters
    ----------
    host : str
        ``host:port``, or a gRPC target.
    tls : grpc.ChannelCredentials or None
        Credentials for TLS; None for a plain channel.
    options : sequence of (str, value)
        gRPC's channel arguments.
    kind : module
        ``grpc`` or ``grpc.aio``.
    """
    if stays_here(host):
        options = (*options, ("grpc.enable_http_proxy", 0))
    if tls is None:
        return kind.insecure_channel(host, options=list(options))
    return kind.secure_channel(host, tls, options=list(options))


def ask_service(
    make_stub: Callable[[grpc.Channel], Any],
    ask: Callable[[Any], Answer],
    address: str,
    credentials: Credentials | None = None,
    seconds: float = 5.0,
) -> Answer:
    """Open a channel, make one call over it, made again while the server can't be reached, and return its answer.

    Parameters
    ----------
    make_stub : callable
        A generated stub's class.
    ask : callable
        Makes the call on the stub and returns its answer; may be called several times.
    address, credentials
        See :func:`open_channel`.
    seconds : float
        Time after the first failure in which the call is made again.

    Raises
    ------
    ActmaxError
        The call failed.
    """
    with open_channel(address, credentials, STREAM_OPTIONS) as channel:
        stub = make_stub(channel)
        return retrying(lambda: ask(stub), address, RetryPolicy(seconds))


class RequestStream(Generic[Request, Answer]):
    """One open call of many requests and many answers, whose requests are sent one by one from any thread.

    Parameters
    ----------
    method : callable
        The stub's method for the call.
    first : message
        The first request, sent at once.
    """

    def __init__(self, method: Callable[[Iterator[Request]], Any], first: Request) -> None:
        self._requests: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
        self.send(first)
        self._call = method(iter(self._requests.get, None))
        self.answers: Iterator[Answer] = self._call
        self.closed = False

    def send(self, request: Request) -> None:
        """Queue a request."""
        self._requests.put(request)

    def close(self) -> None:
        """Cancel the call."""
        self.closed = True
        self._requests.put(None)
        self._call.cancel()


def _reached(address: str, credentials: Credentials) -> tuple[str, grpc.ChannelCredentials | None]:
    """Return host and port, and the credentials of a TLS channel; None for a plain channel."""
    host = address.removeprefix(SECURE)
    if address.startswith(SECURE) or credentials.authority or credentials.certificate:
        return host, _tls(credentials)
    if credentials.token and not (address.startswith("unix:") or is_loopback(host)):
        raise InvalidInput(f"a token is sent to another machine only by TLS: write {SECURE}{host}")
    return host, None


def _tls(credentials: Credentials) -> grpc.ChannelCredentials:
    authority = _read(credentials.authority, "the authority to trust") if credentials.authority else None
    if not credentials.certificate:
        return grpc.ssl_channel_credentials(authority)
    if not credentials.key:
        raise InvalidInput("a client's certificate needs its key")
    return grpc.ssl_channel_credentials(authority, _read(credentials.key, "the key"), _read(credentials.certificate, "the certificate"))


def _read(file: str, what: str) -> bytes:
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise InvalidInput(f"{what}: {file}: {error.strerror}") from None


class _Call(NamedTuple):
    method: str
    timeout: float | None
    metadata: Sequence[tuple[str, str | bytes]] | None
    credentials: grpc.CallCredentials | None
    wait_for_ready: bool | None
    compression: grpc.Compression | None


class _Bearer(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor, grpc.StreamStreamClientInterceptor):
    """Adds the token to every call."""

    def __init__(self, token: str) -> None:
        self._header = ("authorization", f"Bearer {token}")

    def intercept_unary_unary(self, continuation: Callable[[Any, Any], Any], client_call_details: Any, request: Any) -> Any:
        return continuation(self._with(client_call_details), request)

    def intercept_unary_stream(self, continuation: Callable[[Any, Any], Any], client_call_details: Any, request: Any) -> Any:
        return continuation(self._with(client_call_details), request)

    def intercept_stream_stream(self, continuation: Callable[[Any, Any], Any], client_call_details: Any, request_iterator: Any) -> Any:
        return continuation(self._with(client_call_details), request_iterator)

    def _with(self, call: Any) -> _Call:
        metadata = [*(call.metadata or ()), self._header]
        return _Call(call.method, call.timeout, metadata, call.credentials, call.wait_for_ready, call.compression)
