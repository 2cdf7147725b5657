"""Calls of one plugin: over a channel with deadlines, and repeated as long as that can help."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message
from grpc_health.v1 import health_pb2

from actmax.v1 import plugin_service_pb2 as pb

from ...wire.addresses import is_loopback
from ...wire.retry import Backoff, RetryPolicy
from ...wire.rules import Unchecked, violations
from ...wire.status import details_of, status_of, text_of
from ...wire.transport import ENVELOPE_BYTES, PLUGIN_BYTES, TICKET, UNSTATED_BYTES, channel_to
from .options import PluginOptions, token_for

Answer = TypeVar("Answer", bound=Message)

_FIRST_PAUSE, _LONGEST_PAUSE, _LONGEST_ASKED = 0.1, 1.0, 60.0
_BRIEF = 4
"""Most repetitions while a person waits for the check of a job."""
_HEALTH_SECONDS = 10.0
_NOT_READY = "it says that it is not serving"


class PluginError(ConnectionError):
    """A plugin did not answer, or answered wrongly; the message has its name and address. No answer is ever made up.

    Attributes
    ----------
    away : bool
        Whether the plugin is unreachable or busy, so that the same call may succeed later.
    retry_seconds : float
        Seconds after which it asks for the next call; 0 where it names none.
    """

    def __init__(self, message: str, *, away: bool = False, retry_seconds: float = 0.0, reason: str = "") -> None:
        super().__init__(message)
        self.away = away
        self.retry_seconds = retry_seconds
        self.reason = reason


class PluginConnection:
    """A connection to one service of a plugin.

    Parameters
    ----------
    options : PluginOptions
        Address, deadline and retries.
    service : str
        "TargetService", "GeneratorService" or "AnalysisService".
    brief : bool
        Whether calls fail soon while the plugin is away. A session sets it: its rig waits, and the session calls again.

    Raises
    ------
    PluginError
        A file that the options name can't be used.
    """

    def __init__(self, options: PluginOptions, service: str, *, brief: bool = False) -> None:
        self.until = math.inf
        """Time by ``time.monotonic`` at which all waiting ends."""
        self._closed = False
        self._brief = brief
        self._away: tuple[float, PluginError] | None = None
        self._retries = min(_BRIEF, options.retries) if brief else options.retries
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
        if token and not place.secure and not is_loopback(place.address):
            raise PluginError(f"{self.shown}: its token is sent to another machine only by TLS: grpcs://{place.address}")
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ((TICKET, place.ticket),) if place.ticket else ()
        settings: list[tuple[str, Any]] = [
            ("grpc.max_receive_message_length", PLUGIN_BYTES),
            ("grpc.max_send_message_length", -1),
            ("grpc.enable_retries", 0),
            # Reconnect soon after a plugin's return.
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.min_reconnect_backoff_ms", 1000),
            ("grpc.max_reconnect_backoff_ms", 500),
            ("grpc.service_config_disable_resolution", 1),
            # Channels of other targets in this process have other options.
            ("grpc.use_local_subchannel_pool", 1),
            # The server's own relay is not behind a proxy.
            *([("grpc.enable_http_proxy", 0)] if place.ticket else []),
        ]
        tls = grpc.ssl_channel_credentials(authority) if place.secure else None
        # Without the scheme, a host named "unix" would be taken for one.
        self._channel: grpc.Channel = channel_to(f"dns:///{place.address}", tls, settings)

    def close(self) -> None:
        """Close the channel, from any thread; calls in progress fail at once."""
        self._closed = True
        self._channel.close()

    def describe(self, kind: type[Answer]) -> Answer:
        """Return the plugin's description, once it is healthy, checked against the constraints of its proto.

        Parameters
        ----------
        kind : type of Message
            Class of the description.

        Raises
        ------
        PluginError
            The plugin can't be reached, has no such service or another version, or its description is invalid.
        """
        retries = self._retries if self._place.patient else min(_BRIEF, self._retries)
        if not self._place.ticket:
            self._retrying(self._healthy, retries)
        request = pb.DescribePluginRequest(plugin=self._options.plugin)
        found = self._retrying(lambda: self._call("Describe", request, kind), retries)
        self.check(found)
        wanted, version = self._options.version, self._version_of(found)
        if wanted and version != wanted:
            raise PluginError(f"{self.shown}: it is version {version[:200]!r}, the {self._asker} asks for {wanted!r}")
        return found

    def ask(self, method: str, request: Any, kind: type[Answer], version: str) -> Answer:
        """Return the plugin's answer to a call.

        Parameters
        ----------
        method : str
            Name of the method.
        request : Message
            The request; ``plugin`` and ``version`` are filled in.
        kind : type of Message
            Class of the answer.
        version : str
            The version of the plugin's description.

        Raises
        ------
        PluginError
            The plugin did not answer in time, or has another version by now.
        """
        request.plugin, request.version = self._options.plugin, version
        found = self._retrying(lambda: self._call(method, request, kind), self._retries)
        if self._version_of(found) != version:
            further = "open the session again, or begin another" if self._brief else "resume the job, or submit it anew"
            raise PluginError(
                f"{self.shown}: it was version {version!r} when the {self._asker} began and is {self._version_of(found)[:200]!r} now; "
                f"results of two versions are not mixed: bring the old one back and {further}"
            )
        return found

    def check(self, message: Message) -> None:
        """Raise PluginError where a message breaks the constraints of its proto."""
        try:
            found = violations(message)
        except Unchecked as error:
            raise PluginError(f"{self.shown}: an answer that can't be checked: {_short(str(error))}") from None
        if found:
            field, text = found[0]
            raise PluginError(f"{self.shown}: {'.'.join(filter(None, (type(message).__name__, field)))}: {_short(text)}")

    def _retrying(self, call: Callable[[], Answer], retries: int) -> Answer:
        """Return the answer of ``call``, repeated after growing pauses while the plugin is away or asks for it."""
        if self._brief and self._away is not None and time.monotonic() < self._away[0]:
            raise PluginError(str(self._away[1]), away=True, retry_seconds=self._away[1].retry_seconds)
        backoff = Backoff(RetryPolicy(tries=retries, first=_FIRST_PAUSE, most=_LONGEST_PAUSE, jitter=0))
        while True:
            if self._closed:
                raise self._closed_error()
            try:
                return call()
            except grpc.RpcError as error:
                if self._closed:
                    raise self._closed_error() from None
                pause = self._pause(error, backoff)
            except ValueError:  # gRPC raises it for a closed channel
                if self._closed:
                    raise self._closed_error() from None
                raise
            time.sleep(pause)

    def _pause(self, error: grpc.RpcError, backoff: Backoff) -> float:
        """Return the seconds to wait before a failed call is repeated; raise PluginError where it may not be."""
        code, details, asked = _failure(error)
        again = code is grpc.StatusCode.UNAVAILABLE or (code is grpc.StatusCode.RESOURCE_EXHAUSTED and asked > 0)
        tried, longest = backoff.tries, min(asked, _LONGEST_ASKED)
        pause = backoff.next(longest) if again and not (self._brief and asked > _LONGEST_PAUSE) else None
        if pause is not None:
            return pause
        what = f"{self.shown}: {code.name}: {_short(details)}" + (f" (tried {tried + 1} times)" if tried else "")
        reason = details_of(error).reason if isinstance(error, grpc.Call) else ""
        found = PluginError(what, away=again, retry_seconds=longest, reason=reason)
        # following calls, such as those of other threads of a session, fail at once for a while
        self._away = (time.monotonic() + _LONGEST_PAUSE, found) if again else None
        raise found from error

    def _closed_error(self) -> PluginError:
        return PluginError(f"{self.shown}: its connection was closed", away=True)

    @property
    def _asker(self) -> str:
        return "session" if self._brief else "job"

    def _seconds(self, most: float) -> float:
        return min(most, max(0.0, self.until - time.monotonic()))

    def _healthy(self) -> health_pb2.HealthCheckResponse:
        health = health_pb2.HealthCheckResponse()
        method = self._channel.unary_unary("/grpc.health.v1.Health/Check", None, health.FromString)
        seconds = self._seconds(min(_HEALTH_SECONDS, self._options.deadline_seconds))
        try:
            found = method(b"", timeout=seconds, metadata=self._metadata)
        except grpc.RpcError as error:
            if _failure(error)[0] is grpc.StatusCode.UNIMPLEMENTED:  # no health service: its description has to suffice
                return health
            raise
        if found.status != health_pb2.HealthCheckResponse.SERVING:
            raise _Unready()
        return found

    def _call(self, method: str, request: Message, kind: type[Answer]) -> Answer:
        call = self._channel.unary_unary(self._service + method, type(request).SerializeToString, None)
        data: bytes = call(request, timeout=self._seconds(self._options.deadline_seconds), metadata=self._metadata)
        try:
            return kind.FromString(data)
        except DecodeError:
            raise PluginError(f"{self.shown}: {method}: its answer of {len(data)} bytes is no {kind.__name__}") from None

    def _version_of(self, message: Any) -> str:
        return message.version


class _Unready(grpc.RpcError):
    """The plugin's health is NOT_SERVING."""


