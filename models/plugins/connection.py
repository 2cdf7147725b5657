"""Asks one plugin: over a channel with deadlines, tried again where that can help, and never longer than it may take."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import grpc
import protovalidate
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2

from actmax.v1 import plugin_service_pb2 as pb

from .options import PluginOptions, token_for

Answer = TypeVar("Answer", bound=Message)

MOST_BYTES = 64 << 20
"""Of an answer; a larger one is refused before it is in memory."""
DEFAULT_BYTES = 4 << 20
"""Of a message where the plugin states nothing."""
ENVELOPE = 4096
"""What a message needs beside its values."""
TICKET = "actmax-ticket"
"""Metadata key of the server's own door."""
_FIRST_PAUSE, _LONGEST_PAUSE, _LONGEST_ASKED = 0.1, 1.0, 60.0
_BRIEF = 4
"""Tries again where a person waits for a job to be checked."""
_HEALTH_SECONDS = 10.0
_NOT_READY = "it says that it is not serving"


class PluginError(ConnectionError):
    """A plugin did not answer, or not as it has to; the message names it and its address. No answer is ever made up."""


class PluginConnection:
    """One plugin, of one service.

    Parameters
    ----------
    options : PluginOptions
        Where it is and how long it may take.
    service : str
        "TargetService" or "GeneratorService".

    Raises
    ------
    PluginError
        A file that the options name can't be used.
    """

    def __init__(self, options: PluginOptions, service: str) -> None:
        self._place = place = options.place
        self.shown = f"plugin {options.plugin} at {place.shown}" if options.plugin else f"plugin at {place.shown}"
        self._options = options
        self._service = f"/actmax.v1.{service}/"
        try:
            token = token_for(place)
            authority = Path(options.tls).read_bytes() if options.tls else None
        except OSError as error:
            raise PluginError(f"{self.shown}: tls: the file can't be read: {error.strerror}") from None
        except ValueError as error:
            raise PluginError(f"{self.shown}: {error}") from None
        if authority is not None and b"-----BEGIN CERTIFICATE-----" not in authority:
            raise PluginError(f"{self.shown}: tls: the file is no certificate in PEM")
        if token and not place.secure and not _is_here(place.address):
            raise PluginError(f"{self.shown}: its token is sent to another machine only by TLS: grpcs://{place.address}")
        self._metadata = [("authorization", f"Bearer {token}")] if token else [(TICKET, place.ticket)] if place.ticket else []
        settings: list[tuple[str, Any]] = [
            ("grpc.max_receive_message_length", MOST_BYTES),
            ("grpc.max_send_message_length", -1),
            ("grpc.enable_retries", 0),
            # A plugin that is back is found soon.
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.min_reconnect_backoff_ms", 1000),
            ("grpc.max_reconnect_backoff_ms", 500),
            ("grpc.service_config_disable_resolution", 1),
            # Channels of other targets in this process have options of their own.
            ("grpc.use_local_subchannel_pool", 1),
            # The server's own door is not behind a proxy.
            *([("grpc.enable_http_proxy", 0)] if place.ticket else []),
        ]
        make: Any = grpc.secure_channel if place.secure else grpc.insecure_channel
        credentials = [grpc.ssl_channel_credentials(authority)] if place.secure else []
        # Else a host named "unix", say, would be a scheme.
        self._channel = make(f"dns:///{place.address}", *credentials, options=settings)

    def describe(self, kind: type[Answer]) -> Answer:
        """What the plugin is, once it says that it is healthy; checked against the constraints of its proto.

        Raises
        ------
        PluginError
            It can't be reached, is no such plugin, or describes itself wrongly.
        """
        retries = self._options.retries if self._place.patient else min(_BRIEF, self._options.retries)
        if not self._place.ticket:
            self._insisting(self._healthy, retries)
        request = pb.DescribePluginRequest(plugin=self._options.plugin)
        found = self._insisting(lambda: self._call("Describe", request, kind), retries)
        self.check(found)
        wanted, version = self._options.version, self._version_of(found)
        if wanted and version != wanted:
            raise PluginError(f"{self.shown}: it is version {version[:200]!r}, the job asks for {wanted!r}")
        return found

    def ask(self, method: str, request: Any, kind: type[Answer], version: str) -> Answer:
        """One answer of the plugin as it was when it described itself.

        Raises
        ------
        PluginError
            It did not answer in time, or is another version now.
        """
        request.plugin, request.version = self._options.plugin, version
        found = self._insisting(lambda: self._call(method, request, kind), self._options.retries)
        if self._version_of(found) != version:
            raise PluginError(
                f"{self.shown}: it was version {version!r} when the job began and is {self._version_of(found)[:200]!r} now; results of two "
                "versions are not mixed: bring the old one back and resume the job, or submit it anew"
            )
        return found

    def check(self, message: Message) -> None:
        """Raise PluginError where a message breaks the constraints of its proto."""
        try:
            violations = protovalidate.collect_violations(message)
        except protovalidate.EvaluationError as error:
            raise PluginError(f"{self.shown}: an answer that can't be checked: {_short(str(error))}") from None
        if violations:
            first = violations[0].proto
            elements = first.field.elements if first.field is not None else ()
            path = ".".join([type(message).__name__, *(element.field_name for element in elements)])
            raise PluginError(f"{self.shown}: {path}: {_short(first.message)}")

    def _insisting(self, call: Callable[[], Answer], retries: int) -> Answer:
        """The answer of ``call``, tried again after growing pauses where the plugin is away, or asks for it."""
        for attempt in range(retries + 1):
            try:
                return call()
            except grpc.RpcError as error:
                code, details, asked = _told(error)
                again = code is grpc.StatusCode.UNAVAILABLE or (code is grpc.StatusCode.RESOURCE_EXHAUSTED and asked > 0)
                if not again or attempt == retries:
                    tried = f" (tried {attempt + 1} times)" if attempt else ""
                    raise PluginError(f"{self.shown}: {code.name}: {_short(details)}{tried}") from error
            time.sleep(max(min(_FIRST_PAUSE * 2.0 ** min(attempt, 10), _LONGEST_PAUSE), min(asked, _LONGEST_ASKED)))
        raise AssertionError("unreachable")

    def _healthy(self) -> health_pb2.HealthCheckResponse:
        health = health_pb2.HealthCheckResponse()
        method = self._channel.unary_unary("/grpc.health.v1.Health/Check", None, health.FromString)
        seconds = min(_HEALTH_SECONDS, self._options.deadline_seconds)
        try:
            found = method(b"", timeout=seconds, metadata=self._metadata)
        except grpc.RpcError as error:
            if _told(error)[0] is grpc.StatusCode.UNIMPLEMENTED:  # no such service: what it says of itself has to do
                return health
            raise
        if found.status != health_pb2.HealthCheckResponse.SERVING:
            raise _Unready()
        return found

    def _call(self, method: str, request: Message, kind: type[Answer]) -> Answer:
        call = self._channel.unary_unary(self._service + method, type(request).SerializeToString, None)
        data: bytes = call(request, timeout=self._options.deadline_seconds, metadata=self._metadata)
        try:
            return kind.FromString(data)
        except DecodeError:
            raise PluginError(f"{self.shown}: {method}: its answer of {len(data)} bytes is no {kind.__name__}") from None

    def _version_of(self, message: Any) -> str:
        return message.version


