"""What a session computes with: a thread, permissions, and the plugin if its generator is one."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

from actmax.v1 import session_pb2

from ..config import ServerConfig

if TYPE_CHECKING:
    from ...models.plugins.keeping import KeptPlugin

Relay = Callable[[str], str]
"""Returns the address of the relay to the plugins of an owner, given by name; empty for none."""

_REMOTE = "remote"


class SessionResources:
    """A session's permissions, thread and plugin. A session with a plugin has its own thread, so that waiting blocks no other session.

    Parameters
    ----------
    config : ServerConfig
        The server's settings.
    relay : callable
        Returns the address of the relay to the owner's plugins.
    owner : str
        The session's owner, who may be another one than the caller.
    spec : SessionSpec
        The session's spec.
    work : Executor
        Threads that sessions without a plugin share.
    """

    def __init__(self, config: ServerConfig, relay: Relay, owner: str, spec: session_pb2.SessionSpec, work: Executor) -> None:
        self.permissions = replace(config.permissions, relay=relay(owner))
        self._own = ThreadPoolExecutor(1, "session-plugin") if spec.generator.name == _REMOTE else None
        self.work: Executor = self._own or work
        self._seconds = config.check_seconds
        self._plugin: KeptPlugin | None = None
        self._closed = False

    def plugin(self, *, created: bool = False) -> KeptPlugin:
        """Return the connection to the plugin of a session that is about to be built; called in the session's thread.

        Parameters
        ----------
        created : bool
            Whether the session is new: then its plugin is waited for as long as for a check.
        """
        from ...models.plugins.keeping import KeptPlugin

        self._plugin = found = KeptPlugin(seconds=self._seconds) if created else KeptPlugin()
        if self._closed:
            found.close()
        return found

    def let_go(self) -> None:
        """Close the plugin's connection, which ends any wait for the plugin."""
        self._closed = True
        if self._plugin is not None:
            self._plugin.close()

    def close(self) -> None:
        """Close the plugin's connection and end the thread; nothing may be computed afterwards."""
        self.let_go()
        if self._own is not None:
            self._own.shutdown(wait=False)
