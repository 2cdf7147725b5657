"""A session's client but for its calls: written once, as coroutines over a :class:`Link`, for the blocking client and for asyncio."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, TypeVar

import grpc
from numpy.typing import ArrayLike

from actmax.v1 import session_service_pb2 as pb

from ...wire.errors import ActmaxError
from ...wire.retry import BROKEN_OFF, Backoff, RetryPolicy, pause_after
from ...wire.status import from_rpc, status_of, text_of
from ...wire.transport import CHANNEL_OPTIONS, DEFAULT_ADDRESS, Credentials, Options
from .protocol import Generation, SessionProtocol

Result = TypeVar("Result")
# What grpc.aio makes of a write to a stream that has just ended; why it has is told again by the next one.
_UNSENT = "Internal error from Core"
# Another client's stream may be one that is dying, such as that of a script that was just killed.
_IN_USE_SECONDS = 5.0
TELL_SECONDS = 180.0
"""For a tell by a call of its own."""


PING_SECONDS, LEAST_PING_SECONDS = 10.0, 6.0
"""Between two pings of a quiet stream, by default and with little patience; a server takes more than one in five seconds for an attack."""
ANSWER_SECONDS = 5.0
"""Within which a ping is answered."""
_SILENT = "ping timeout"
"""How gRPC says that no ping was answered."""


@dataclass(frozen=True)
class Pings:
    """How soon a stream notices that its server is suspended or cut off, which closes no connection.

    Attributes
    ----------
    every : float
        Seconds between two pings.
    within : float
        Seconds in which one is answered.
    """

    every: float
    within: float

    @classmethod
    def of(cls, patience: float) -> Pings:
        """Return the pings by which a lost server is noticed before ``patience`` seconds are over, or in seven seconds."""
        return cls(min(max(patience / 2, LEAST_PING_SECONDS), PING_SECONDS), min(max(patience / 5, 1.0), ANSWER_SECONDS))

    @property
    def seconds(self) -> float:
        """Seconds for which a server was silent once that is noticed."""
        return self.every + self.within

    @property
    def options(self) -> Options:
        """Channel arguments of gRPC: pings without end, and connections that are given up as soon."""
        return (
            *CHANNEL_OPTIONS,
            ("grpc.keepalive_time_ms", round(1000 * self.every)),
            ("grpc.keepalive_timeout_ms", round(1000 * self.within)),
            ("grpc.http2.ping_timeout_ms", round(1000 * self.within)),
            ("grpc.http2.max_pings_without_data", 0),
            ("grpc.min_reconnect_backoff_ms", round(1000 * self.within)),
        )


class Link(Protocol):
    """One session's calls. The blocking client's never wait for a loop: they block."""

    def __init__(self, address: str, credentials: Credentials | None, options: Options) -> None: ...

    @property
    def opened(self) -> bool:
        """Whether a stream is open."""
        ...

    async def open(self, first: pb.RunSessionRequest) -> pb.RunSessionResponse | None:
        """Open a stream and return its first answer; None where it ended without one."""
        ...

    async def send(self, request: pb.RunSessionRequest) -> None:
        """Send a request on the open stream; where that fails the next :meth:`receive` says why."""
        ...

    async def receive(self) -> pb.RunSessionResponse | None:
        """Return the next answer; None at the stream's end."""
        ...

    async def tell(self, request: pb.TellRequest) -> pb.TellResponse:
        """Tell by a call of its own."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...

    def drop(self) -> None:
        """End the stream, if one is open."""
        ...

    async def close(self) -> None:
        """Close the channel."""
        ...


def blocking(work: Coroutine[Any, Any, Result]) -> Result:
    """Return the result of a coroutine that awaits nothing but what blocks."""
    try:
        work.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("it waits for an event loop")


class SessionCore:
    """What the clients of a session share; each says by which calls. Parameters as of :class:`Session`."""

    _links: ClassVar[type[Link]]

    def __init__(
        self,
        name: str,
        address: str = DEFAULT_ADDRESS,
        *,
        credentials: Credentials | None = None,
        patience: float = 300.0,
        take_over: bool = False,
        renew: bool = False,
    ) -> None:
        self.address = address
        self.credentials = credentials
        self._link = self._links(address, credentials, Pings.of(patience).options)
        self._protocol = SessionProtocol(name, take_over=take_over, renew=renew)
        self._patience = patience
        self._failures = Failures(address, patience, self._protocol)
        self.shown: Generation | None = None
        """The generation that was handed out last."""
        self.on_trouble: Callable[[str], None] = lambda _: None
        """Called with what is waited for, each time before the session is opened again."""

    @property
    def name(self) -> str:
        """As in ``sessions/...``."""
        return self._protocol.session

    @property
    def ended(self) -> bool:
        """Whether a stop rule was reached."""
        return self._protocol.ended

    @property
    def expires(self) -> float:
        """When the session expires without a word from the rig, in seconds since 1970, where the server has warned of that; else 0."""
        return self._protocol.warning

    async def _ask(self) -> Generation | None:
        await self._until(lambda: self._protocol.ended or self._protocol.to_show() is not None)
        self.shown = None if self._protocol.ended else self._protocol.to_show()
        return self.shown

    async def _tell(self, responses: ArrayLike, onsets: ArrayLike | None, offsets: ArrayLike | None) -> None:
        shown = self.shown or await self._ask()
        await self._say(self._protocol.telling(() if shown is None else shown.trials, responses, onsets, offsets))
        self.shown = None

    async def _tell_trial(self, trial: int, response: ArrayLike | None, onset: float | None, offset: float | None) -> None:
        await self._say(self._protocol.telling_one(trial, response, onset, offset))

    async def _tell_trials(self, trials: Sequence[int], responses: ArrayLike, onsets: ArrayLike | None, offsets: ArrayLike | None) -> None:
        await self._say(self._protocol.telling(trials, responses, onsets, offsets))

    async def _advance(self) -> None:
        await self._say(self._protocol.advancing())
        self.shown = None

    async def _change_objective(self, objective: Mapping[str, Any] | str | None, unit: str, thread: str) -> None:
        await self._say(self._protocol.changing(objective, unit, thread))

    async def _mark_bad(self, trial: int, bad: bool) -> None:
        await self._say(self._protocol.marking(trial, bad))

    async def _finish(self, at_once: bool) -> None:
        await self._say(self._protocol.finishing(at_once))
        if at_once:
            self.shown = None

    async def _restart_clock(self) -> None:
        await self._until(lambda: bool(self._protocol.described.name))
        await self._say(self._protocol.restarting_clock())

    async def _close(self) -> None:
        self._link.drop()
        await self._link.close()

    async def _say(self, request: pb.RunSessionRequest) -> None:
        """Send a request, and return once it is acknowledged."""
        waiting = self._protocol.unanswered
        waiting.append(request)
        if self._link.opened:
            await self._link.send(request)
        await self._until(lambda: self._protocol.ended or not any(each is request for each in waiting))
        while (late := self._protocol.said_late()) is not None:
            self._link.drop()
            await self._say_late(late)

    async def _say_late(self, request: pb.TellRequest) -> None:
        """Tell after the session's end, when no stream stays open."""
        backoff = Backoff(RetryPolicy(self._patience, most=1.0))
        # the stream that the session has ended may still be on its way out
        in_use = Backoff(RetryPolicy(_IN_USE_SECONDS, first=0.01, most=0.5))
        while True:
            try:
                answer = await self._link.tell(request)
            except grpc.RpcError as error:
                found = from_rpc(error, self.address)
                pause = in_use.next() if found.reason == "SESSION_IN_USE" else pause_after(error, backoff, BROKEN_OFF)
                if pause is None:
                    raise found from None
            else:
                self._protocol.late += answer.ack.late
                return
            await self._link.sleep(pause)

    async def _until(self, done: Callable[[], bool]) -> None:
        """Take answers in until ``done``, over as many connections as it takes."""
        while not done():
            opening = not self._link.opened
            failure: grpc.RpcError | None = None
            response: pb.RunSessionResponse | None = None
            try:
                response = await (self._open() if opening else self._link.receive())
            except grpc.RpcError as error:
                failure = error
            if response is not None:
                self._protocol.received(response)
                self._failures.reset(opened=opening)
                continue
            self._link.drop()
            if done():
                return
            pause = self._failures.pause(failure)
            self.on_trouble(from_rpc(failure, self.address).message if failure is not None else "the server has ended the stream")
            await self._link.sleep(pause)

    async def _open(self) -> pb.RunSessionResponse | None:
        """Open a stream, and say again what was not acknowledged."""
        response = await self._link.open(self._protocol.opening())
        if response is not None:
            for request in self._protocol.unanswered:
                await self._link.send(request)
        return response


