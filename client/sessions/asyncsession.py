"""A closed-loop session with asyncio."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Self

import grpc
from numpy.typing import ArrayLike

from actmax.v1 import session_pb2, session_service_pb2_grpc
from actmax.v1 import session_service_pb2 as pb

from ...wire.transport import DEFAULT_ADDRESS, Credentials, Options, open_async_channel
from .core import TELL_SECONDS, SessionCore
from .protocol import Generation
from .session import Session, Spec


class _Link:
    """The calls of the client for asyncio."""

    def __init__(self, address: str, credentials: Credentials | None, options: Options) -> None:
        self._channel, self._metadata = open_async_channel(address, credentials, options)
        self._stub: Any = session_service_pb2_grpc.SessionServiceStub(self._channel)  # type: ignore[arg-type]
        self._call: Any = None

    @property
    def opened(self) -> bool:
        return self._call is not None

    async def open(self, first: pb.RunSessionRequest) -> pb.RunSessionResponse | None:
        call = self._stub.RunSession(metadata=self._metadata)
        try:
            await _write(call, first)
            response = await _read(call)
        except BaseException:
            call.cancel()
            raise
        self._call = call
        return response

    async def send(self, request: pb.RunSessionRequest) -> None:
        await _write(self._call, request)

    async def receive(self) -> pb.RunSessionResponse | None:
        return await _read(self._call)

    async def tell(self, request: pb.TellRequest) -> pb.TellResponse:
        return await self._stub.Tell(request, timeout=TELL_SECONDS, metadata=self._metadata)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def drop(self) -> None:
        call, self._call = self._call, None
        if call is not None:
            call.cancel()

    async def close(self) -> None:
        await self._channel.close()


async def _write(call: Any, request: pb.RunSessionRequest) -> None:
    with contextlib.suppress(grpc.RpcError, asyncio.InvalidStateError):  # the next read tells why
        await call.write(request)


async def _read(call: Any) -> pb.RunSessionResponse | None:
    response = await call.read()
    return response if isinstance(response, pb.RunSessionResponse) else None


class AsyncSession(SessionCore):
    """:class:`Session` with asyncio: ``async with``, ``async for``, and each call awaited."""

    _links = _Link

    @classmethod
    async def create(cls, spec: Spec, address: str = DEFAULT_ADDRESS, *, request_id: str = "", **options: Any) -> Self:
        """See :meth:`Session.create`."""
        made = await asyncio.to_thread(Session.create, spec, address, request_id=request_id, **options)
        made.close()
        return cls(made.name, address, **options)

    @property
    def described(self) -> session_pb2.Session:
        """The session as it stood when the stream was last opened, or as it ended."""
        return self._protocol.described

    async def __aenter__(self) -> Self:
        """Return the session itself."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connection; the session stays on the server."""
        await self._close()

    async def __aiter__(self) -> AsyncIterator[Generation]:
        """See :meth:`Session.__iter__`."""
        while (generation := await self.ask()) is not None:
            yield generation

    async def ask(self) -> Generation | None:
        """See :meth:`Session.ask`."""
        return await self._ask()

    async def tell(self, responses: ArrayLike, *, onsets: ArrayLike | None = None, offsets: ArrayLike | None = None) -> None:
        """See :meth:`Session.tell`."""
        await self._tell(responses, onsets, offsets)

    async def tell_trial(self, trial: int, response: ArrayLike | None, *, onset: float | None = None, offset: float | None = None) -> None:
        """See :meth:`Session.tell_trial`."""
        await self._tell_trial(trial, response, onset, offset)

    async def tell_trials(
        self, trials: Sequence[int], responses: ArrayLike, *, onsets: ArrayLike | None = None, offsets: ArrayLike | None = None
    ) -> None:
        """See :meth:`Session.tell_trials`."""
        await self._tell_trials(trials, responses, onsets, offsets)

    async def advance(self) -> None:
        """See :meth:`Session.advance`."""
        await self._advance()

    async def mark_bad(self, trial: int, *, bad: bool = True) -> None:
        """See :meth:`Session.mark_bad`."""
        await self._mark_bad(trial, bad)

    async def finish(self, *, at_once: bool = False) -> None:
        """See :meth:`Session.finish`."""
        await self._finish(at_once)

    async def restart_clock(self) -> None:
        """See :meth:`Session.restart_clock`."""
        await self._restart_clock()

    async def change_objective(self, objective: Mapping[str, Any] | str | None = None, unit: str = "", *, thread: str = "") -> None:
        """See :meth:`Session.change_objective`."""
        await self._change_objective(objective, unit, thread)
