"""A closed-loop session with asyncio."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Self

import grpc
import grpc.aio
from numpy.typing import ArrayLike

from actmax.v1 import session_pb2, session_service_pb2_grpc
from actmax.v1 import session_service_pb2 as pb

from ..jobs.client import DEFAULT_ADDRESS
from ..transport import Credentials
from .conversation import Generation
from .core import TELL_SECONDS, SessionCore, aio_channel
from .session import Session, Spec


class AsyncSession(SessionCore):
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
        super().__init__(name, address, credentials=credentials, patience=patience, take_over=take_over, renew=renew)
        self._channel = aio_channel(address, credentials)
        self._stub: Any = session_service_pb2_grpc.SessionServiceStub(self._channel)  # type: ignore[arg-type]
        self._call: Any = None

    @classmethod
    async def create(cls, spec: Spec, address: str = DEFAULT_ADDRESS, *, request_id: str = "", **options: Any) -> Self:
        """See :meth:`Session.create`."""
        made = await asyncio.to_thread(Session.create, spec, address, request_id=request_id, **options)
        made.close()
        return cls(made.name, address, **options)

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
        await self._until(self._can_show)
        return self._hand_out()

    async def tell(self, responses: ArrayLike, *, onsets: ArrayLike | None = None, offsets: ArrayLike | None = None) -> None:
        """See :meth:`Session.tell`."""
        shown = self.shown or await self.ask()
        await self._say(self._talk.telling(() if shown is None else shown.trials, responses, onsets, offsets))
        self.shown = None

    async def tell_trial(self, trial: int, response: ArrayLike | None, *, onset: float | None = None, offset: float | None = None) -> None:
        """See :meth:`Session.tell_trial`."""
        await self._say(self._talk.telling_one(trial, response, onset, offset))

    async def tell_trials(
        self, trials: Sequence[int], responses: ArrayLike, *, onsets: ArrayLike | None = None, offsets: ArrayLike | None = None
    ) -> None:
        """See :meth:`Session.tell_trials`."""
        await self._say(self._talk.telling(trials, responses, onsets, offsets))

    async def advance(self) -> None:
        """See :meth:`Session.advance`."""
        await self._say(self._talk.advancing())
        self.shown = None

    async def change_objective(self, objective: Mapping[str, Any] | str | None = None, unit: str = "", *, thread: str = "") -> None:
        """See :meth:`Session.change_objective`."""
        await self._say(self._talk.changing(objective, unit, thread))

    async def _say(self, request: pb.RunSessionRequest) -> None:
        self._talk.unanswered.append(request)
        if self._call is not None:
            with contextlib.suppress(grpc.RpcError, asyncio.InvalidStateError):  # the next read tells why
                await self._call.write(request)
        await self._until(lambda: self._talk.ended or not any(waiting is request for waiting in self._talk.unanswered))
        while (late := self._talk.said_late()) is not None:
            self._drop()
            await self._say_late(late)

    async def _say_late(self, request: pb.TellRequest) -> None:
        pauses = self._late_pauses()
        while True:
            try:
                answer: pb.TellResponse = await self._stub.Tell(request, timeout=TELL_SECONDS, metadata=self._metadata)
            except grpc.RpcError as error:
                await asyncio.sleep(self._again(error, *pauses))
                continue
            self._talk.late += answer.ack.late
            return

    async def _until(self, done: Callable[[], bool]) -> None:
        while not done():
            failure: grpc.RpcError | None = None
            try:
                opening = self._call is None
                if self._call is None:
                    await self._connect()
                else:
                    await self._receive(self._call)
                self._failures.reset(opened=opening)
                continue
            except grpc.RpcError as error:
                failure = error
            except EOFError:
                pass
            self._drop()
            if done():
                return
            await asyncio.sleep(self._pause(failure))

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