def rows_within(count: int, batch: int, most: int, most_bytes: int, row_bytes: int) -> list[int]:
    """Return the sizes of the parts in which rows are sent.

    Parameters
    ----------
    count : int
        Number of rows.
    batch : int
        Most rows of a part.
    most : int
        The plugin's most rows of a part; 0: any number.
    most_bytes : int
        The plugin's most bytes of a message; 0: unstated.
    row_bytes : int
        Bytes of a row.

    Raises
    ------
    ValueError
        A single row exceeds the limit.
    """
    limit = min(most_bytes or UNSTATED_BYTES, PLUGIN_BYTES)
    if row_bytes + ENVELOPE_BYTES > limit:
        raise ValueError(f"one of them takes {row_bytes} bytes, a message holds {limit}")
    size = min(batch, most or batch, (limit - ENVELOPE_BYTES) // max(1, row_bytes))
    return [min(size, count - start) for start in range(0, count, size)]


def _failure(error: grpc.RpcError) -> tuple[grpc.StatusCode, str, float]:
    """Return code, message, and the seconds after which the plugin asks for the next call (0 where it names none)."""
    if not isinstance(error, grpc.Call):
        return grpc.StatusCode.UNAVAILABLE, _NOT_READY, 0.0
    return status_of(error), text_of(error), details_of(error).retry_seconds


def _short(text: str) -> str:
    shown = "".join(letter if letter.isprintable() else " " for letter in text[:500])
    return shown if len(text) <= 500 else shown + "…"
