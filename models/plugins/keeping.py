"""What a plugin said of itself, kept by who has to go on without it: a session that is replayed asks it for stimuli alone."""

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
    """A generator's plugin as a session has it: described once, and told of soon where it is away.

    Attributes
    ----------
    described : bytes
        Its ``GeneratorDescription``; empty where the session has no plugin, or before it has described itself.
    bank : Tensor or None
        (k, *latent) its natural latents, where it has some.
    seconds : float
        Within which it has to describe itself.
    """

    described: bytes = b""
    bank: Tensor | None = None
    seconds: float = math.inf
    _connections: list[PluginConnection] = field(default_factory=list)
    _closed: bool = False

    @property
    def version(self) -> str:
        """The version that it described itself as; empty before."""
        return pb.GeneratorDescription.FromString(self.described).version if self.described else ""

    @contextlib.contextmanager
    def keeping(self) -> Iterator[None]:
        """Within it this is the plugin of a generator that is made from its options."""
        token = _kept.set(self)
        try:
            yield
        finally:
            _kept.reset(token)
            for connection in self._connections:
                connection.until = math.inf

    def connected(self, connection: PluginConnection) -> None:
        """Take a connection, which is closed with this."""
        connection.until = time.monotonic() + self.seconds
        self._connections.append(connection)
        if self._closed:
            self.close()
            raise PluginError(f"{connection.shown}: it was let go of", away=True)

    def close(self) -> None:
        """Let go of the plugin, from any thread: who waits for it waits no more."""
        self._closed = True
        for connection in list(self._connections):
            connection.close()


_kept: ContextVar[KeptPlugin | None] = ContextVar("kept", default=None)


def kept_plugin() -> KeptPlugin | None:
    """The one of the session that is being made here; None for anything else."""
    return _kept.get()
