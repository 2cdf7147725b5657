"""Sessions without their transport: plain calls that raise ServiceError."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import re
import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

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
    not_found,
    stopping,
)
from ..jobs import tokens
from ..jobs.plain import plain
from ..jobs.wire import timestamp
from ..security.principal import calling
from ..storage.records import Filter
from . import earlier, wire
from .live import Live, Step, Ticket, alone, expired
from .shelf import Entry, Shelf

if TYPE_CHECKING:
    from ...engine.session.checked import CheckedSession
    from ...engine.session.kept import KeptSession

_log = logging.getLogger(__name__)
P = ParamSpec("P")
T = TypeVar("T")
_PREFIX = "sessions/"
_ID = re.compile(r"[0-9a-f]{16}")
_IN_MEMORY = 200
_TRIALS_A_BATCH = 200
_WARNINGS = (0.8, 0.95)
"""Shares of a session's patience after which it warns."""
_MAX_ASK = 60 << 20


class Sessions:
    """All sessions of one server.

    Parameters
    ----------
    config : ServerConfig
        The server's settings.
    shelf : Shelf
        Where they lie.
    """

    def __init__(self, config: ServerConfig, shelf: Shelf) -> None:
        self._config = config
        self._shelf = shelf
        self._live: dict[str, asyncio.Future[Live]] = {}
        self._creating: dict[tuple[str, str], asyncio.Lock] = {}
        self._work = ThreadPoolExecutor(max(1, config.worker_threads), "sessions")
        self._disk = ThreadPoolExecutor(8, "session-logs")
        self._tickets: set[Ticket] = set()
        self._closed = False

    def close(self) -> None:
        """Tell every stream that the server stops."""
        self._closed = True
        for ticket in self._tickets:
            ticket.inbox.put_nowait(None)

    async def stop(self) -> None:
        """Let go of everything, once what is under way has ended."""
        self.close()
        for live in list(self._live.values()):
            if live.done() and live.exception() is None:
                await live.result().close()
        self._work.shutdown()
        self._disk.shutdown()

    async def create(self, spec: session_pb2.SessionSpec, request_id: str) -> session_pb2.Session:
        """Check a session and keep it."""
        owner, request_id = calling.get().owner, tokens.request_id(request_id)
        message = spec.SerializeToString(deterministic=True)
        fingerprint = hashlib.sha256(message).hexdigest()
        key = (owner, request_id or secrets.token_hex(8))
        async with self._creating.setdefault(key, asyncio.Lock()):
            try:
                known = self._shelf.by_request(owner, request_id)
                if known is not None:
                    if known.fingerprint != fingerprint:
                        what = f"request_id {request_id} has created {_PREFIX}{known.id}, of another spec; make one for each session"
                        raise already_exists(what, reason="REQUEST_ID_REUSED", metadata={"session": _PREFIX + known.id})
                    return await self.get(_PREFIX + known.id)
                live = await self._create(spec, message, owner, request_id, fingerprint)
            finally:
                self._creating.pop(key, None)
        return await self._described(live, whole=True)

    async def _create(self, spec: session_pb2.SessionSpec, message: bytes, owner: str, request_id: str, fingerprint: str) -> Live:
        from_now = time.time_ns() // 1000
        session_id = secrets.token_hex(8)
        header = {
            "id": session_id,
            "owner": owner,
            "request_id": request_id,
            "fingerprint": fingerprint,
            "message": message.hex(),
        }

        starts = await earlier.starts(spec, self._opened)

        def make() -> KeptSession:
            from ...engine.session.kept import KeptSession

            checked = self._checked(spec, starts)
            return KeptSession.create(self._shelf.folder(session_id), checked, header | {"number": self._shelf.number(from_now)})

        try:
            kept = await self._computed(make)
        except OSError as error:
            if error.errno in OUT_OF_ROOM:
                raise exhausted("nothing was created", error) from error
            raise _unwritable("nothing was created", error) from error
        self._shelf.added(session_id)
        live = Live(_PREFIX + session_id, kept, self._work, self._disk)
        future: asyncio.Future[Live] = asyncio.get_running_loop().create_future()
        future.set_result(live)
        self._live[session_id] = future
        await self._make_room()
        return live

    def _checked(self, message: session_pb2.SessionSpec, starts: dict[str, Any] | None) -> CheckedSession:
        from ...engine.errors import InvalidJob
        from ...engine.session.checked import check_session
        from ...engine.session.encoding import message_bytes
        from ...engine.session.spec import SessionSpec

        try:
            given = plain(message)
        except ValueError as error:
            raise invalid("spec", f"it holds what JSON can't: {error}", reason="INVALID_SESSION") from None
        if starts is not None:  # kept with the session, which needs the earlier ones no more
            given["warm_start"]["latents"] = starts
        try:
            spec = SessionSpec.parse(given)
            if spec.stop.evaluations > self._config.max_evaluations:
                raise InvalidJob.at("stop.evaluations", f"at most {self._config.max_evaluations} are taken here")
            checked = check_session(spec, allow_imports=self._config.allow_imports)
            size = message_bytes(checked.decoder.stimulus, spec.presentation, spec.design.generation_size)
            if size > _MAX_ASK:
                what = f"a generation would take {size >> 20} MiB on its way, {_MAX_ASK >> 20} MiB work; take fewer, or smaller, or uint8"
                raise InvalidJob.at("design.generation_size", what)
        except InvalidJob as error:
            found = [FieldViolation(f"spec.{v.field}" if v.field else "spec", v.description) for v in error.violations]
            raise invalid_fields(found, reason="INVALID_SESSION") from None
        return checked

    async def get(self, name: str) -> session_pb2.Session:
        """A session as it stands."""
        return await self._described(await self._opened(name), whole=True)

    async def page(self, size: int, token: str) -> tuple[list[session_pb2.Session], str]:
        """Sessions, newest first, as far as they are known without being opened; and the token of the next page."""
        which = Filter(owner=calling.get().sees)
        before = tokens.page_before(token, which)
        limit = min(size or 50, 1000)
        found = self._shelf.page(which.owner, before, limit + 1)
        listed = [await self._read(self._summarised, entry) for entry in found[:limit]]
        known = [session for session in listed if session is not None]
        return known, tokens.page_token(found[limit - 1].number, which) if len(found) > limit else ""

    async def finish(self, name: str) -> session_pb2.Session:
        """End a session for good."""
        live = await self._opened(name)
        await live.change(lambda kept: kept.close_for_good())
        if live.ticket is not None:
            live.ticket.inbox.put_nowait(None)
        return await self._described(live, whole=True)

    async def delete(self, name: str) -> None:
        """Forget a session."""
        entry = self._entry(name)
        summarised = await self._read(self._summarised, entry)
        if summarised is not None and summarised.state == session_pb2.SESSION_STATE_OPEN:
            raise ServiceError(grpc.StatusCode.FAILED_PRECONDITION, f"{name} is open; close it first", reason="CANNOT_DELETE")
        if not self._shelf.forget(entry.id):  # from here on nobody opens it
            raise _unknown(name)
        opened = self._live.pop(entry.id, None)
        if opened is not None:
            with contextlib.suppress(Exception):
                await (await opened).close()
        try:
            await self._read(self._shelf.remove, entry.id)
        except ServiceError:
            self._shelf.remember(entry)
            raise

    async def ask(self, name: str) -> pb.AskResponse:
        """The trials to show now, for clients without streams."""
        live = await self._alone(name)
        await self._overdue(live, None)
        self._going(live)
        asked = await live.ask()
        return pb.AskResponse(ask=asked.ask) if asked is not None else pb.AskResponse(ended=await self._described(live, whole=True))

    async def tell(self, name: str, step: Step) -> pb.Ack:
        """One step, for clients without streams."""
        live = await self._alone(name)
        acks, _, error = await live.apply(None, [step])
        if error is not None:
            raise error
        return acks[0]

    async def trials(self, name: str, stimuli: bool) -> AsyncGenerator[pb.ListTrialsResponse, None]:
        """Every trial so far, batch by batch."""
        live = await self._opened(name)
        start = 0
        while True:
            batch = await live.read(lambda kept, start=start: _batch(kept, start, stimuli))
            if not batch.trials:
                return
            yield batch
            start += len(batch.trials)

    async def run(self, requests: AsyncIterator[pb.RunSessionRequest]) -> AsyncGenerator[pb.RunSessionResponse, None]:
        """A whole stream; see ``RunSession``."""
        first = await anext(requests, None)
        if first is None:
            return
        if first.WhichOneof("content") != "open":
            raise invalid("content", "a stream begins with open", reason="NOT_OPEN")
        live = await self._opened(first.open.session)
        if first.open.last_sequence > live.kept.sequence:
            what = f"{live.name} is at {live.kept.sequence}, and the client has seen {first.open.last_sequence}: its log was cut off here"
            raise ServiceError(grpc.StatusCode.DATA_LOSS, what, reason="CLIENT_IS_AHEAD")
        ticket = await live.enter(first.open.client_id, take_over=first.open.take_over)
        reader = asyncio.ensure_future(_read_into(ticket, requests))
        self._tickets.add(ticket)
        try:
            await self._renewed(live, renew=first.open.renew)
            described = await self._described(live, whole=True)
            yield pb.RunSessionResponse(opened=pb.Opened(last_sequence=described.last_sequence, session=described))
            async with contextlib.aclosing(self._conversation(live, ticket)) as responses:
                async for response in responses:
                    yield response
        finally:
            self._tickets.discard(ticket)
            live.leave(ticket)
            reader.cancel()

    async def _conversation(self, live: Live, ticket: Ticket) -> AsyncGenerator[pb.RunSessionResponse, None]:
        sent = 0  # the generation that this stream was sent
        warned = 0
        pending: list[pb.RunSessionRequest | ServiceError] = []
        ended = False
        while True:
            if self._closed:
                raise stopping()
            live.still(ticket)
            asked = None if live.has_asked(sent) else await live.ask()
            if live.kept.session.stopped_by:
                yield pb.RunSessionResponse(ended=await self._described(live, whole=True))
                return
            if asked is not None and asked.ask.generation != sent:
                sent = asked.ask.generation
                yield asked
            if not pending:
                if ended:
                    return
                deadline, why = self._deadline(live, warned)
                try:
                    async with asyncio.timeout(deadline):
                        item = await ticket.inbox.get()
                except TimeoutError:
                    if why == "generation":
                        await self._overdue(live, ticket)
                    elif why == "warning":
                        warned += 1
                        warning = pb.ExpiryWarning(expire_time=timestamp(live.kept.expire_time))
                        yield pb.RunSessionResponse(warning=warning)
                    else:
                        raise expired(live.name) from None
                    continue
                items = [item]
                while not ticket.inbox.empty():  # what came together is written together
                    items.append(ticket.inbox.get_nowait())
                for each in items:
                    if isinstance(each, (pb.RunSessionRequest, ServiceError)):
                        pending.append(each)
                        ticket.room.release()
                    elif each is _END:
                        ended = True
                if live.kept.closed:
                    raise ServiceError(grpc.StatusCode.FAILED_PRECONDITION, f"{live.name} is closed", reason="SESSION_CLOSED")
                if not pending:
                    continue
            warned = 0
            steps, error = _steps(pending)
            acks, used, refused = await live.apply(ticket, steps) if steps else ([], 0, None)
            pending = pending[used:]
            for ack in acks:
                yield pb.RunSessionResponse(ack=ack)
            if refused is not None or (error is not None and used == len(steps)):
                raise refused or error or AssertionError

    def _deadline(self, live: Live, warned: int) -> tuple[float, str]:
        """Seconds until something is due, and what."""
        spec = live.kept.session.spec
        since = time.time() - live.kept.changed / 1e6
        if warned < len(_WARNINGS):
            due = (max(0.0, _WARNINGS[warned] * spec.expire_seconds - since), "warning")
        else:
            due = (max(0.0, spec.expire_seconds - since), "expiry")
        if spec.design.generation_seconds and live.asked_at is not None:
            due = min(due, (max(0.0, live.asked_at + spec.design.generation_seconds - time.monotonic()), "generation"))
        return due

    async def _overdue(self, live: Live, ticket: Ticket | None) -> None:
        """End a generation whose time is over."""
        seconds = live.kept.session.spec.design.generation_seconds
        if seconds and live.asked_at is not None and time.monotonic() >= live.asked_at + seconds:
            await live.apply(ticket, [pb.Advance(generation=live.kept.session.generation)])

    async def _renewed(self, live: Live, *, renew: bool) -> None:
        if renew:
            await live.change(lambda kept: kept.renew() if time.time_ns() // 1000 > kept.expire_time else None)
        self._going(live)

    def _going(self, live: Live) -> None:
        kept = live.kept
        if kept.closed:
            raise ServiceError(grpc.StatusCode.FAILED_PRECONDITION, f"{live.name} is closed", reason="SESSION_CLOSED")
        if not kept.session.stopped_by and time.time_ns() // 1000 > kept.expire_time:
            raise expired(live.name)

    async def _alone(self, name: str) -> Live:
        live = await self._opened(name)
        if live.ticket is not None:
            what = f"a stream runs {name}; end that, or tell through it"
            raise ServiceError(grpc.StatusCode.FAILED_PRECONDITION, what, reason="SESSION_IN_USE")
        return live

    def _entry(self, name: str) -> Entry:
        session_id = name.removeprefix(_PREFIX)
        if session_id == name or not _ID.fullmatch(session_id):
            raise invalid("name", f"{name[:100]!r} is not a session's name, which is {_PREFIX} and 16 hexadecimal digits")
        entry = self._shelf.get(session_id)
        sees = calling.get().sees
        if entry is None or (sees is not None and entry.owner != sees):
            raise _unknown(name)
        return entry

    async def _opened(self, name: str) -> Live:
        """The session in memory, brought there where it isn't."""
        if self._closed:
            raise stopping()
        entry = self._entry(name)
        future = self._live.get(entry.id)
        if future is not None and future.done() and (future.exception() is not None or future.result().broken):
            if future.exception() is None:
                await future.result().close()
            if self._live.get(entry.id) is future:
                del self._live[entry.id]
            future = self._live.get(entry.id)
        if future is None:
            future = self._live[entry.id] = asyncio.ensure_future(self._load(entry))
            await self._make_room()
        live = await asyncio.shield(future)
        live.used = time.monotonic()
        return live

    async def _load(self, entry: Entry) -> Live:
        from ...engine.errors import InvalidJob
        from ...engine.session.errors import DamagedSession

        def load() -> KeptSession:
            from ...engine.session.kept import KeptSession

            return KeptSession(self._shelf.folder(entry.id), allow_imports=self._config.allow_imports)

        name = _PREFIX + entry.id
        try:
            kept = await self._computed(load)
        except DamagedSession as error:
            raise ServiceError(grpc.StatusCode.DATA_LOSS, f"{name} can't be opened: {error}", reason="DAMAGED_SESSION") from error
        except InvalidJob as error:
            what = f"{name} was fine when it was created, and can't be opened now: {error}"
            raise ServiceError(grpc.StatusCode.FAILED_PRECONDITION, what, reason="CANNOT_OPEN") from error
        except OSError as error:
            if error.errno in OUT_OF_ROOM:
                raise exhausted(f"{name} can't be opened now", error) from error
            raise _unwritable(f"{name} can't be opened now", error) from error
        return Live(name, kept, self._work, self._disk)

    async def _make_room(self) -> None:
        """Let go of what nobody has used for the longest time."""
        if len(self._live) <= _IN_MEMORY:
            return
        idle = [(f.result().used, key) for key, f in self._live.items() if f.done() and f.exception() is None and f.result().ticket is None]
        for _, key in sorted(idle)[: len(self._live) - _IN_MEMORY]:
            future = self._live[key]
            live = future.result()
            live.broken = True
            await live.close()
            if self._live.get(key) is future:
                del self._live[key]

    async def _described(self, live: Live, *, whole: bool) -> session_pb2.Session:
        entry = self._shelf.get(live.name.removeprefix(_PREFIX))
        if entry is None:
            raise _unknown(live.name)

        def describe(kept: KeptSession) -> session_pb2.Session:
            message = _message(entry)
            wire.session(message, kept, whole=whole)
            message.state = _state(kept.closed, kept.session.stopped_by, kept.expire_time)
            return message

        return await live.read(describe)

    def _summarised(self, entry: Entry) -> session_pb2.Session | None:
        from ...engine.session.errors import DamagedSession

        message = _message(entry)
        try:
            summary = self._shelf.summary(entry.id)
        except FileNotFoundError:  # it was deleted meanwhile
            return None
        except DamagedSession as error:  # of no state, and whoever opens it is told; the others are still to be listed
            _log.error("%s: %s", message.name, error)
            return message
        expire_time = _expiry(message, summary.changed)
        message.state = _state(summary.closed, summary.stopped_by, expire_time)
        message.last_sequence, message.stopped_by = summary.sequence, summary.stopped_by
        message.expire_time.CopyFrom(timestamp(expire_time))
        return message

    async def _read(self, function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """In a thread for files."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._disk, partial(function, *arguments, **named))
        except OSError as error:
            raise _unwritable("it can't be done now", error) from error

    async def _computed(self, function: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._work, partial(alone, function))


_END = object()


async def _read_into(ticket: Ticket, requests: AsyncIterator[pb.RunSessionRequest]) -> None:
    """Put what comes into the stream's inbox, to its end."""
    try:
        async for request in requests:
            await ticket.room.acquire()
            ticket.inbox.put_nowait(request)
    except ServiceError as error:  # a message that can't be taken: those before it are, and then the stream ends
        ticket.inbox.put_nowait(error)
    except Exception:  # the client is gone: the stream's own coroutine is told
        ticket.inbox.put_nowait(_END)
    else:
        ticket.inbox.put_nowait(_END)


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


def _unknown(name: str) -> ServiceError:
    """NOT_FOUND."""
    return not_found(f"there is no session {name}; ListSessions has them all", reason="NO_SUCH_SESSION")


def _unwritable(what: str, error: OSError) -> ServiceError:
    """UNAVAILABLE: the folder of sessions can't be read or written."""
    told = f"{what}: the folder of sessions can't be used ({error.strerror or error})"
    return ServiceError(grpc.StatusCode.UNAVAILABLE, told, reason="STORAGE_UNAVAILABLE", retry_seconds=2.0)


def _message(entry: Entry) -> session_pb2.Session:
    spec = session_pb2.SessionSpec.FromString(entry.spec)
    return session_pb2.Session(name=_PREFIX + entry.id, spec=spec, owner=entry.owner, create_time=timestamp(entry.number))


def _expiry(message: session_pb2.Session, changed: int) -> int:
    return changed + round(1e6 * (message.spec.expire_seconds or 7 * 86400))


def _state(closed: bool, stopped_by: str, expire_time: int) -> session_pb2.SessionState:
    if closed:
        return session_pb2.SESSION_STATE_CLOSED
    if stopped_by:
        return session_pb2.SESSION_STATE_ENDED
    return session_pb2.SESSION_STATE_EXPIRED if time.time_ns() // 1000 > expire_time else session_pb2.SESSION_STATE_OPEN


def _batch(kept: KeptSession, start: int, stimuli: bool) -> pb.ListTrialsResponse:
    import torch

    session = kept.session
    # generations whole, since the bits of a stimulus may depend on what it is decoded with
    stop = start
    while stop < len(session.trials) and (stop - start < _TRIALS_A_BATCH):
        generation = session.trials[stop].generation
        while stop < len(session.trials) and session.trials[stop].generation == generation:
            stop += 1
    trials = session.trials[start:stop]
    names = [thread.name for thread in session.threads]
    batch = pb.ListTrialsResponse(trials=[wire.trial(trial, names) for trial in trials])
    if not trials:
        return batch
    space = session.checked.decoder.latent
    latents = [session.stimuli.latent(trial.stimulus) for trial in trials]
    like = next((latent for latent in latents if latent is not None), torch.zeros(space.shape))
    blank = torch.zeros_like(like) if not like.is_floating_point() else torch.full_like(like, torch.nan)
    batch.latents.CopyFrom(wire.tensor(torch.stack([blank if latent is None else latent for latent in latents]).numpy()))
    if stimuli:
        parts = []
        for generation in dict.fromkeys(trial.generation for trial in trials):
            parts.append(session.stimuli_of([trial for trial in trials if trial.generation == generation]))
        batch.stimuli.CopyFrom(wire.tensor(torch.cat(parts).numpy()))
    return batch