class _Unready(grpc.RpcError):
    """Health says NOT_SERVING."""


def rows_within(count: int, batch: int, most: int, most_bytes: int, row_bytes: int) -> list[int]:
    """How ``count`` rows are parted: no part has more than ``batch`` or ``most`` (0: any number), nor more bytes than a message takes.

    Raises
    ------
    ValueError
        Not even one row fits.
    """
    limit = min(most_bytes or DEFAULT_BYTES, MOST_BYTES)
    if row_bytes + ENVELOPE > limit:
        raise ValueError(f"one of them takes {row_bytes} bytes, a message holds {limit}")
    size = min(batch, most or batch, (limit - ENVELOPE) // max(1, row_bytes))
    return [min(size, count - start) for start in range(0, count, size)]


def _told(error: grpc.RpcError) -> tuple[grpc.StatusCode, str, float]:
    """Code, message, and the seconds after which the plugin asks to be called again (0: it says nothing)."""
    if not isinstance(error, grpc.Call):
        return grpc.StatusCode.UNAVAILABLE, _NOT_READY, 0.0
    asked = 0.0
    metadata: Any = error.trailing_metadata() or ()
    for key, value in metadata:
        if key != "grpc-status-details-bin" or not isinstance(value, bytes):
            continue
        try:
            for detail in status_pb2.Status.FromString(value).details:
                again = error_details_pb2.RetryInfo()
                if detail.Unpack(again):
                    asked = max(asked, again.retry_delay.seconds + again.retry_delay.nanos / 1e9)
        except DecodeError:
            continue
    return error.code() or grpc.StatusCode.UNKNOWN, error.details() or "", asked


def _short(text: str) -> str:
    shown = "".join(letter if letter.isprintable() else " " for letter in text[:500])
    return shown if len(text) <= 500 else shown + "…"


def _is_here(address: str) -> bool:
    host = address.rpartition(":")[0].strip("[]")
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
