"""Plugins that connect to a server, for hosts that the server can't reach."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import grpc

from actmax.v1 import plugin_service_pb2 as pb
from actmax.v1 import plugin_service_pb2_grpc

from ...wire.errors import ActmaxError
from ...wire.retry import BROKEN_OFF, Backoff, RetryPolicy, pause_after
from ...wire.status import from_rpc, number_of
from ...wire.transport import DEFAULT_ADDRESS, STREAM_OPTIONS, Credentials, RequestStream, open_channel
from .analysis import AnalysisFunction, AnalysisPlugin
from .parts import Fault, Function, GeneratorPlugin, TargetPlugin
from .serving import Plugin, kind_of

_Stream = RequestStream[pb.OfferRequest, pb.OfferResponse]
_SETTINGS = ("server", "credentials", "patience", "shared_with")


class PluginOffering:
    """One plugin, offered to a server under a name; once entered, it answers in a separate thread.

    A lost connection is reopened, for ``patience`` seconds. If another process of the same owner offers a plugin of the same kind and name,
    that process replaces this one, which ends with an error, so that two processes never alternate.

    Parameters
    ----------
    plugin : TargetPlugin, GeneratorPlugin or AnalysisPlugin
        The plugin.
    name : str
        Name for jobs to use: letters, digits, ``.``, ``_`` and ``-``.
    server : str
        ``host:port``, or ``grpcs://host:port``.
    credentials : Credentials, optional
        A token, and files for TLS; those of the environment by default.
    patience : float
        Seconds for which a lost server is waited for.
    shared_with : sequence of str
        Other owners whose jobs may use the plugin, as ``owner/name``; ``*`` for all owners.
    """

    def __init__(
        self,
        plugin: Plugin,
        name: str,
        server: str = DEFAULT_ADDRESS,
        *,
        credentials: Credentials | None = None,
        patience: float = 300.0,
        shared_with: Sequence[str] = (),
    ) -> None:
        self._plugin, self._server = plugin, server
        described = {kind_of(plugin): plugin.description}
        self._offer = pb.OfferRequest(offer=pb.PluginOffer(name=name, shared_with=shared_with, **described))  # type: ignore[arg-type]
        self._channel = open_channel(server, credentials, STREAM_OPTIONS)
        self._backoff = Backoff(RetryPolicy(patience, most=1.0))
        self._calls: queue.SimpleQueue[tuple[_Stream, pb.PluginCall] | None] = queue.SimpleQueue()
        self._changed = threading.Condition()
        self._there = self._closed = False
        self._error: ActmaxError | None = None
        self._stream: _Stream | None = None
        self._cancelled: set[int] = set()
        self._threads: list[threading.Thread] = []
        self.answered = 0
        """Number of answered calls."""

    def __enter__(self) -> Self:
        """Connect, and return once the server has accepted the offer.

        Raises
        ------
        ActmaxError
            The server refuses, or can't be reached.
        """
        self._threads = [threading.Thread(target=work, name="plugin", daemon=True) for work in (self._listen, self._answer)]
        for thread in self._threads:
            thread.start()
        with self._changed:
            self._changed.wait_for(lambda: self._there or self._error is not None)
        if self._error is not None:
            self.close()
            raise self._error
        return self

    def __exit__(self, *_: object) -> None:
        """End the offer; jobs that use the plugin wait for a while, then fail."""
        self.close()

    def close(self) -> None:
        """End the offer; jobs that use the plugin wait for a while, then fail."""
        with self._changed:
            self._closed = True
            stream = self._stream
            self._changed.notify_all()
        if stream is not None:
            stream.close()
        self._calls.put(None)
        for thread in self._threads:
            thread.join(5.0)
        self._channel.close()

    def wait(self) -> None:
        """Wait until the process is interrupted.

        Raises
        ------
        ActmaxError
            Another process has replaced this one, the server refuses the offer, or was away for too long.
        """
        with contextlib.suppress(KeyboardInterrupt), self._changed:
            while self._error is None and not self._closed:
                self._changed.wait(1.0)
        if self._error is not None:
            raise self._error

    def _listen(self) -> None:
        """Keep a stream open, and queue the calls that it receives."""
        while not self._closed:
            stream: _Stream = RequestStream(plugin_service_pb2_grpc.PluginServiceStub(self._channel).Offer, self._offer)
            with self._changed:
                self._stream, self._cancelled = stream, set()
            failure: grpc.RpcError | None = None
            try:
                for response in stream.answers:
                    self._received(stream, response)
            except grpc.RpcError as error:
                failure = error
            stream.close()
            if self._closed:
                return
            pause = self._backoff.next() if failure is None else pause_after(failure, self._backoff, BROKEN_OFF)
            if pause is None:
                self._end(failure)
                return
            time.sleep(pause)

    def _received(self, stream: _Stream, response: pb.OfferResponse) -> None:
        self._backoff.reset()
        match response.WhichOneof("content"):
            case "offered":
                with self._changed:
                    self._there = True
                    self._changed.notify_all()
            case "call":
                self._calls.put((stream, response.call))
            case "cancel":
                self._cancelled.add(response.cancel.call)
            case _:
                pass

    def _end(self, failure: grpc.RpcError | None) -> None:
        with self._changed:
            lost = ActmaxError(f"the server at {self._server} keeps ending the stream", code="UNAVAILABLE")
            self._error = from_rpc(failure, self._server) if failure is not None else lost
            self._changed.notify_all()

    def _answer(self) -> None:
        """Answer the queued calls, one by one."""
        while (item := self._calls.get()) is not None:
            stream, call = item
            if stream.closed or call.call in self._cancelled:
                self._cancelled.discard(call.call)
                continue
            stream.send(pb.OfferRequest(answer=self._answered(call)))
            self.answered += 1

    def _answered(self, call: pb.PluginCall) -> pb.PluginAnswer:
        plugin: Any = self._plugin
        try:
            match call.WhichOneof("request"):
                case "respond":
                    return pb.PluginAnswer(call=call.call, respond=plugin.answer(call.respond))
                case "generate":
                    return pb.PluginAnswer(call=call.call, generate=plugin.answer(call.generate))
                case "bank":
                    return pb.PluginAnswer(call=call.call, bank=plugin.bank_part(call.bank))
                case "step":
                    return pb.PluginAnswer(call=call.call, step=plugin.answer(call.step))
                case _:
                    raise Fault("this call is not known here; is the server newer?", grpc.StatusCode.UNIMPLEMENTED, "UNKNOWN_CALL")
        except Fault as fault:
            told = pb.PluginFault(
                code=number_of(fault.code), message=str(fault)[:1000], reason=fault.reason, retry_seconds=fault.retry_seconds
            )
            return pb.PluginAnswer(call=call.call, fault=told)


def offer_target(target: Function | Mapping[str, Function] | TargetPlugin, name: str, **settings: Any) -> None:
    """Connect to a server and answer stimuli until interrupted.

    ::

        offer_target(lambda images: images.std((1, 2, 3)), "contrast", server="127.0.0.1:50051", shape=(3, 32, 32))

    Parameters
    ----------
    target : callable, mapping of str to callable, or TargetPlugin
        See :class:`TargetPlugin`.
    name : str
        Name for jobs to use: ``target: {name: remote, options: {plugin: contrast}}``.
    **settings
        Parameters of :class:`PluginOffering` (``server``, ``credentials``, ``patience``, ``shared_with``); all others of
        :class:`TargetPlugin`.
    """
    _wait(name, settings, lambda more: target if isinstance(target, TargetPlugin) else TargetPlugin(target, **more))


def offer_generator(decode: Function | GeneratorPlugin, name: str, **settings: Any) -> None:
    """Connect to a server and decode latents until interrupted.

    Parameters
    ----------
    decode : callable or GeneratorPlugin
        See :class:`GeneratorPlugin`.
    name : str
        Name for jobs to use.
    **settings
        Parameters of :class:`PluginOffering` and :class:`GeneratorPlugin`.
    """
    _wait(name, settings, lambda more: decode if isinstance(decode, GeneratorPlugin) else GeneratorPlugin(decode, **more))


def offer_analysis(function: AnalysisFunction | AnalysisPlugin, name: str, **settings: Any) -> None:
    """Connect to a server and analyse jobs until interrupted.

    Parameters
    ----------
    function : callable or AnalysisPlugin
        See :class:`AnalysisPlugin`.
    name : str
        Name for jobs to use.
    **settings
        Parameters of :class:`PluginOffering` and :class:`AnalysisPlugin`.
    """
    _wait(name, settings, lambda more: function if isinstance(function, AnalysisPlugin) else AnalysisPlugin(function, **more))


def _wait(name: str, settings: Mapping[str, Any], make: Callable[[dict[str, Any]], Plugin]) -> None:
    offering = {key: settings[key] for key in _SETTINGS if key in settings}
    plugin = make({key: value for key, value in settings.items() if key not in _SETTINGS})
    with PluginOffering(plugin, name, **offering) as offered:
        print(f"plugin {name} has dialled in to {offering.get('server', DEFAULT_ADDRESS)}", flush=True)
        offered.wait()
