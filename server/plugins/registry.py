"""The registry of connected plugins: their calls and answers.

Requests have passed ``Admission``, so they keep the constraints of their proto.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from dataclasses import dataclass, field
from typing import Literal

import grpc
from google.protobuf.message import Message

from actmax.v1 import plugin_service_pb2 as pb

from ...wire.status import code_of
from ..errors import ServiceError, invalid, stopping
from ..security.principal import Principal

Kind = Literal["target", "generator", "analysis"]
_EVERYONE = "*"
_PER_OWNER = 100
_WAITING = 32
_MOST_DESCRIPTION = 4 << 20
_AWAY_SECONDS = 1.0
"""Seconds that one request waits for a plugin that is away; the caller tries again."""


@dataclass(eq=False)
class Waiting:
    """A call that waits for its answer: ``content`` names the field of the call and of its answer."""

    content: str
    call: pb.PluginCall
    answer: asyncio.Future[Message]
    sent: bool = False


@dataclass(eq=False)
class Offered:
    """One open stream of a plugin: its description, its outbox and its open calls."""

    owner: str
    kind: Kind
    name: str
    description: pb.TargetDescription | pb.GeneratorDescription | pb.AnalysisDescription
    shared_with: frozenset[str]
    # Numbers of calls, not the calls: an abandoned call is not sent, and uses no memory for a plugin that does not read.
    outbox: asyncio.Queue[int | pb.CancelPluginCall | ServiceError | None] = field(default_factory=asyncio.Queue)
    calls: dict[int, Waiting] = field(default_factory=dict)
    numbers: Iterable[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def key(self) -> tuple[str, Kind, str]:
        """Owner, kind and name: the registry's key."""
        return self.owner, self.kind, self.name

    def open_to(self, owner: str) -> bool:
        """Return whether jobs of ``owner`` may use the plugin."""
        return owner == self.owner or bool(self.shared_with & {owner, _EVERYONE})


