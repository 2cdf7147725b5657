"""Plugins that listen at an address."""

from __future__ import annotations

import contextlib
import hmac
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn, Self

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from actmax.v1 import plugin_service_pb2 as pb
from actmax.v1 import plugin_service_pb2_grpc as rpc

from ...wire.errors import InvalidInput
from ...wire.status import StatusDetails, pack_status, trailers
from .analysis import AnalysisFunction, AnalysisPlugin
from .parts import MESSAGE_BYTES, Fault, Function, GeneratorPlugin, TargetPlugin

DEFAULT_ADDRESS = "127.0.0.1:50061"
Plugin = TargetPlugin | GeneratorPlugin | AnalysisPlugin
_KINDS: dict[type[Any], str] = {TargetPlugin: "target", GeneratorPlugin: "generator", AnalysisPlugin: "analysis"}


def kind_of(plugin: Plugin) -> str:
    """Return "target", "generator" or "analysis"."""
    return next(name for kind, name in _KINDS.items() if isinstance(plugin, kind))


class PluginServer:
    """Serves plugins while it is entered: ``with PluginServer(plugin, "127.0.0.1:0") as server: print(server.address)``.

    Parameters
    ----------
    plugins : TargetPlugin, GeneratorPlugin, AnalysisPlugin, or mapping of str to these
        One plugin, or several by name.
    address : str
        ``host:port``; port 0 picks a free one.
    token : str
        Token that callers must send (``authorization: Bearer ...``); none by default: then listen on loopback or a private network only.
    certificate, key : bytes
        PEM, for TLS.
    threads : int
        Calls that are answered at the same time; 1 for functions that are not thread-safe.

    Raises
    ------
    InvalidInput
        The address can't be listened on.
    """

    def __init__(
        self,
        plugins: Plugin | Mapping[str, Plugin],
        address: str = DEFAULT_ADDRESS,
        *,
        token: str = "",
        certificate: bytes = b"",
        key: bytes = b"",
        threads: int = 1,
    ) -> None:
        named = plugins if isinstance(plugins, Mapping) else {"": plugins}
        self._services = _Services(named, token, threads)
        self._threads = ThreadPoolExecutor(threads + 2, "plugin")  # two more, so that health checks are answered while functions run
        largest = max((plugin.description.max_message_bytes for plugin in named.values()), default=MESSAGE_BYTES)
        options = [("grpc.max_receive_message_length", largest), ("grpc.max_send_message_length", -1), ("grpc.so_reuseport", 0)]
        self._server = grpc.server(self._threads, options=options, maximum_concurrent_rpcs=64)
        rpc.add_TargetServiceServicer_to_server(_Targets(self._services), self._server)
        rpc.add_GeneratorServiceServicer_to_server(_Generators(self._services), self._server)
        rpc.add_AnalysisServiceServicer_to_server(_Analyses(self._services), self._server)
        healthy = health.HealthServicer()
        healthy.set("", health_pb2.HealthCheckResponse.SERVING)
        health_pb2_grpc.add_HealthServicer_to_server(healthy, self._server)
        try:
            if certificate:
                port = self._server.add_secure_port(address, grpc.ssl_server_credentials([(key, certificate)]))
            else:
                port = self._server.add_insecure_port(address)
        except RuntimeError:
            port = 0
        if not port:
            raise InvalidInput(f"{address} can't be listened on: it is taken, or not for this user to take; port 0 picks a free one")
        self.address = f"{address.rpartition(':')[0]}:{port}"

    def __enter__(self) -> Self:
        """Begin to answer, and return the server itself."""
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop after running calls are answered, at most half a second later."""
        self._server.stop(0.5).wait()
        self._threads.shutdown(wait=False)

    def wait(self) -> None:
        """Wait until the process is interrupted."""
        with contextlib.suppress(KeyboardInterrupt):
            self._server.wait_for_termination()


def serve_target(target: Function | Mapping[str, Function] | TargetPlugin, address: str = DEFAULT_ADDRESS, **settings: Any) -> None:
    """Answer stimuli at ``address`` until interrupted.

    ::

        serve_target(lambda images: images.std((1, 2, 3)), "127.0.0.1:50061", shape=(3, 32, 32))

    Parameters
    ----------
    target : callable, mapping of str to callable, or TargetPlugin
        See :class:`TargetPlugin`.
    address : str
        ``host:port``.
    **settings
        Parameters of :class:`PluginServer` (``token``, ``certificate``, ``key``, ``threads``); all others of :class:`TargetPlugin`.
    """
    _serve(address, settings, lambda more: target if isinstance(target, TargetPlugin) else TargetPlugin(target, **more))


def serve_generator(decode: Function | GeneratorPlugin, address: str = DEFAULT_ADDRESS, **settings: Any) -> None:
    """Decode latents at ``address`` until interrupted.

    Parameters
    ----------
    decode : callable or GeneratorPlugin
        See :class:`GeneratorPlugin`.
    address : str
        ``host:port``.
    **settings
        Parameters of :class:`PluginServer` and :class:`GeneratorPlugin`.
    """
    _serve(address, settings, lambda more: decode if isinstance(decode, GeneratorPlugin) else GeneratorPlugin(decode, **more))


def serve_analysis(function: AnalysisFunction | AnalysisPlugin, address: str = DEFAULT_ADDRESS, **settings: Any) -> None:
    """Analyse jobs at ``address`` until interrupted.

    Parameters
    ----------
    function : callable or AnalysisPlugin
        See :class:`AnalysisPlugin`.
    address : str
        ``host:port``.
    **settings
        Parameters of :class:`PluginServer` and :class:`AnalysisPlugin`.
    """
    _serve(address, settings, lambda more: function if isinstance(function, AnalysisPlugin) else AnalysisPlugin(function, **more))


def _serve(address: str, settings: Mapping[str, Any], make: Callable[[dict[str, Any]], Plugin]) -> None:
    serving = {name: settings[name] for name in ("token", "certificate", "key", "threads") if name in settings}
    plugin = make({name: value for name, value in settings.items() if name not in serving})
    with PluginServer(plugin, address, **serving) as server:
        print(f"plugin serving on {server.address}", flush=True)
        server.wait()


class _Services:
    """The base of both services: authenticates the caller, finds the plugin, and ends a call with a status."""

    def __init__(self, plugins: Mapping[str, Plugin], token: str, threads: int) -> None:
        self._working = threading.Semaphore(threads)
        self._plugins, self._bearer = dict(plugins), f"Bearer {token}".encode() if token else b""

    def run(self, context: grpc.ServicerContext, name: str, kind: type[Any], answer: Callable[[Any], Any]) -> Any:
        try:
            if self._bearer:
                shown = dict(context.invocation_metadata()).get("authorization", "")
                if not hmac.compare_digest(str(shown).encode(), self._bearer):
                    raise Fault("this plugin asks for a token", grpc.StatusCode.UNAUTHENTICATED, "NO_TOKEN")
            plugin = self._plugins.get(name) or self._plugins.get("")
            if not isinstance(plugin, kind):
                known = ", ".join(key for key, each in self._plugins.items() if isinstance(each, kind) and key)
                raise Fault(
                    f"there is no {_KINDS[kind]} {name!r} here; there are: {known or 'none'}", grpc.StatusCode.NOT_FOUND, "NO_SUCH_PLUGIN"
                )
            with self._working:
                return answer(plugin)
        except Fault as fault:
            _abort(context, fault)


def _abort(context: grpc.ServicerContext, fault: Fault) -> NoReturn:
    details = StatusDetails(fault.reason, retry_seconds=fault.retry_seconds)
    status = pack_status(fault.code, str(fault)[:1000], details, "actmax-plugin")
    context.set_trailing_metadata(trailers(status))
    context.abort(fault.code, status.message)
    raise AssertionError("unreachable")


class _Targets(rpc.TargetServiceServicer):
    def __init__(self, services: _Services) -> None:
        self._services = services

    def Describe(self, request: pb.DescribePluginRequest, context: grpc.ServicerContext) -> pb.TargetDescription:
        return self._services.run(context, request.plugin, TargetPlugin, lambda plugin: plugin.description)

    def Respond(self, request: pb.RespondRequest, context: grpc.ServicerContext) -> pb.RespondResponse:
        return self._services.run(context, request.plugin, TargetPlugin, lambda plugin: plugin.answer(request))


class _Generators(rpc.GeneratorServiceServicer):
    def __init__(self, services: _Services) -> None:
        self._services = services

    def Describe(self, request: pb.DescribePluginRequest, context: grpc.ServicerContext) -> pb.GeneratorDescription:
        return self._services.run(context, request.plugin, GeneratorPlugin, lambda plugin: plugin.description)

    def Generate(self, request: pb.GenerateRequest, context: grpc.ServicerContext) -> pb.GenerateResponse:
        return self._services.run(context, request.plugin, GeneratorPlugin, lambda plugin: plugin.answer(request))

    def GetBank(self, request: pb.GetBankRequest, context: grpc.ServicerContext) -> pb.GetBankResponse:
        return self._services.run(context, request.plugin, GeneratorPlugin, lambda plugin: plugin.bank_part(request))


class _Analyses(rpc.AnalysisServiceServicer):
    def __init__(self, services: _Services) -> None:
        self._services = services

    def Describe(self, request: pb.DescribePluginRequest, context: grpc.ServicerContext) -> pb.AnalysisDescription:
        return self._services.run(context, request.plugin, AnalysisPlugin, lambda plugin: plugin.description)

    def Step(self, request: pb.AnalysisStepRequest, context: grpc.ServicerContext) -> pb.AnalysisStepResponse:
        return self._services.run(context, request.plugin, AnalysisPlugin, lambda plugin: plugin.answer(request))
