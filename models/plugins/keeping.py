"""A plugin's description and bank, kept by a session, so that a replay only asks for stimuli."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field

from torch import Tensor

from actmax.v1 import plugin_service_pb2 as pb

from .connection import PluginConnection, PluginError


@dataclass(eq=False)
class KeptPlugin:
    """A session's generator plugin: described once, and quickly reported when it is away.

    Attributes
    ----------
    described : bytes
        Its ``GeneratorDescription``; empty without a plugin, or before it has described itself.
    bank : Tensor or None
        (k, *latent) natural latents; None without any.
    seconds : float
        Seconds within which it has to describe itself.
    """

    described: bytes = b""
    bank: Tensor | None = None
    seconds: float = math.inf
    _connections: list[PluginConnection] = field(default_factory=list)
    _closed: bool = False

    @property
    def version(self) -> str:
        """The version in its description; empty before it has described itself."""
        return pb.GeneratorDescription.FromString(self.described).version if self.described else ""

    @contextlib.contextmanager
    def keeping(self) -> Iterator[None]:
        """Let generators that are made from options within the block use this plugin."""
        token = _kept.set(self)
        try:
            yield
        finally:
            _kept.reset(token)
            for connection in self._connections:
                connection.until = math.inf

    def connected(self, connection: PluginConnection) -> None:
        """Register a connection, which :meth:`close` closes; raise PluginError if this plugin is closed already."""
        connection.until = time.monotonic() + self.seconds
        self._connections.append(connection)
        if self._closed:
            self.close()
            raise PluginError(f"{connection.shown}: its connection was closed", away=True)

    def close(self) -> None:
        """Close the connections to the plugin, from any thread; calls in progress fail at once."""
        self._closed = True
        for connection in list(self._connections):
            connection.close()


_kept: ContextVar[KeptPlugin | None] = ContextVar("kept", default=None)


def kept_plugin() -> KeptPlugin | None:
    """Return the plugin of the session whose generator is being made in this context; None outside of one."""
    return _kept.get()
