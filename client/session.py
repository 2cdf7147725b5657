"""A closed-loop session, for a rig's own script: blocking, and with asyncio."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any, Self

import grpc
import grpc.aio
from numpy.typing import ArrayLike

from actmax.v1 import session_pb2, session_service_pb2_grpc
from actmax.v1 import session_service_pb2 as pb

from . import sessionspec
from .client import CHANNEL_OPTIONS, DEFAULT_ADDRESS
from .conversation import Conversation, Generation
from .errors import ActmaxError, from_rpc, status_of
from .retry import Patience, Pauses, pause_after
from .transport import SECURE, Credentials, open_channel, tls

Spec = session_pb2.SessionSpec | Mapping[str, Any]
_AGAIN = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.DEADLINE_EXCEEDED})
# What grpc.aio makes of a write to a stream that has just ended; why it has is told again by the next one.
_UNSENT = "Internal error from Core"
# A peer that vanished without a word is noticed by pings.
_OPTIONS = (*CHANNEL_OPTIONS, ("grpc.keepalive_time_ms", 10_000), ("grpc.keepalive_timeout_ms", 5_000))
# Another client's stream may be one that is dying, such as that of a script that was just killed.
_IN_USE_SECONDS = 5.0
_CHECK_SECONDS = 180.0

Metadata = list[tuple[str, str | bytes]]


class _Failures:
    """Whether to try again after a failure, and when."""

    def __init__(self, address: str, patience: float, talk: Conversation) -> None:
        self._address = address
        self._talk = talk
        self._pauses = Pauses(Patience(patience, most=1.0))
        self._in_use = Pauses(Patience(_IN_USE_SECONDS, most=0.5))

    def reset(self) -> None:
        self._pauses.reset()
        self._in_use.reset()

    def pause(self, error: grpc.RpcError | None) -> float:
        """Seconds to wait before the next try; raises what can't be helped."""
        if error is None:  # the stream ended in good order, before the session had
            error_, pause, refused = None, self._pauses.next(), False
        else:
            error_ = from_rpc(error, self._address)
            if error_.message == _UNSENT:
                pause, refused = self._pauses.next(), False
            elif error_.reason == "SESSION_IN_USE":
                pause, refused = self._in_use.next(), False
            else:
                pause = pause_after(error, self._pauses, _AGAIN)
                refused = status_of(error) not in _AGAIN and not error_.retry_seconds
        if pause is None:
            if self._talk.unanswered and refused:
                self._talk.unanswered.popleft()  # what was refused is not said again
            raise error_ or ActmaxError(f"the server keeps ending the stream of {self._talk.session}", code="UNAVAILABLE") from None
        return pause


class _Stream:
    """One open ``RunSession`` of the blocking client."""

    def __init__(self, stub: session_service_pb2_grpc.SessionServiceStub, metadata: Metadata) -> None:
        self._requests: queue.SimpleQueue[pb.RunSessionRequest | None] = queue.SimpleQueue()
        self.call = stub.RunSession(iter(self._requests.get, None), metadata=metadata)

    def send(self, request: pb.RunSessionRequest) -> None:
        self._requests.put(request)

    def close(self) -> None:
        self._requests.put(None)
        self.call.cancel()


