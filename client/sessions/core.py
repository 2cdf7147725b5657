"""What a session's clients share, blocking or not: the conversation, its failures, and how the server is reached."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import grpc
import grpc.aio

from ..errors import ActmaxError, from_rpc, status_of
from ..jobs.client import CHANNEL_OPTIONS
from ..retry import Patience, Pauses, pause_after
from ..transport import SECURE, Credentials, open_channel, tls
from .conversation import Conversation, Generation

_AGAIN = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.DEADLINE_EXCEEDED})
# What grpc.aio makes of a write to a stream that has just ended; why it has is told again by the next one.
_UNSENT = "Internal error from Core"
# A peer that vanished without a word is noticed by pings.
_OPTIONS = (*CHANNEL_OPTIONS, ("grpc.keepalive_time_ms", 10_000), ("grpc.keepalive_timeout_ms", 5_000))
# Another client's stream may be one that is dying, such as that of a script that was just killed.
_IN_USE_SECONDS = 5.0
TELL_SECONDS = 180.0
"""For a tell by a call of its own."""

Metadata = list[tuple[str, str | bytes]]


class SessionCore:
    """A session's client but for the waiting.

    Parameters
    ----------
    name : str
        The session's, as in ``sessions/...``.
    address : str
        ``host:port`` of the server.
    credentials : Credentials, optional
        A token, and files for TLS; those of the environment by default.
    patience : float
        Seconds for which a lost server is waited for.
    take_over : bool
        End the stream of another client that runs the session.
    renew : bool
        Go on with a session that has expired.
    """

    def __init__(
        self,
        name: str,
        address: str,
        *,
        credentials: Credentials | None = None,
        patience: float = 300.0,
        take_over: bool = False,
        renew: bool = False,
    ) -> None:
        self.address = address
        self.credentials = credentials
        self._talk = Conversation(name, take_over=take_over, renew=renew)
        self._patience = patience
        self._failures = Failures(address, patience, self._talk)
        self._metadata = bearer(credentials)
        self.shown: Generation | None = None
        """The generation that was handed out last."""
        self.on_trouble: Callable[[str], None] = lambda _: None
        """Called with what is waited for, each time before the session is opened again."""

    @property
    def name(self) -> str:
        """As in ``sessions/...``."""
        return self._talk.session

    @property
    def ended(self) -> bool:
        """Whether a stop rule was reached."""
        return self._talk.ended

    @property
    def expires(self) -> float:
        """When the session expires without a word from the rig, in seconds since 1970, where the server has warned of that; else 0."""
        return self._talk.warning

    def _pause(self, error: grpc.RpcError | None) -> float:
        pause = self._failures.pause(error)
        self.on_trouble(from_rpc(error, self.address).message if error is not None else "the server has ended the stream")
        return pause

    def _again(self, error: grpc.RpcError, pauses: Pauses, in_use: Pauses) -> float:
        """Seconds before a call after the session's end is made again; raises what can't be helped."""
        found = from_rpc(error, self.address)
        pause = in_use.next() if found.reason == "SESSION_IN_USE" else pause_after(error, pauses, _AGAIN)
        if pause is None:
            raise found from None
        return pause

    def _late_pauses(self) -> tuple[Pauses, Pauses]:
        # the stream that the session has ended may still be on its way out
        return Pauses(Patience(self._patience, most=1.0)), Pauses(Patience(_IN_USE_SECONDS, first=0.01, most=0.5))

    def _can_show(self) -> bool:
        return self._talk.ended or self._talk.to_show() is not None

    def _hand_out(self) -> Generation | None:
        self.shown = None if self._talk.ended else self._talk.to_show()
        return self.shown


class Failures:
    """Whether to try again after a failure, and when."""

    def __init__(self, address: str, patience: float, talk: Conversation) -> None:
        self._address = address
        self._talk = talk
        self._pauses = Pauses(Patience(patience, most=1.0))
        self._in_use = Pauses(Patience(_IN_USE_SECONDS, most=0.5))
        self._plugin_away = False

    def reset(self, *, opened: bool = False) -> None:
        """Begin again: the server lives. That it has ``opened`` the session brings no plugin back, which is waited for no longer."""
        if not (opened and self._plugin_away):
            self._plugin_away = False
            self._pauses.reset()
        self._in_use.reset()

    def pause(self, error: grpc.RpcError | None) -> float:
        """Seconds to wait before the next try; raises what can't be helped."""
        if error is None:  # the stream ended in good order, before the session had
            error_, pause, refused = None, self._pauses.next(), False
        else:
            error_ = from_rpc(error, self._address)
            self._plugin_away = error_.reason == "PLUGIN_AWAY"
            if error_.message == _UNSENT:
                pause, refused = self._pauses.next(), False
            elif error_.reason == "SESSION_IN_USE":
                pause, refused = self._in_use.next(), False
            else:
                pause = pause_after(error, self._pauses, _AGAIN)
                refused = status_of(error) not in _AGAIN and not error_.retry_seconds
        if pause is None:
            if self._talk.unanswered and refused:
                self._talk.unanswered.popleft()  # what was refused is not said again
            raise error_ or ActmaxError(f"the server keeps ending the stream of {self._talk.session}", code="UNAVAILABLE") from None
        return pause


def patiently(call: Callable[[], Any], address: str, seconds: float = 5.0) -> Any:
    """A call that may be repeated, again while the server is not there.

    Raises
    ------
    ActmaxError
        It can't be helped.
    """
    pauses = Pauses(Patience(seconds))
    while True:
        try:
            return call()
        except grpc.RpcError as error:
            pause = pause_after(error, pauses)
            if pause is None:
                raise from_rpc(error, address) from None
        time.sleep(pause)


def channel(address: str, credentials: Credentials | None) -> grpc.Channel:
    """To the server of a session; its calls of one request carry the token."""
    return open_channel(address, Credentials.from_environment() if credentials is None else credentials, _OPTIONS)


def bearer(credentials: Credentials | None) -> Metadata:
    """What streams of requests carry."""
    token = (Credentials.from_environment() if credentials is None else credentials).token
    return [("authorization", f"Bearer {token}")] if token else []


def aio_channel(address: str, credentials: Credentials | None) -> grpc.aio.Channel:
    """:func:`channel` for asyncio; its calls carry no token of their own."""
    found = Credentials.from_environment() if credentials is None else credentials
    open_channel(address, found, _OPTIONS).close()  # refuses what must not be
    host = address.removeprefix(SECURE)
    if address.startswith(SECURE) or found.authority or found.certificate:
        return grpc.aio.secure_channel(host, tls(found), options=_OPTIONS)
    return grpc.aio.insecure_channel(host, options=_OPTIONS)
