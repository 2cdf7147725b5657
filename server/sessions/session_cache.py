"""The sessions in memory: loads them on demand and closes the least recently used."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import grpc

from actmax.v1 import session_pb2

from ..config import ServerConfig
from ..errors import OUT_OF_ROOM, ServiceError, exhausted, invalid, stopping
from ..messages.jobs import timestamp
from ..security.principal import current_principal
from . import wire
from .active_session import ActiveSession, alone
from .described import PREFIX, expiry, message, state
from .refusals import unanswered, unknown, unwritable
from .session_index import Entry, SessionIndex
from .session_resources import Relay, SessionResources

if TYPE_CHECKING:
    from ...engine.session.durable_session import DurableSession

_log = logging.getLogger(__name__)
P = ParamSpec("P")
T = TypeVar("T")
_ID = re.compile(r"[0-9a-f]{16}")
_IN_MEMORY = 200


class SessionCache:
    """The sessions of one server, loaded into memory on demand.

    Parameters
    ----------
    config : ServerConfig
        The server's settings.
    shelf : SessionIndex
        The sessions on disk.
    relay : callable
        Returns the address of the relay to an owner's plugins.
    """

    def __init__(self, config: ServerConfig, shelf: SessionIndex, relay: Relay) -> None:
        self._config = config
        self._shelf = shelf
        self._relay = relay
        self._opening: set[SessionResources] = set()
        self._live: dict[str, asyncio.Future[ActiveSession]] = {}
        self._work = ThreadPoolExecutor(max(1, config.worker_threads), "sessions")
        self._disk = ThreadPoolExecutor(8, "session-logs")
        self.closed = False
        """Whether the server stops."""

    async def stop(self) -> None:
        """Wait for running steps, then close every session."""
        for asking in list(self._opening):
            asking.close()
        for live in list(self._live.values()):
            if live.done() and live.exception() is None:
                await live.result().close()
        self._work.shutdown()
        self._disk.shutdown()

    @contextlib.contextmanager
    def asking(self, owner: str, spec: session_pb2.SessionSpec) -> Iterator[SessionResources]:
        """Yield the resources of a session of ``owner``; they are closed if the context raises."""
        if self.closed:
            raise stopping()
        found = SessionResources(self._config, self._relay, owner, spec, self._work)
        self._opening.add(found)
        try:
            yield found
        except BaseException:
            found.close()
            raise
        finally:
            self._opening.discard(found)

    async def add(self, session_id: str, kept: DurableSession, asking: SessionResources) -> ActiveSession:
        """Add a session that was just created, and return it.

        Parameters
        ----------
        session_id : str
            The session's identifier.
        kept : DurableSession
            The session.
        asking : SessionResources
            Its resources, which the session closes.
        """
        live = ActiveSession(PREFIX + session_id, kept, asking, self._disk)
        future: asyncio.Future[ActiveSession] = asyncio.get_running_loop().create_future()
        future.set_result(live)
        self._live[session_id] = future
        await self._make_room()
        return live

    async def drop(self, session_id: str) -> None:
        """Close a session whose files are about to be removed."""
        opened = self._live.pop(session_id, None)
        if opened is not None:
            with contextlib.suppress(Exception):
                await (await opened).close()

    def entry(self, name: str) -> Entry:
        """Return the index entry of a session that the caller may see.

        Raises
        ------
        ServiceError
            INVALID_ARGUMENT: the name is malformed; NOT_FOUND.
        """
        session_id = name.removeprefix(PREFIX)
        if session_id == name or not _ID.fullmatch(session_id):
            raise invalid("name", f"{name[:100]!r} is not a session's name, which is {PREFIX} and 16 hexadecimal digits")
        entry = self._shelf.get(session_id)
        sees = current_principal.get().sees
        if entry is None or (sees is not None and entry.owner != sees):
            raise unknown(name)
        return entry

    async def opened(self, name: str) -> ActiveSession:
        """Return the session in memory, loading it if needed.

        Raises
        ------
        ServiceError
            NOT_FOUND; DATA_LOSS: the log is damaged; FAILED_PRECONDITION: the session can't be built; UNAVAILABLE: its plugin is away, or
            the server stops.
        """
        if self.closed:
            raise stopping()
        entry = self.entry(name)
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

    async def _load(self, entry: Entry) -> ActiveSession:
        from ...engine.errors import InvalidJob
        from ...engine.session.errors import DamagedSession
        from ...models.plugins.connection import PluginError

        name = PREFIX + entry.id
        with self.asking(entry.owner, session_pb2.SessionSpec.FromString(entry.spec)) as asking:

            def load() -> DurableSession:
                from ...engine.session.durable_session import DurableSession

                folder, plugin = self._shelf.folder(entry.id), asking.plugin()
                return DurableSession(folder, permissions=asking.permissions, plugin=plugin)

            try:
                kept = await self.computed(load, asking.work)
            except DamagedSession as error:
                raise ServiceError(grpc.StatusCode.DATA_LOSS, f"{name} can't be opened: {error}", reason="DAMAGED_SESSION") from error
            except InvalidJob as error:
                what = f"{name} was fine when it was created, and can't be opened now: {error}"
                raise ServiceError(grpc.StatusCode.FAILED_PRECONDITION, what, reason="CANNOT_OPEN") from error
            except PluginError as error:
                raise unanswered(name, error) from error
            except OSError as error:
                if error.errno in OUT_OF_ROOM:
                    raise exhausted(f"{name} can't be opened now", error) from error
                raise unwritable(f"{name} can't be opened now", error) from error
            return ActiveSession(name, kept, asking, self._disk)

    async def _make_room(self) -> None:
        """Close the sessions that were unused for the longest time, beyond 200."""
        if len(self._live) <= _IN_MEMORY:
            return
        idle = [(f.result().used, key) for key, f in self._live.items() if f.done() and f.exception() is None and f.result().holder is None]
        for _, key in sorted(idle)[: len(self._live) - _IN_MEMORY]:
            future = self._live[key]
            live = future.result()
            live.broken = True
            await live.close()
            if self._live.get(key) is future:
                del self._live[key]

    async def described(self, live: ActiveSession, *, whole: bool) -> session_pb2.Session:
        """Return a session in memory as a message; ``whole`` includes the recommended stimulus.

        Raises
        ------
        ServiceError
            NOT_FOUND: the session was deleted meanwhile.
        """
        entry = self._shelf.get(live.name.removeprefix(PREFIX))
        if entry is None:
            raise unknown(live.name)

        def describe(kept: DurableSession) -> session_pb2.Session:
            found = message(entry)
            wire.session(found, kept, whole=whole)
            found.state = state(kept.closed, kept.session.stopped_by, kept.expire_time)
            return found

        return await live.read(describe)

    def summarised(self, entry: Entry) -> session_pb2.Session | None:
        """Return a session as a message from its header and summary; None if it was deleted meanwhile."""
        from ...engine.session.errors import DamagedSession

        found = message(entry)
        try:
            summary = self._shelf.summary(entry.id)
        except FileNotFoundError:  # it was deleted meanwhile
            return None
        except DamagedSession as error:  # listed without a state; opening it raises the reason
            _log.error("%s: %s", found.name, error)
            return found
        expire_time = expiry(found, summary.changed)
        found.state = state(summary.closed, summary.stopped_by, expire_time)
        found.last_sequence, found.stopped_by = summary.sequence, summary.stopped_by
        found.expire_time.CopyFrom(timestamp(expire_time))
        return found

    def open_sessions(self, owner: str) -> int:
        """Return the number of an owner's open sessions: neither closed, stopped nor expired."""
        found = [self.summarised(entry) for entry in self._shelf.page(owner, None, sys.maxsize)]
        return sum(session is not None and session.state == session_pb2.SESSION_STATE_OPEN for session in found)

    async def read(self, function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """Return the result of ``function``, run in a thread for files.

        Raises
        ------
        ServiceError
            UNAVAILABLE: ``function`` raised an OSError.
        """
        try:
            return await asyncio.get_running_loop().run_in_executor(self._disk, partial(function, *arguments, **named))
        except OSError as error:
            raise unwritable("it can't be done now", error) from error

    async def computed(self, function: Callable[[], T], work: Executor) -> T:
        """Return the result of ``function``, run in a thread of ``work`` with one CPU thread of torch."""
        return await asyncio.get_running_loop().run_in_executor(work, partial(alone, function))
