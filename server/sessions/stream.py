"""One stream of a rig: applies its messages in order, and sends trials, acknowledgements and warnings when they are due."""

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
"""Fractions of a session's ``expire_seconds`` after which a silent rig receives a warning."""


class RigStream:
    """A stream that has claimed a session.

    Parameters
    ----------
    live : ActiveSession
        The session.
    claim : StreamClaim
        The stream's claim on it.
    described : callable
        Returns the session as a message.
    stopping : callable
        Returns whether the server stops.
    """

    def __init__(
        self, live: ActiveSession, claim: StreamClaim, described: Callable[[], Awaitable[session_pb2.Session]], stopping: Callable[[], bool]
    ) -> None:
        self._live, self._claim = live, claim
        self._described, self._stopping = described, stopping

    async def responses(self, requests: AsyncIterator[pb.RunSessionRequest], *, renew: bool) -> AsyncGenerator[pb.RunSessionResponse, None]:
        """Yield all responses of the stream, until the session or the stream ends.

        Parameters
        ----------
        requests : async iterator of RunSessionRequest
            The rig's messages after ``open``.
        renew : bool
            Whether a session that has expired is continued.

        Raises
        ------
        ServiceError
            FAILED_PRECONDITION: the session is closed or has expired; ABORTED: a newer stream; UNAVAILABLE; INVALID_ARGUMENT.
        """
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
        trouble: ServiceError | None = None  # the plugin that makes the stimuli is away; responses to shown stimuli are still applied
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
        """Return the rig's messages in ``items`` and the inbox, to be written together, and whether the stream has ended."""
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
    """Return the seconds until the next event is due, and its name; ``again`` is when a plugin that is away is asked again."""
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
    """End the present generation if its ``generation_seconds`` are over."""
    seconds = live.kept.session.spec.design.generation_seconds
    if seconds and live.asked_at is not None and time.monotonic() >= live.asked_at + seconds:
        await live.apply(claim, [pb.Advance(generation=live.kept.session.record.generation)])


_END = object()


async def _read_into(claim: StreamClaim, requests: AsyncIterator[pb.RunSessionRequest]) -> None:
    """Put all messages of a stream into the claim's inbox."""
    try:
        async for request in requests:
            await claim.room.acquire()
            claim.inbox.put_nowait(request)
    except ServiceError as error:  # an invalid message: earlier messages are applied, and then the stream ends
        claim.inbox.put_nowait(error)
    except Exception:  # the client is gone: the stream's own coroutine ends
        claim.inbox.put_nowait(_END)
    else:
        claim.inbox.put_nowait(_END)


def _steps(requests: Sequence[pb.RunSessionRequest | ServiceError]) -> tuple[list[Step], ServiceError | None]:
    """Return the steps among some requests, up to the first invalid request, and the error of that one."""
    steps: list[Step] = []
    for request in requests:
        if isinstance(request, ServiceError):
            return steps, request
        kind = request.WhichOneof("content")
        if kind is None or kind == "open":
            what = "after open come steps: tell, advance, change_objective, restart_clock, mark_trial, finish"
            return steps, invalid("content", what, reason="NOT_A_STEP")
        steps.append(getattr(request, kind))
    return steps, None