class Plugins:
    """All plugins that have connected to this server. Used from its event loop alone."""

    def __init__(self) -> None:
        self._there: dict[tuple[str, Kind, str], Offered] = {}
        self._came = asyncio.Condition()
        self._closed = False

    def close(self) -> None:
        """End every plugin's stream with the refusal that the server stops."""
        self._closed = True
        for offered in self._there.values():
            offered.outbox.put_nowait(stopping())

    def visible_to(self, caller: Principal) -> list[Offered]:
        """Return the plugins that the caller's jobs may use, sorted by owner, kind and name; all plugins for administrators."""
        found = [offered for offered in self._there.values() if caller.sees is None or offered.open_to(caller.owner)]
        return sorted(found, key=lambda offered: offered.key)

    async def offer(self, requests: AsyncIterator[pb.OfferRequest], owner: str) -> AsyncGenerator[pb.OfferResponse, None]:
        """Register the plugin of a stream, send it calls and hand on its answers, until the stream ends.

        Parameters
        ----------
        requests : async iterator of OfferRequest
            First ``offer``, then answers.
        owner : str
            The caller's owner name.

        Raises
        ------
        ServiceError
            INVALID_ARGUMENT, RESOURCE_EXHAUSTED (too many plugins), ABORTED (a newer process offers the same plugin) or UNAVAILABLE.
        """
        first = await anext(requests, None)
        if first is None:
            return
        if first.WhichOneof("content") != "offer":
            raise invalid("content", "a stream begins with offer", reason="NOT_OFFER")
        offered = self._enter(first.offer, owner)
        reader = asyncio.ensure_future(self._read(offered, requests))
        try:
            async with self._came:
                self._came.notify_all()
            yield pb.OfferResponse(offered=pb.PluginOffered(name=offered.name, owner=owner))
            while (item := await offered.outbox.get()) is not None:
                if isinstance(item, ServiceError):
                    raise item
                if isinstance(item, pb.CancelPluginCall):
                    yield pb.OfferResponse(cancel=item)
                elif (waiting := offered.calls.get(item)) is not None:
                    waiting.sent = True
                    yield pb.OfferResponse(call=waiting.call)
        finally:
            reader.cancel()
            if self._there.get(offered.key) is offered:
                del self._there[offered.key]
            for waiting in offered.calls.values():
                if not waiting.answer.done():
                    waiting.answer.set_exception(_away(offered.name, "its stream broke off", "PLUGIN_LOST"))

    async def ask(self, owner: str, kind: Kind, plugin: str, request: Message, content: str, seconds: float) -> Message:
        """Send a call to a plugin and return its answer.

        Parameters
        ----------
        owner : str
            Owner of the job or session that asks.
        kind : str
            "target", "generator" or "analysis".
        plugin : str
            The plugin's name, or ``owner/name`` for one that another owner shares.
        request : Message
            The request.
        content : str
            Field of the call that takes ``request``, and of the answer.
        seconds : float
            Time limit of the whole call.

        Returns
        -------
        Message
            The field ``content`` of the answer.

        Raises
        ------
        ServiceError
            UNAVAILABLE: the plugin is away, or disconnected; DEADLINE_EXCEEDED; RESOURCE_EXHAUSTED: too many calls wait for the plugin; or
            the plugin's own error.
        """
        deadline = asyncio.get_running_loop().time() + seconds
        offered = await self.found(owner, kind, plugin, min(_AWAY_SECONDS, seconds / 2))
        if len(offered.calls) >= _WAITING:
            what = f"{_WAITING} calls wait for plugin {offered.name} already"
            raise ServiceError(grpc.StatusCode.RESOURCE_EXHAUSTED, what, reason="PLUGIN_BUSY", retry_seconds=1.0)
        left = max(0.0, deadline - asyncio.get_running_loop().time())
        number = next(iter(offered.numbers))
        call = pb.PluginCall(call=number, seconds=left)
        getattr(call, content).CopyFrom(request)
        waiting = offered.calls[number] = Waiting(content, call, asyncio.get_running_loop().create_future())
        offered.outbox.put_nowait(number)
        try:
            async with asyncio.timeout(left):
                return await waiting.answer
        except TimeoutError:
            what = f"plugin {offered.name} did not answer within {seconds:.3g} s"
            raise ServiceError(grpc.StatusCode.DEADLINE_EXCEEDED, what, reason="PLUGIN_TOO_SLOW") from None
        finally:
            del offered.calls[number]
            if waiting.sent and waiting.answer.cancelled():
                offered.outbox.put_nowait(pb.CancelPluginCall(call=number))

    async def found(self, owner: str, kind: Kind, plugin: str, seconds: float = 0.0) -> Offered:
        """Return a connected plugin, waiting up to ``seconds`` for one that is away.

        Parameters
        ----------
        owner : str
            Owner of the job or session that asks.
        kind : str
            "target", "generator" or "analysis".
        plugin : str
            The plugin's name, or ``owner/name`` for one that another owner shares.
        seconds : float
            Longest time to wait.

        Raises
        ------
        ServiceError
            UNAVAILABLE: the plugin is not connected or not shared with ``owner``, or the server stops.
        """
        whose, slash, name = plugin.rpartition("/")
        key = (whose if slash else owner, kind, name)

        def there() -> bool:
            offered = self._there.get(key)
            return self._closed or (offered is not None and offered.open_to(owner))

        if seconds > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds), self._came:
                    await self._came.wait_for(there)
        if self._closed:
            raise stopping()
        if not there():  # the answer must not reveal plugins that are not shared
            known = [each for each in self._there.values() if each.kind == kind and each.open_to(owner)]
            names = ", ".join(sorted(each.name if each.owner == owner else f"{each.owner}/{each.name}" for each in known)[:5])
            raise _away(plugin, f"no such {kind} has dialled in to this server; there are: {names or 'none'}", "PLUGIN_AWAY")
        return self._there[key]

    def _enter(self, offer: pb.PluginOffer, owner: str) -> Offered:
        if self._closed:
            raise stopping()
        kind: Kind = offer.WhichOneof("description") or "target"  # one is required
        if getattr(offer, kind).ByteSize() > _MOST_DESCRIPTION:
            raise invalid(f"offer.{kind}", f"a description has at most {_MOST_DESCRIPTION >> 20} MiB")
        offered = Offered(owner, kind, offer.name, getattr(offer, kind), frozenset(offer.shared_with))
        older = self._there.get(offered.key)
        if older is None and sum(each.owner == owner for each in self._there.values()) >= _PER_OWNER:
            what = f"{_PER_OWNER} plugins of yours have dialled in already"
            raise ServiceError(grpc.StatusCode.RESOURCE_EXHAUSTED, what, reason="TOO_MANY_PLUGINS", retry_seconds=30.0)
        self._there[offered.key] = offered
        if older is not None:
            what = f"a newer process offers the {kind} {offer.name!r} now"
            older.outbox.put_nowait(ServiceError(grpc.StatusCode.ABORTED, what, reason="PLUGIN_REPLACED"))
        return offered

    async def _read(self, offered: Offered, requests: AsyncIterator[pb.OfferRequest]) -> None:
        """Hand each answer to the call that waits for it, until the stream ends."""
        end: ServiceError | None = None
        try:
            async for request in requests:
                if request.WhichOneof("content") != "answer":
                    raise invalid("content", "after offer come answers", reason="NOT_ANSWER")
                _take(offered, request.answer)
        except ServiceError as error:
            end = error
        except Exception:  # the plugin is gone: the stream's own coroutine ends
            pass
        offered.outbox.put_nowait(end)


def _take(offered: Offered, answer: pb.PluginAnswer) -> None:
    waiting = offered.calls.get(answer.call)
    if waiting is None or waiting.answer.done():
        return  # the call was abandoned
    content, future = waiting.content, waiting.answer
    if answer.HasField("fault"):
        fault = answer.fault
        reason, again = fault.reason or "PLUGIN_FAULT", fault.retry_seconds
        future.set_exception(ServiceError(code_of(fault.code), fault.message, reason=reason, retry_seconds=again))
    elif answer.WhichOneof("content") != content:
        what = f"plugin {offered.name} gave another answer than was asked for: {answer.WhichOneof('content')}, not {content}"
        future.set_exception(ServiceError(grpc.StatusCode.FAILED_PRECONDITION, what, reason="WRONG_ANSWER"))
    else:
        future.set_result(getattr(answer, content))


def _away(name: str, what: str, reason: str) -> ServiceError:
    return ServiceError(grpc.StatusCode.UNAVAILABLE, f"plugin {name!r}: {what}", reason=reason)