class Failures:
    """Whether to try again after a failure, and when."""

    def __init__(self, address: str, patience: float, protocol: SessionProtocol) -> None:
        self._address = address
        self._protocol = protocol
        self._backoff = Backoff(RetryPolicy(patience, most=1.0))
        self._in_use = Backoff(RetryPolicy(_IN_USE_SECONDS, most=0.5))
        self._silence = Pings.of(patience).seconds
        self._plugin_away = False

    def reset(self, *, opened: bool = False) -> None:
        """Begin again: the server lives. That it has ``opened`` the session brings no plugin back, which is waited for no longer."""
        if not (opened and self._plugin_away):
            self._plugin_away = False
            self._backoff.reset()
        self._in_use.reset()

    def pause(self, failure: grpc.RpcError | None) -> float:
        """Return the seconds to wait before the next try; raise what can't be helped."""
        found, refused = None, False
        if failure is None:  # the stream ended in good order, before the session had
            pause = self._backoff.next()
        else:
            found = from_rpc(failure, self._address)
            if _SILENT in text_of(failure):  # by then it has been lost for a while
                self._backoff.start(self._silence)
            self._plugin_away = found.reason == "PLUGIN_AWAY"
            if found.message == _UNSENT:
                pause = self._backoff.next()
            elif found.reason == "SESSION_IN_USE":
                pause = self._in_use.next()
            else:
                pause = pause_after(failure, self._backoff, BROKEN_OFF)
                refused = status_of(failure) not in BROKEN_OFF and not found.retry_seconds
        if pause is None:
            if self._protocol.unanswered and refused:
                self._protocol.unanswered.popleft()  # what was refused is not said again
            lost = f"the server keeps ending the stream of {self._protocol.session}"
            raise found or ActmaxError(lost, code="UNAVAILABLE") from None
        return pause
