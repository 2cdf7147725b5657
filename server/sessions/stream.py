"""One stream of a rig: what it says is taken in order, what it must hear is told when it is due."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence

import grpc

from actmax.v1 import session_pb2
from actmax.v1 import session_service_pb2 as pb

from ..errors import ServiceError, invalid, stopping
from ..messages.jobs import timestamp
from .active_session import ActiveSession, Step, StreamClaim
from .refusals import PLUGIN_AWAY, expired, require_open

_WARNINGS = (0.8, 0.95)
"""Shares of a session's patience after which it warns."""


class RigStream:
    """A stream that has opened a session.

    Parameters
    ----------
    live : ActiveSession
        The session.
    claim : StreamClaim
        The stream's claim on it.
    described : callable
        The session as it stands.
    stopping : callable
        Whether the server stops.
    """

    def __init__(
        self, live: ActiveSession, claim: StreamClaim, described: Callable[[], Awaitable[session_pb2.Session]], stopping: Callable[[], bool]
    ) -> None:
        self._live, self._claim = live, claim
        self._described, self._stopping = described, stopping

    async def responses(self, requests: AsyncIterator[pb.RunSessionRequest], *, renew: bool) -> AsyncGenerator[pb.RunSessionResponse, None]:
        """All that it is told, to its end; ``renew`` goes on with a session that has expired."""
        live = self._live
        reader = asyncio.ensure_future(_read_into(self._claim, requests))
        try:
            if renew:
                await live.change(lambda kept: kept.renew() if time.time_ns() // 1000 > kept.expire_time else None)
            require_open(live.name, live.kept)
            described = await self._described()
            yield pb.RunSessionResponse(opened=pb.Opened(last_sequence=described.last_sequence, session=described))
            async with contextlib.aclosing(self._conversation()) as responses:
                async for response in responses:
                    yield response
        finally:
            reader.cancel()

    async def _conversation(self) -> AsyncGenerator[pb.RunSessionResponse, None]:
        live, claim = self._live, self._claim
        sent = 0  # the generation that this stream was sent
        warned = 0
        pending: list[pb.RunSessionRequest | ServiceError] = []
        ended = False
        trouble: ServiceError | None = None  # the plugin that makes the stimuli is away; responses to known ones are taken meanwhile
        again = 0.0
        while True:
            if self._stopping():
                raise stopping()
            live.require_claim(claim)
            asked = None
            if not live.has_asked(sent) and not (trouble is not None and live.waits and time.monotonic() < again):
                try:
                    asked, trouble = await live.ask(), None
                except ServiceError as error:
                    if error.reason != PLUGIN_AWAY:
                        raise
                    trouble, again = error, time.monotonic() + error.retry_seconds
            if live.kept.session.stopped_by:
                pending += self._heard()[0]  # late responses that came with the last ones
                if not pending:
                    yield pb.RunSessionResponse(ended=await self._described())
                    return
            if asked is not None and asked.ask.generation != sent:
                sent = asked.ask.generation
                yield asked
            if not pending:
                if ended:
                    return
                deadline, why = _deadline(live, warned, None if trouble is None else again)
                try:
                    async with asyncio.timeout(deadline):
                        item = await claim.inbox.get()
                except TimeoutError:
                    if trouble is not None and why == "plugin":
                        raise trouble from None
                    if why == "generation":
                        await overdue(live, claim)
                    elif why == "warning":
                        warned += 1
                        warning = pb.ExpiryWarning(expire_time=timestamp(live.kept.expire_time))
                        yield pb.RunSessionResponse(warning=warning)
                    else:
                        raise expired(live.name) from None
                    continue
                heard, over = self._heard(item)
                pending, ended = pending + heard, ended or over
                if live.kept.closed:
                    raise ServiceError(grpc.StatusCode.FAILED_PRECONDITION, f"{live.name} is closed", reason="SESSION_CLOSED")
                if not pending:
                    continue
            warned = 0
            steps, error = _steps(pending)
            acks, used, refused = await live.apply(claim, steps) if steps else ([], 0, None)
            pending = pending[used:]
            for ack in acks:
                yield pb.RunSessionResponse(ack=ack)
            if refused is not None or (error is not None and used == len(steps)):
                raise refused or error or AssertionError

    def _heard(self, *items: object) -> tuple[list[pb.RunSessionRequest | ServiceError], bool]:
        """What the rig has said, in ``items`` and meanwhile, to be written together; and whether it has ended the stream."""
        inbox = self._claim.inbox
        found: list[pb.RunSessionRequest | ServiceError] = []
        ended = False
        waiting = list(items)
        while not inbox.empty():
            waiting.append(inbox.get_nowait())
        for each in waiting:
            if isinstance(each, (pb.RunSessionRequest, ServiceError)):
                found.append(each)
                self._claim.room.release()
            elif each is _END:
                ended = True
        return found, ended


def _deadline(live: ActiveSession, warned: int, again: float | None) -> tuple[float, str]:
    """Return the seconds until something is due, and what; ``again`` is when a plugin that is away is asked again."""
    spec = live.kept.session.spec
    since = time.time() - live.kept.changed / 1e6
    if warned < len(_WARNINGS):
        due = (max(0.0, _WARNINGS[warned] * spec.expire_seconds - since), "warning")
    else:
        due = (max(0.0, spec.expire_seconds - since), "expiry")
    if spec.design.generation_seconds and live.asked_at is not None:
        due = min(due, (max(0.0, live.asked_at + spec.design.generation_seconds - time.monotonic()), "generation"))
    return due if again is None else min(due, (max(0.0, again - time.monotonic()), "plugin"))


async def overdue(live: ActiveSession, claim: StreamClaim | None) -> None:
    """End a generation whose time is over."""
    seconds = live.kept.session.spec.design.generation_seconds
    if seconds and live.asked_at is not None and time.monotonic() >= live.asked_at + seconds:
        await live.apply(claim, [pb.Advance(generation=live.kept.session.record.generation)])


_END = object()


async def _read_into(claim: StreamClaim, requests: AsyncIterator[pb.RunSessionRequest]) -> None:
    """Put what comes into the stream's inbox, to its end."""
    try:
        async for request in requests:
            await claim.room.acquire()
            claim.inbox.put_nowait(request)
    except ServiceError as error:  # a message that can't be taken: those before it are, and then the stream ends
        claim.inbox.put_nowait(error)
    except Exception:  # the client is gone: the stream's own coroutine is told
        claim.inbox.put_nowait(_END)
    else:
        claim.inbox.put_nowait(_END)


def _steps(requests: Sequence[pb.RunSessionRequest | ServiceError]) -> tuple[list[Step], ServiceError | None]:
    """The steps in some requests, up to one that is none."""
    steps: list[Step] = []
    for request in requests:
        if isinstance(request, ServiceError):
            return steps, request
        kind = request.WhichOneof("content")
        if kind is None or kind == "open":
            return steps, invalid("content", "after open come tell, advance and change_objective", reason="NOT_A_STEP")
        steps.append(getattr(request, kind))
    return steps, None