class Session:
    """An experiment: iterate over generations, show them, tell the responses.

    ::

        with Session.create({"generator": "cifar10-sngan", "units": ["ch7"], "stop": {"evaluations": 1000}}) as session:
            for generation in session:
                session.tell(rig(generation.stimuli))
            print(session.described.recommendation.response)

    Whatever was told is on the server's disk when :meth:`tell` returns. When the connection is lost it is opened again, with the same
    trials, for ``patience`` seconds. After a crash of this process, ``Session(name)`` goes on with the trials that were not told.

    Parameters
    ----------
    name : str
        The session's, as in ``sessions/...``.
    address : str
        ``host:port`` of the server.
    credentials : Credentials, optional
        A token, and files for TLS; those of the environment by default.
    patience : float
        Seconds for which a lost server is waited for.
    take_over : bool
        End the stream of another client that runs the session.
    renew : bool
        Go on with a session that has expired.
    """

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
        self._talk = Conversation(name, take_over=take_over, renew=renew)
        self._failures = _Failures(address, patience, self._talk)
        self._metadata = bearer(credentials)
        self._channel = channel(address, credentials)
        self._stub = session_service_pb2_grpc.SessionServiceStub(self._channel)
        self._stream: _Stream | None = None
        self.shown: Generation | None = None
        """The generation that was handed out last."""

    @classmethod
    def create(cls, spec: Spec, address: str = DEFAULT_ADDRESS, *, request_id: str = "", **options: Any) -> Self:
        """A new session; ``options`` as of the class.

        Parameters
        ----------
        spec : SessionSpec or mapping
            The session; see :func:`actmax.client.sessionspec.from_plain` for the mapping.
        address : str
            ``host:port`` of the server.
        request_id : str
            A UUID; a repeat with the same one returns the first call's session. A fresh one by default.

        Raises
        ------
        InvalidInput
            If the session is wrong; ``violations`` names its fields.
        """
        message = spec if isinstance(spec, session_pb2.SessionSpec) else sessionspec.from_plain(spec)
        request = pb.CreateSessionRequest(spec=message, request_id=request_id or str(uuid.uuid4()))
        with channel(address, options.get("credentials")) as opened:
            stub = session_service_pb2_grpc.SessionServiceStub(opened)
            made: session_pb2.Session = patiently(lambda: stub.CreateSession(request, timeout=_CHECK_SECONDS), address)
        return cls(made.name, address, **options)

    @property
    def name(self) -> str:
        """As in ``sessions/...``."""
        return self._talk.session

    @property
    def described(self) -> session_pb2.Session:
        """The session as it was when the stream was last opened, or as it ended."""
        if not self._talk.described.name:
            self._until(lambda: bool(self._talk.described.name))
        return self._talk.described

    @property
    def ended(self) -> bool:
        """Whether a stop rule was reached."""
        return self._talk.ended

    @property
    def expires(self) -> float:
        """When the session expires without a word from the rig, in seconds since 1970, where the server has warned of that; else 0."""
        return self._talk.warning

    def __enter__(self) -> Self:
        """The session itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let go of the connection; the session stays on the server."""
        self.close()

    def close(self) -> None:
        """Let go of the connection; the session stays on the server."""
        self._drop()
        self._channel.close()

    def __iter__(self) -> Iterator[Generation]:
        """Generations, until the session has ended; trials that are left untold come again."""
        while (generation := self.ask()) is not None:
            yield generation

    def ask(self) -> Generation | None:
        """The trials to show now, as soon as they are known; None once the session has ended."""
        self._until(lambda: self._talk.ended or self._talk.to_show() is not None)
        self.shown = None if self._talk.ended else self._talk.to_show()
        return self.shown

    def tell(self, responses: ArrayLike, *, onsets: ArrayLike | None = None, offsets: ArrayLike | None = None) -> None:
        """Responses to the generation that was handed out last, on the server's disk when this returns.

        Parameters
        ----------
        responses : array_like
            (n,), or (n, units) in the order of the session's units; NaN where a trial was missed.
        onsets, offsets : array_like, optional
            (n,) seconds on the rig's clock.

        Raises
        ------
        InvalidInput
            A response is refused; nothing of this call was kept.
        WrongState
            A trial was told before, and differently; or another client has the session now.
        """
        shown = self.shown or self.ask()
        trials = () if shown is None else shown.trials
        self._say(self._talk.telling(trials, responses, onsets, offsets))
        self.shown = None

    def tell_trial(self, trial: int, response: ArrayLike | None, *, onset: float | None = None, offset: float | None = None) -> None:
        """The response to one trial, a number or one a unit; None where it was missed. See :meth:`tell`."""
        row = [[float("nan")]] if response is None else [[response] if _single(response) else response]
        clock = [None if time_ is None else [time_] for time_ in (onset, offset)]
        self._say(self._talk.telling([trial], row, *clock))  # type: ignore[arg-type]

    def advance(self) -> None:
        """End the present generation: what is untold was missed."""
        self._say(self._talk.advancing())
        self.shown = None

    def change_objective(self, objective: Mapping[str, Any] | str | None = None, unit: str = "") -> None:
        """From the next generation on, seek something else; see ``ChangeObjective``."""
        self._say(pb.RunSessionRequest(change_objective=_change(objective, unit)))

    def _say(self, request: pb.RunSessionRequest) -> None:
        self._talk.unanswered.append(request)
        if self._stream is not None:
            self._stream.send(request)
        self._until(lambda: not any(waiting is request for waiting in self._talk.unanswered))

    def _until(self, done: Callable[[], bool]) -> None:
        """Take answers in until ``done``, over as many connections as it takes."""
        while not done():
            failure: grpc.RpcError | None = None
            try:
                if self._stream is None:
                    self._connect()
                else:
                    self._talk.received(next(self._stream.call))
                self._failures.reset()
                continue
            except grpc.RpcError as error:
                failure = error
            except StopIteration:
                pass
            self._drop()
            if done():
                return
            time.sleep(self._failures.pause(failure))

    def _connect(self) -> None:
        stream = _Stream(self._stub, self._metadata)
        stream.send(self._talk.opening())
        try:
            self._talk.received(next(stream.call))
        except BaseException:
            stream.close()
            raise
        self._stream = stream
        for request in self._talk.unanswered:
            stream.send(request)

    def _drop(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()


class AsyncSession:
    """:class:`Session` with asyncio: ``async with``, ``async for``, and each call awaited."""

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
        self._talk = Conversation(name, take_over=take_over, renew=renew)
        self._failures = _Failures(address, patience, self._talk)
        self._metadata = bearer(credentials)
        self._channel = _aio_channel(address, credentials)
        self._stub: Any = session_service_pb2_grpc.SessionServiceStub(self._channel)  # type: ignore[arg-type]
        self._call: Any = None
        self.shown: Generation | None = None
        """The generation that was handed out last."""

    @classmethod
    async def create(cls, spec: Spec, address: str = DEFAULT_ADDRESS, *, request_id: str = "", **options: Any) -> Self:
        """See :meth:`Session.create`."""
        made = await asyncio.to_thread(Session.create, spec, address, request_id=request_id, **options)
        made.close()
        return cls(made.name, address, **options)

    @property
    def name(self) -> str:
        """As in ``sessions/...``."""
        return self._talk.session

    @property
    def described(self) -> session_pb2.Session:
        """The session as it was when the stream was last opened, or as it ended."""
        return self._talk.described

    async def __aenter__(self) -> Self:
        """The session itself."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Let go of the connection; the session stays on the server."""
        self._drop()
        await self._channel.close()

    async def __aiter__(self) -> AsyncIterator[Generation]:
        """See :meth:`Session.__iter__`."""
        while (generation := await self.ask()) is not None:
            yield generation

    async def ask(self) -> Generation | None:
        """See :meth:`Session.ask`."""
        await self._until(lambda: self._talk.ended or self._talk.to_show() is not None)
        self.shown = None if self._talk.ended else self._talk.to_show()
        return self.shown

    async def tell(self, responses: ArrayLike, *, onsets: ArrayLike | None = None, offsets: ArrayLike | None = None) -> None:
        """See :meth:`Session.tell`."""
        shown = self.shown or await self.ask()
        await self._say(self._talk.telling(() if shown is None else shown.trials, responses, onsets, offsets))
        self.shown = None

    async def tell_trial(self, trial: int, response: ArrayLike | None, *, onset: float | None = None, offset: float | None = None) -> None:
        """See :meth:`Session.tell_trial`."""
        row = [[float("nan")]] if response is None else [[response] if _single(response) else response]
        clock = [None if time_ is None else [time_] for time_ in (onset, offset)]
        await self._say(self._talk.telling([trial], row, *clock))  # type: ignore[arg-type]

    async def advance(self) -> None:
        """See :meth:`Session.advance`."""
        await self._say(self._talk.advancing())
        self.shown = None

    async def change_objective(self, objective: Mapping[str, Any] | str | None = None, unit: str = "") -> None:
        """See :meth:`Session.change_objective`."""
        await self._say(pb.RunSessionRequest(change_objective=_change(objective, unit)))

    async def _say(self, request: pb.RunSessionRequest) -> None:
        self._talk.unanswered.append(request)
        if self._call is not None:
            with contextlib.suppress(grpc.RpcError, asyncio.InvalidStateError):  # the next read tells why
                await self._call.write(request)
        await self._until(lambda: not any(waiting is request for waiting in self._talk.unanswered))

    async def _until(self, done: Callable[[], bool]) -> None:
        while not done():
            failure: grpc.RpcError | None = None
            try:
                if self._call is None:
                    await self._connect()
                else:
                    await self._receive(self._call)
                self._failures.reset()
                continue
            except grpc.RpcError as error:
                failure = error
            except EOFError:
                pass
            self._drop()
            if done():
                return
            await asyncio.sleep(self._failures.pause(failure))

    async def _connect(self) -> None:
        call = self._stub.RunSession(metadata=self._metadata)
        try:
            await call.write(self._talk.opening())
            await self._receive(call)
            for request in self._talk.unanswered:
                await call.write(request)
        except asyncio.InvalidStateError:  # it ended while it was written to
            raise EOFError from None
        except BaseException:
            call.cancel()
            raise
        self._call = call

    async def _receive(self, call: Any) -> None:
        response = await call.read()
        if not isinstance(response, pb.RunSessionResponse):  # the end of the stream
            raise EOFError
        self._talk.received(response)

    def _drop(self) -> None:
        call, self._call = self._call, None
        if call is not None:
            call.cancel()


def patiently(call: Callable[[], Any], address: str, seconds: float = 5.0) -> Any:
    """A call that may be repeated, again while the server is not there.

    Raises
    ------
    ActmaxError
        It can't be helped.
    """
    pauses = Pauses(Patience(seconds))
    while True:
        try:
            return call()
        except grpc.RpcError as error:
            pause = pause_after(error, pauses)
            if pause is None:
                raise from_rpc(error, address) from None
        time.sleep(pause)


def channel(address: str, credentials: Credentials | None) -> grpc.Channel:
    """To the server of a session; its calls of one request carry the token."""
    return open_channel(address, Credentials.from_environment() if credentials is None else credentials, _OPTIONS)


def bearer(credentials: Credentials | None) -> Metadata:
    """What streams of requests carry."""
    token = (Credentials.from_environment() if credentials is None else credentials).token
    return [("authorization", f"Bearer {token}")] if token else []


def _aio_channel(address: str, credentials: Credentials | None) -> grpc.aio.Channel:
    found = Credentials.from_environment() if credentials is None else credentials
    open_channel(address, found, _OPTIONS).close()  # refuses what must not be
    host = address.removeprefix(SECURE)
    if address.startswith(SECURE) or found.authority or found.certificate:
        return grpc.aio.secure_channel(host, tls(found), options=_OPTIONS)
    return grpc.aio.insecure_channel(host, options=_OPTIONS)


def _single(response: ArrayLike) -> bool:
    return not hasattr(response, "__len__")


def _change(objective: Mapping[str, Any] | str | None, unit: str) -> pb.ChangeObjective:
    change = pb.ChangeObjective(unit=unit)
    if objective is not None:
        named: dict[str, Any] = {"name": objective} if isinstance(objective, str) else dict(objective)
        change.objective.name = named["name"]
        change.objective.options.update(dict(named.get("options", {})))
    return change
