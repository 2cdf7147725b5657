"""A session in memory: applies messages in order and persists each before acknowledging it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Executor
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import grpc

from actmax.v1 import session_service_pb2 as pb

from ..errors import OUT_OF_ROOM, ServiceError, exhausted
from ..messages.specs import plain
from . import wire
from .refusals import engine_refusals, require_open, unanswered
from .session_resources import SessionResources

if TYPE_CHECKING:
    from ...engine.session.durable_session import DurableSession

_log = logging.getLogger(__name__)
T = TypeVar("T")
Step = pb.Tell | pb.Advance | pb.ChangeObjective | pb.RestartClock | pb.MarkTrial | pb.Finish


_UNREAD = 64


class StreamClaim:
    """One stream's claim on a session.

    ``inbox`` receives the stream's messages, as many as ``room`` allows, and None as a signal to look at the session again.
    """

    def __init__(self, client: str) -> None:
        self.client = client
        self.inbox: asyncio.Queue[Any] = asyncio.Queue()
        self.room = asyncio.Semaphore(_UNREAD)
        self.fenced_by = ""


class ActiveSession:
    """One open session: applies client messages in order and persists each before acknowledging it. All methods belong to one event loop.

    Parameters
    ----------
    name : str
        The session's resource name.
    kept : DurableSession
        The session with its log, open.
    asking : SessionResources
        The thread for computing, and the generator's plugin if it is one.
    disk : Executor
        Threads for writing.
    """

    def __init__(self, name: str, kept: DurableSession, asking: SessionResources, disk: Executor) -> None:
        self.name = name
        self.kept = kept
        self.broken = False
        self.holder: StreamClaim | None = None
        self.asked_at: float | None = None
        self.used = time.monotonic()
        self._asking, self._work, self._disk = asking, asking.work, disk
        self._trouble: ServiceError | None = None
        self._turn = asyncio.Lock()
        self._stepping: asyncio.Task[None] | None = None
        self._encoded: tuple[int, Any] | None = None

    async def claim(self, client: str, *, take_over: bool) -> StreamClaim:
        """Claim the session for a stream; an older stream of the same client is ended.

        Parameters
        ----------
        client : str
            The client's identifier.
        take_over : bool
            Whether another client's stream is ended too.

        Raises
        ------
        ServiceError
            FAILED_PRECONDITION: another client's stream is open.
        """
        older = self.holder
        if older is not None and older.client != client and not take_over:
            what = f"another client runs {self.name}; end that, or open with take_over"
            raise ServiceError(grpc.StatusCode.FAILED_PRECONDITION, what, reason="SESSION_IN_USE")
        claim = self.holder = StreamClaim(client)
        if older is not None:
            older.fenced_by = "the same client" if older.client == client else "another client"
            older.inbox.put_nowait(None)
        async with self._turn:  # the older stream's last step is on disk before the new stream reads
            return claim

    def release(self, claim: StreamClaim) -> None:
        """Withdraw a claim whose stream has ended."""
        self.used = time.monotonic()
        if self.holder is claim:
            self.holder = None

    def require_claim(self, claim: StreamClaim | None) -> None:
        """Raise ``ServiceError`` if a newer stream has ended this claim; None always passes.

        Raises
        ------
        ServiceError
            ABORTED.
        """
        if claim is not None and claim is not self.holder:
            what = f"{claim.fenced_by or 'another client'} has opened {self.name} again; this stream is over"
            raise ServiceError(grpc.StatusCode.ABORTED, what, reason="FENCED")

    async def apply(self, claim: StreamClaim | None, steps: Sequence[Step]) -> tuple[list[pb.Ack], int, ServiceError | None]:
        """Apply messages in order and write them to disk together.

        Parameters
        ----------
        claim : StreamClaim or None
            The stream's claim; None for a call without stream.
        steps : sequence of Tell, Advance or ChangeObjective
            The messages.

        Returns
        -------
        acks : list of Ack
            One for each message that was applied.
        used : int
            Number of messages that were applied or refused; messages after the end of a generation wait for the next call.
        error : ServiceError or None
            Why the last of the used messages was refused.

        Raises
        ------
        ServiceError
            ABORTED: the claim has ended; RESOURCE_EXHAUSTED or UNAVAILABLE: the log can't be written.
        """
        return await _whole(self._apply(claim, steps))

    def has_asked(self, generation: int) -> bool:
        """Return whether ``generation`` is the present one and still open, with no other being computed."""
        return self._stepping is None and self.kept.session.record.generation == generation and not self.kept.session.stopped_by

    @property
    def waits(self) -> bool:
        """Whether untold trials of the present generation remain."""
        return self._stepping is None and self.kept.session.record.untold > 0

    async def ask(self) -> pb.RunSessionResponse | None:
        """Return the untold trials of the present generation once it is computed; None if the session has ended.

        Raises
        ------
        ServiceError
            UNAVAILABLE: the generator's plugin is away; FAILED_PRECONDITION: the session can't continue.
        """
        return await _whole(self._ask())

    async def change(self, function: Callable[[DurableSession], T]) -> T:
        """Apply ``function``, which changes the session other than by a step, write the change to disk and return the result."""
        return await _whole(self._change(function))

    async def read(self, function: Callable[[DurableSession], T]) -> T:
        """Return the result of ``function``, which reads the session in a thread while nothing changes it."""
        return await _whole(self._read(function))

    async def close(self) -> None:
        """Wait for the running step, then close the session's files and its plugin."""
        self.broken = True
        self._asking.let_go()
        async with self._turn:
            if self._stepping is not None:
                await asyncio.wait([self._stepping])
            self.kept.close()
            self._asking.close()

    async def _apply(self, claim: StreamClaim | None, steps: Sequence[Step]) -> tuple[list[pb.Ack], int, ServiceError | None]:
        acks: list[pb.Ack] = []
        used = 0
        error: ServiceError | None = None
        async with self._turn:
            await self._settled()
            self.require_claim(claim)
            for step in steps:
                used += 1
                try:
                    acks.append(await self._take(step))
                except ServiceError as refusal:
                    error = refusal
                    break
                if self.kept.session.complete:
                    break
            records = self.kept.take()
            writing = asyncio.ensure_future(self._in(self._disk, self.kept.write, records) if records else _nothing())
            if self.kept.session.complete:
                # the next generation is computed while this one's last responses are being written
                self.asked_at = None
                self._stepping = asyncio.ensure_future(self._next(writing))
            try:
                await writing
            except OSError as failure:
                raise self._lost(failure) from failure
            self.used = time.monotonic()
        return acks, used, error

    async def _ask(self) -> pb.RunSessionResponse | None:
        async with self._turn:
            await self._settled()
            session = self.kept.session
            if session.stopped_by:
                return None
            trouble, self._trouble = self._trouble, None
            if trouble is not None:
                raise trouble
            if self._encoded is None or self._encoded[0] != session.record.generation:
                self._encoded = (session.record.generation, await self._computed(partial(wire.encoded, session)))
            message = wire.ask(session, self._encoded[1])
            if self.asked_at is None:
                self.asked_at = time.monotonic()
            return message

    async def _change(self, function: Callable[[DurableSession], T]) -> T:
        async with self._turn:
            await self._settled()
            found = function(self.kept)
            try:
                await self._in(self._disk, self.kept.flush)
            except OSError as failure:
                raise self._lost(failure) from failure
            return found

    async def _read(self, function: Callable[[DurableSession], T]) -> T:
        async with self._turn:
            await self._settled()
            return await self._computed(partial(function, self.kept))

    async def _next(self, writing: asyncio.Future[None]) -> None:
        try:
            await self._computed(self._step)
        except ServiceError:  # the scores need stimuli of a plugin that is away: a session can't continue from half a step
            self.broken = True
            raise
        await writing
        if self.kept.session.stopped_by:
            await self._in(self._disk, self.kept.flush)

    async def _take(self, step: Step) -> pb.Ack:
        from ...engine.spec import ComponentSpec

        kept = self.kept
        require_open(self.name, kept)
        trials = late = 0
        with engine_refusals():
            if isinstance(step, pb.Tell):
                receipt = kept.tell(wire.trial_responses(step))
                trials, late = receipt.trials, receipt.late
            elif isinstance(step, pb.Advance):
                kept.advance(step.generation, "client")
            elif isinstance(step, pb.RestartClock):
                kept.restart_clock(step.clock)
            elif isinstance(step, pb.MarkTrial):
                kept.mark(step.trial, bad=step.bad)
            elif isinstance(step, pb.Finish):
                kept.finish(at_once=step.at_once)
            else:
                named = plain(step.objective) if step.HasField("objective") else None
                objective = None if named is None else ComponentSpec.model_validate(named)
                await self._in(self._work, kept.change, objective, step.unit, step.thread)
        return pb.Ack(sequence=kept.sequence, trials=trials, late=late, untold=kept.session.record.untold)

    def _step(self) -> None:
        from ...models.plugins.connection import PluginError

        self.kept.step()
        session = self.kept.session
        self._encoded = self._trouble = None
        if not session.stopped_by:
            try:
                self._encoded = (session.record.generation, wire.encoded(session))
            except PluginError as error:  # the step is complete; the next ask for its stimuli raises this
                self._trouble = unanswered(self.name, error)

    async def _settled(self) -> None:
        if self._stepping is not None:
            stepping, self._stepping = self._stepping, None
            try:
                await stepping
            except OSError as failure:
                raise self._lost(failure) from failure
        if self.broken:
            what = f"{self.name} had to be let go of; open it again"
            raise ServiceError(grpc.StatusCode.UNAVAILABLE, what, reason="SESSION_DROPPED", retry_seconds=0.1)

    async def _computed(self, function: Callable[[], T]) -> T:
        """Return the result of ``function``, run in a thread; an error of a component's own code marks the session as broken."""
        from ...models.plugins.connection import PluginError

        try:
            return await self._in(self._work, partial(alone, function))
        except PluginError as error:
            raise unanswered(self.name, error) from error
        except (OSError, ServiceError):
            raise
        except Exception as error:
            self.broken = True
            _log.exception("%s broke", self.name)
            what = f"{self.name} can't go on: {type(error).__name__}: {error}; all that was told is kept"
            raise ServiceError(grpc.StatusCode.FAILED_PRECONDITION, what, reason="CANNOT_GO_ON") from error

    def _lost(self, failure: OSError) -> ServiceError:
        """Return the refusal for a failed write, and mark the session as broken: memory holds more than the disk."""
        self.broken = True
        _log.error("%s: its log can't be written: %s", self.name, failure)
        if failure.errno in OUT_OF_ROOM:
            return exhausted("nothing was kept of what was not acknowledged", failure)
        what = f"the log of {self.name} can't be written ({failure.strerror}); open it again"
        return ServiceError(grpc.StatusCode.UNAVAILABLE, what, reason="STORAGE_UNAVAILABLE", retry_seconds=2.0)

    async def _in(self, executor: Executor, function: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(executor, partial(function, *arguments))


async def _whole(work: Coroutine[Any, Any, T]) -> T:
    """Run ``work`` to its end, even if the caller is cancelled."""
    return await asyncio.shield(asyncio.ensure_future(work))


async def _nothing() -> None:
    """Do nothing: no records to write."""


def alone(function: Callable[[], T]) -> T:
    """Return the result of ``function``, run with one CPU thread of torch: results may depend on the number of threads."""
    import torch

    if torch.get_num_threads() != 1:
        torch.set_num_threads(1)
    return function()
