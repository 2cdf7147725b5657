"""``actmax.v1.PluginService``."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator

from actmax.v1 import plugin_service_pb2 as pb

from ..plugins.registry import Plugins
from ..security.principal import current_principal
from .guard import stream, unary


class PluginServicer:
    """Answers calls about plugins with ``Plugins``."""

    def __init__(self, plugins: Plugins) -> None:
        self._plugins = plugins

    @stream
    async def Offer(self, requests: AsyncIterator[pb.OfferRequest]) -> AsyncGenerator[pb.OfferResponse, None]:
        """Register the caller's plugin and exchange calls and answers with it, until the stream ends."""
        async with contextlib.aclosing(self._plugins.offer(requests, current_principal.get().owner)) as responses:
            async for response in responses:
                yield response

    @unary
    async def ListPlugins(self, request: pb.ListPluginsRequest) -> pb.ListPluginsResponse:
        """Return the connected plugins that the caller's jobs may use."""
        del request
        found = self._plugins.visible_to(current_principal.get())
        return pb.ListPluginsResponse(
            plugins=[
                pb.PluginInfo(
                    name=offered.name,
                    owner=offered.owner,
                    kind=offered.kind,
                    version=offered.description.version,
                    shared_with=sorted(offered.shared_with),
                )
                for offered in found
            ]
        )
