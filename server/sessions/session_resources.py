"""Sessions whose generator is a plugin: what they may ask, in which threads, and what is told when it does not answer."""

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
"""Gives the address of the relay to the plugins of the owner of that name, empty for none."""

_REMOTE = "remote"


class SessionResources:
    """A session's plugin, if it has one. Waiting for it holds up nobody else: it has a thread of its own.

    Parameters
    ----------
    config : ServerConfig
        The server's settings.
    relay : callable
        Gives the address of the relay to the owner's plugins.
    owner : str
        Whose session it is, whoever asks for it.
    spec : SessionSpec
        As it was created.
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
        """For a session that is about to be made, in a thread; one that is ``created`` waits for its plugin as long as for a check."""
        from ...models.plugins.keeping import KeptPlugin

        self._plugin = found = KeptPlugin(seconds=self._seconds) if created else KeptPlugin()
        if self._closed:
            found.close()
        return found

    def let_go(self) -> None:
        """Close the plugin's connection: who waits for it waits no more."""
        self._closed = True
        if self._plugin is not None:
            self._plugin.close()

    def close(self) -> None:
        """Let go of the plugin, and of the thread: nothing is computed in it after this."""
        self.let_go()
        if self._own is not None:
            self._own.shutdown(wait=False)
