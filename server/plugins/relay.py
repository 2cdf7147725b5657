"""The relay between this server's workers and connected plugins: on loopback, with a ticket that is valid for one owner."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import Message

from actmax.v1 import plugin_service_pb2 as pb
from actmax.v1 import plugin_service_pb2_grpc as rpc

from ...wire.transport import ENVELOPE_BYTES, PLUGIN_BYTES, TICKET, UNSTATED_BYTES
from ..errors import ServiceError, abort
from .registry import Kind, Plugins

_HOST = "127.0.0.1"
_LONGEST = 86400.0
Context = grpc.aio.ServicerContext


class PluginRelay:
    """The services of targets, generators and analyses on a separate loopback port; the connected plugins answer.

    Parameters
    ----------
    plugins : Plugins
        The connected plugins.
    max_receive_bytes : int
        Largest message that this server receives, and so the largest answer of a plugin.
    """

    def __init__(self, plugins: Plugins, max_receive_bytes: int) -> None:
        self._plugins = plugins
        self._most = max_receive_bytes - ENVELOPE_BYTES
        self._secret = secrets.token_bytes(32)
        self._server: grpc.aio.Server | None = None
        self._port = 0

    async def start(self) -> None:
        """Listen on a free port.

        Raises
        ------
        OSError
            No loopback port is free.
        """
        options = [
            ("grpc.max_receive_message_length", PLUGIN_BYTES),
            ("grpc.max_send_message_length", -1),
            ("grpc.so_reuseport", 0),
        ]
        self._server = server = grpc.aio.server(options=options)
        rpc.add_TargetServiceServicer_to_server(_Targets(self), server)  # type: ignore[arg-type]
        rpc.add_GeneratorServiceServicer_to_server(_Generators(self), server)  # type: ignore[arg-type]
        rpc.add_AnalysisServiceServicer_to_server(_Analyses(self), server)  # type: ignore[arg-type]
        try:
            self._port = server.add_insecure_port(f"{_HOST}:0")
        except RuntimeError as error:
            raise OSError(f"no loopback port for plugins can be had: {error}") from error
        await server.start()

    async def stop(self) -> None:
        """Close the port."""
        if self._server is not None:
            await self._server.stop(0)

    def address(self, owner: str, *, patient: bool) -> str:
        """Return the relay's address with a ticket of ``owner``, for :attr:`actmax.models.permissions.Permissions.relay`.

        Parameters
        ----------
        owner : str
            The owner whose plugins, and those shared with them, may be asked.
        patient : bool
            Whether the client waits for a plugin that is away, as the processes that run jobs do.

        Returns
        -------
        str
            Empty if the relay was not started.
        """
        return f"relay://{self._ticket(owner)}@{_HOST}:{self._port}" + ("?patient" if patient else "") if self._port else ""

    async def describe(self, kind: Kind, request: pb.DescribePluginRequest, context: Context) -> Any:
        """Return a plugin's description, with ``max_message_bytes`` lowered to what this server can pass on at once."""

        async def told(owner: str) -> Message:
            offered = await self._plugins.found(owner, kind, request.plugin)
            described = type(offered.description)()
            described.CopyFrom(offered.description)  # type: ignore[arg-type]
            described.max_message_bytes = max(1, min((described.max_message_bytes or UNSTATED_BYTES) - ENVELOPE_BYTES, self._most))
            return described

        return await self._guarded(context, told)

    async def ask(self, kind: Kind, request: Any, content: str, context: Context) -> Any:
        """Return a plugin's answer to a request.

        Parameters
        ----------
        kind : Kind
            Kind of the plugin.
        request : Message
            The request, with the plugin's name.
        content : str
            Field of a ``PluginCall`` that takes the request.
        context : grpc.aio.ServicerContext
            The call, which is ended with a status if the plugin is away or fails.
        """
        return await self._guarded(
            context, lambda owner: self._plugins.ask(owner, kind, request.plugin, request, content, _seconds(context))
        )

    async def _guarded(self, context: Context, answer: Callable[[str], Awaitable[Message]]) -> Any:
        try:
            return await answer(self._owner(context))
        except Exception as error:
            await abort(context, error, "the relay to plugins")

    def _ticket(self, owner: str) -> str:
        name = base64.urlsafe_b64encode(owner.encode()).decode().rstrip("=")
        return f"{name}.{hmac.new(self._secret, owner.encode(), hashlib.sha256).hexdigest()}"

    def _owner(self, context: Context) -> str:
        shown = next((str(value) for key, value in context.invocation_metadata() or () if key == TICKET), "")
        name = shown.partition(".")[0]
        try:
            owner = base64.urlsafe_b64decode(name + "=" * (-len(name) % 4)).decode()
        except (ValueError, binascii.Error):
            owner = ""
        if not hmac.compare_digest(shown.encode(), self._ticket(owner).encode()):
            raise ServiceError(grpc.StatusCode.UNAUTHENTICATED, "this port is for the server's own workers", reason="NO_TICKET")
        return owner


class _Targets:
    def __init__(self, relay: PluginRelay) -> None:
        self._relay = relay

    async def Describe(self, request: pb.DescribePluginRequest, context: Context) -> Any:
        return await self._relay.describe("target", request, context)

    async def Respond(self, request: pb.RespondRequest, context: Context) -> Any:
        return await self._relay.ask("target", request, "respond", context)


class _Generators:
    def __init__(self, relay: PluginRelay) -> None:
        self._relay = relay

    async def Describe(self, request: pb.DescribePluginRequest, context: Context) -> Any:
        return await self._relay.describe("generator", request, context)

    async def Generate(self, request: pb.GenerateRequest, context: Context) -> Any:
        return await self._relay.ask("generator", request, "generate", context)

    async def GetBank(self, request: pb.GetBankRequest, context: Context) -> Any:
        return await self._relay.ask("generator", request, "bank", context)


class _Analyses:
    def __init__(self, relay: PluginRelay) -> None:
        self._relay = relay

    async def Describe(self, request: pb.DescribePluginRequest, context: Context) -> Any:
        return await self._relay.describe("analysis", request, context)

    async def Step(self, request: pb.AnalysisStepRequest, context: Context) -> Any:
        return await self._relay.ask("analysis", request, "step", context)


def _seconds(context: Context) -> float:
    left = context.time_remaining()
    # A little less than the caller waits, so that the caller receives the reason.
    return _LONGEST if left is None else max(0.0, min(left - min(0.2, left / 10), _LONGEST))
