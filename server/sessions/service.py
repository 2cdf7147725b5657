"""Sessions without their transport, as plain calls that raise ServiceError."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator
from typing import TYPE_CHECKING

import grpc

from actmax.v1 import session_pb2
from actmax.v1 import session_service_pb2 as pb

from ..config import ServerConfig
from ..errors import (
    OUT_OF_ROOM,
    FieldViolation,
    ServiceError,
    already_exists,
    exhausted,
    invalid,
    invalid_fields,
    over_quota,
)
from ..messages import tokens
from ..messages.specs import plain
from ..security.principal import current_principal
from ..storage.records import Filter
from . import warm_start
from .active_session import ActiveSession, Step, StreamClaim
from .described import PREFIX, batch
from .refusals import require_open, unknown, unwritable
from .session_cache import SessionCache
from .session_index import SessionIndex
from .session_resources import Relay, SessionResources
from .stream import RigStream, overdue

if TYPE_CHECKING:
    from ...engine.session.checked import CheckedSession
    from ...engine.session.durable_session import DurableSession

_MAX_ASK = 60 << 20


class Sessions:
    """All sessions of one server.

    Parameters
    ----------
    config : ServerConfig
        The server's settings.
    shelf : SessionIndex
        The sessions on disk.
    relay : callable
        Returns the address of the relay to an owner's plugins.
    """

    def __init__(self, config: ServerConfig, shelf: SessionIndex, *, relay: Relay = lambda owner: "") -> None:
        self._config = config
        self._shelf = shelf
        self._memory = SessionCache(config, shelf, relay)
        self._creating: dict[tuple[str, str], asyncio.Lock] = {}
        self._counting: dict[str, asyncio.Lock] = {}
        self._claims: set[StreamClaim] = set()

    def close(self) -> None:
        """Signal every stream that the server stops."""
        self._memory.closed = True
        for claim in self._claims:
            claim.inbox.put_nowait(None)

    async def stop(self) -> None:
        """Wait for running steps, then close every session."""
        self.close()
        await self._memory.stop()

    async def create(self, spec: session_pb2.SessionSpec, request_id: str) -> session_pb2.Session:
        """Validate a session, write it to disk and return it.

        Parameters
        ----------
        spec : SessionSpec
            The session.
        request_id : str
            UUID of the request; a repeated one returns the first call's session. Empty for none.

        Raises
        ------
        ServiceError
            INVALID_ARGUMENT by field, ALREADY_EXISTS (the request id belongs to another spec), RESOURCE_EXHAUSTED or UNAVAILABLE.
        """
        owner, request_id = current_principal.get().owner, tokens.request_id(request_id)
        message = spec.SerializeToString(deterministic=True)
        fingerprint = hashlib.sha256(message).hexdigest()
        key = (owner, request_id or secrets.token_hex(8))
        async with self._creating.setdefault(key, asyncio.Lock()):
            try:
                known = self._shelf.by_request(owner, request_id)
                if known is not None:
                    if known.fingerprint != fingerprint:
                        what = f"request_id {request_id} has created {PREFIX}{known.id}, of another spec; make one for each session"
                        raise already_exists(what, reason="REQUEST_ID_REUSED", metadata={"session": PREFIX + known.id})
                    return await self.get(PREFIX + known.id)
                async with self._within_quota(owner):
                    live = await self._create(spec, message, owner, request_id, fingerprint)
            finally:
                self._creating.pop(key, None)
        return await self._memory.described(live, whole=True)

    @contextlib.asynccontextmanager
    async def _within_quota(self, owner: str) -> AsyncGenerator[None]:
        """Hold the owner's quota while a session is created: one at a time if open sessions are counted."""
        most = self._config.max_open_sessions_per_owner
        if not most:
            yield
            return
        async with self._counting.setdefault(owner, asyncio.Lock()):
            if await self._memory.read(self._memory.open_sessions, owner) >= most:
                raise over_quota(owner, "open_sessions", most)
            yield

    async def _create(self, spec: session_pb2.SessionSpec, message: bytes, owner: str, request_id: str, fingerprint: str) -> ActiveSession:
        from_now = time.time_ns() // 1000
        session_id = secrets.token_hex(8)
        header = {
            "id": session_id,
            "owner": owner,
            "request_id": request_id,
            "fingerprint": fingerprint,
            "message": message.hex(),
        }

        warm = await warm_start.starts(spec, self._memory.opened)

        with self._memory.asking(owner, spec) as asking:

            def make() -> DurableSession:
                from ...engine.session.durable_session import DurableSession

                checked = self._checked(spec, warm, asking)
                return DurableSession.create(self._shelf.folder(session_id), checked, header | {"number": self._shelf.number(from_now)})

            try:
                kept = await self._memory.computed(make, asking.work)
            except OSError as error:
                if error.errno in OUT_OF_ROOM:
                    raise exhausted("nothing was created", error) from error
                raise unwritable("nothing was created", error) from error
            self._shelf.added(session_id)
            return await self._memory.add(session_id, kept, asking)

    def _checked(self, message: session_pb2.SessionSpec, warm: warm_start.Earlier, asking: SessionResources) -> CheckedSession:
        from ...engine.errors import InvalidJob
        from ...engine.session.checking import check_session
        from ...engine.session.encoding import message_bytes
        from ...engine.session.spec import SessionSpec

        try:
            given = plain(message)
        except ValueError as error:
            raise invalid("spec", f"it holds what JSON can't: {error}", reason="INVALID_SESSION") from None
        if warm.latents is not None:  # stored with the session, so that it doesn't depend on the earlier sessions
            given["warm_start"]["latents"] = warm.latents
        try:
            spec = SessionSpec.parse(given)
            if spec.stop.evaluations > self._config.max_evaluations:
                raise InvalidJob.at("stop.evaluations", f"at most {self._config.max_evaluations} are taken here")
            plugin = asking.plugin(created=True)
            checked = check_session(spec, permissions=asking.permissions, plugin=plugin)
            warm.check(checked.plugin.version)
            size = message_bytes(checked.decoder.stimulus, spec.presentation, spec.design.generation_size)
            if size > _MAX_ASK:
                what = f"a generation would take {size >> 20} MiB on its way, {_MAX_ASK >> 20} MiB work; take fewer, or smaller, or uint8"
                raise InvalidJob.at("design.generation_size", what)
        except InvalidJob as error:
            found = [FieldViolation(f"spec.{v.field}" if v.field else "spec", v.description) for v in error.violations]
            raise invalid_fields(found, reason="INVALID_SESSION") from None
        return checked

    async def get(self, name: str) -> session_pb2.Session:
        """Return a session with its progress and recommendation."""
        return await self._memory.described(await self._memory.opened(name), whole=True)

    async def page(self, size: int, token: str) -> tuple[list[session_pb2.Session], str]:
        """Return one page of sessions, newest first, from headers and summaries, without loading the sessions.

        Parameters
        ----------
        size : int
            Most sessions of the page, up to 1000; 0 for 50.
        token : str
            Token of the page; empty for the first one.

        Returns
        -------
        list of Session
            The sessions.
        str
            The next page's token; empty after the last one.
        """
        which = Filter(owner=current_principal.get().sees)
        before = tokens.page_before(token, which)
        limit = min(size or 50, 1000)
        found = self._shelf.page(which.owner, before, limit + 1)
        listed = [await self._memory.read(self._memory.summarised, entry) for entry in found[:limit]]
        known = [session for session in listed if session is not None]
        return known, tokens.page_token(found[limit - 1].number, which) if len(found) > limit else ""

    async def finish(self, name: str) -> session_pb2.Session:
        """Close a session for good and return it; its stream ends."""
        live = await self._memory.opened(name)
        await live.change(lambda kept: kept.close_for_good())
        if live.holder is not None:
            live.holder.inbox.put_nowait(None)
        return await self._memory.described(live, whole=True)

    async def delete(self, name: str) -> None:
        """Delete a session and its files.

        Raises
        ------
        ServiceError
            NOT_FOUND; FAILED_PRECONDITION: the session is open; UNAVAILABLE: the files can't be removed.
        """
        entry = self._memory.entry(name)
        summarised = await self._memory.read(self._memory.summarised, entry)
        if summarised is not None and summarised.state == session_pb2.SESSION_STATE_OPEN:
            raise ServiceError(grpc.StatusCode.FAILED_PRECONDITION, f"{name} is open; close it first", reason="CANNOT_DELETE")
        if not self._shelf.forget(entry.id):  # no call can open it from here on
            raise unknown(name)
        await self._memory.drop(entry.id)
        try:
            await self._memory.read(self._shelf.remove, entry.id)
        except ServiceError:
            self._shelf.remember(entry)
            raise

    async def ask(self, name: str) -> pb.AskResponse:
        """Return the trials to show at present, or the ended session, for clients without streams."""
        live = await self._alone(name)
        await overdue(live, None)
        require_open(live.name, live.kept)
        asked = await live.ask()
        return pb.AskResponse(ask=asked.ask) if asked is not None else pb.AskResponse(ended=await self._memory.described(live, whole=True))

    async def tell(self, name: str, step: Step) -> pb.Ack:
        """Apply one step and return its acknowledgement, for clients without streams; a mark or the finish also beside a stream.

        Raises
        ------
        ServiceError
            FAILED_PRECONDITION: a stream runs the session; and the errors of ``ActiveSession.apply``, also about the step itself.
        """
        beside = isinstance(step, (pb.MarkTrial, pb.Finish))
        live = await (self._memory.opened(name) if beside else self._alone(name))
        acks, _, error = await live.apply(None, [step])
        if error is not None:
            raise error
        if live.holder is not None:  # its stream may have to end, or to show something else
            live.holder.inbox.put_nowait(None)
        return acks[0]

    async def trials(self, name: str, stimuli: bool) -> AsyncGenerator[pb.ListTrialsResponse, None]:
        """Yield all trials so far in batches; see :func:`actmax.server.sessions.described.batch`."""
        live = await self._memory.opened(name)
        start = 0
        while True:
            found = await live.read(lambda kept, start=start: batch(kept, start, stimuli))
            if not found.trials:
                return
            yield found
            start += len(found.trials)

    async def run(self, requests: AsyncIterator[pb.RunSessionRequest]) -> AsyncGenerator[pb.RunSessionResponse, None]:
        """Yield the responses of a stream whose first request opens a session.

        Raises
        ------
        ServiceError
            INVALID_ARGUMENT: the first request is not ``open``; DATA_LOSS: the client has seen more than the log holds; and the errors of
            ``ActiveSession``.
        """
        first = await anext(requests, None)
        if first is None:
            return
        if first.WhichOneof("content") != "open":
            raise invalid("content", "a stream begins with open", reason="NOT_OPEN")
        live = await self._memory.opened(first.open.session)
        if first.open.last_sequence > live.kept.sequence:
            what = f"{live.name} is at {live.kept.sequence}, and the client has seen {first.open.last_sequence}: its log was cut off here"
            raise ServiceError(grpc.StatusCode.DATA_LOSS, what, reason="CLIENT_IS_AHEAD")
        claim = await live.claim(first.open.client_id, take_over=first.open.take_over)
        self._claims.add(claim)
        stream = RigStream(live, claim, lambda: self._memory.described(live, whole=True), lambda: self._memory.closed)
        try:
            async with contextlib.aclosing(stream.responses(requests, renew=first.open.renew)) as responses:
                async for response in responses:
                    yield response
        finally:
            self._claims.discard(claim)
            live.release(claim)

    async def _alone(self, name: str) -> ActiveSession:
        live = await self._memory.opened(name)
        if live.holder is not None:
            what = f"a stream runs {name}; end that, or tell through it"
            raise ServiceError(grpc.StatusCode.FAILED_PRECONDITION, what, reason="SESSION_IN_USE")
        return live
