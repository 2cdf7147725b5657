"""A closed-loop session, for a rig's own script."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

from numpy.typing import ArrayLike

from actmax.v1 import session_pb2, session_service_pb2_grpc
from actmax.v1 import session_service_pb2 as pb

from ...wire.transport import DEFAULT_ADDRESS, Credentials, Options, RequestStream, ask_service, open_channel
from . import spec as sessionspec
from .core import TELL_SECONDS, SessionCore, blocking
from .protocol import Generation

Spec = session_pb2.SessionSpec | Mapping[str, Any]
_CHECK_SECONDS = 180.0


class _Link:
    """The calls of the blocking client."""

    def __init__(self, address: str, credentials: Credentials | None, options: Options) -> None:
        self._channel = open_channel(address, credentials, options)
        self._stub = session_service_pb2_grpc.SessionServiceStub(self._channel)
        self._stream: RequestStream[pb.RunSessionRequest, pb.RunSessionResponse] | None = None

    @property
    def opened(self) -> bool:
        return self._stream is not None

    async def open(self, first: pb.RunSessionRequest) -> pb.RunSessionResponse | None:
        self._stream = RequestStream(self._stub.RunSession, first)
        try:
            return await self.receive()
        except BaseException:
            self.drop()
            raise

    async def send(self, request: pb.RunSessionRequest) -> None:
        assert self._stream is not None
        self._stream.send(request)

    async def receive(self) -> pb.RunSessionResponse | None:
        assert self._stream is not None
        return next(self._stream.answers, None)

    async def tell(self, request: pb.TellRequest) -> pb.TellResponse:
        return self._stub.Tell(request, timeout=TELL_SECONDS)

    async def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def drop(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()

    async def close(self) -> None:
        self._channel.close()


class Session(SessionCore):
    """An experiment: iterate over generations, show them, tell the responses.

    ::

        with Session.create({"generator": "cifar10-sngan", "units": ["ch7"], "stop": {"evaluations": 1000}}) as session:
            for generation in session:
                session.tell(rig(generation.stimuli))
            print(session.described.recommendation.response)

    Whatever was told is on the server's disk when :meth:`tell` returns. When the connection is lost it is opened again, with the same
    trials, for ``patience`` seconds. After a crash of this process, ``Session(name)`` goes on with the trials that were not told.

    Parameters
    ----------
    name : str
        The session's, as in ``sessions/...``.
    address : str
        ``host:port`` of the server.
    credentials : Credentials, optional
        A token, and files for TLS; those of the environment by default.
    patience : float
        Seconds for which a lost server is waited for, from when it was last there; at least seven where it falls silent without closing the
        connection, as when it is suspended.
    take_over : bool
        End the stream of another client that runs the session.
    renew : bool
        Go on with a session that has expired.
    """

    _links = _Link

    @classmethod
    def create(cls, spec: Spec, address: str = DEFAULT_ADDRESS, *, request_id: str = "", **options: Any) -> Self:
        """Return a new session; ``options`` as of the class.

        Parameters
        ----------
        spec : SessionSpec or mapping
            The session; see :func:`actmax.client.sessions.spec.from_plain` for the mapping.
        address : str
            ``host:port`` of the server.
        request_id : str
            A UUID; a repeat with the same one returns the first call's session. A fresh one by default.

        Raises
        ------
        InvalidInput
            If the session is wrong; ``violations`` names its fields.
        """
        message = spec if isinstance(spec, session_pb2.SessionSpec) else sessionspec.from_plain(spec)
        request = pb.CreateSessionRequest(spec=message, request_id=request_id or str(uuid.uuid4()))
        made: session_pb2.Session = ask_service(
            session_service_pb2_grpc.SessionServiceStub,
            lambda stub: stub.CreateSession(request, timeout=_CHECK_SECONDS),
            address,
            options.get("credentials"),
        )
        return cls(made.name, address, **options)

    @property
    def described(self) -> session_pb2.Session:
        """The session as it stood when the stream was last opened, or as it ended."""
        self.connect()
        return self._protocol.described

    def connect(self) -> None:
        """Open the stream, unless it was open before; every other call does so too.

        Raises
        ------
        NotFound
            There is no such session.
        """
        blocking(self._until(lambda: bool(self._protocol.described.name)))

    def __enter__(self) -> Self:
        """Return the session itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connection; the session stays on the server."""
        self.close()

    def close(self) -> None:
        """Close the connection; the session stays on the server."""
        blocking(self._close())

    def __iter__(self) -> Iterator[Generation]:
        """Yield generations until the session has ended; trials without a response come again."""
        while (generation := self.ask()) is not None:
            yield generation

    def ask(self) -> Generation | None:
        """Return the trials to show now, as soon as they are known; None once the session has ended."""
        return blocking(self._ask())

    def tell(self, responses: ArrayLike, *, onsets: ArrayLike | None = None, offsets: ArrayLike | None = None) -> None:
        """Send the responses to the generation that was handed out last; they are on the server's disk when this returns.

        Parameters
        ----------
        responses : array_like
            (n,), or (n, units) in the order of the session's units; NaN where a trial was missed.
        onsets, offsets : array_like, optional
            (n,) seconds on the rig's clock.

        Raises
        ------
        InvalidInput
            A response is refused; nothing of this call is kept.
        WrongState
            A trial has another response already; or another client has the session now.
        """
        blocking(self._tell(responses, onsets, offsets))

    def tell_trial(self, trial: int, response: ArrayLike | None, *, onset: float | None = None, offset: float | None = None) -> None:
        """Send the response to one trial, a number or one a unit; None where it was missed. See :meth:`tell`."""
        blocking(self._tell_trial(trial, response, onset, offset))

    def tell_trials(
        self, trials: Sequence[int], responses: ArrayLike, *, onsets: ArrayLike | None = None, offsets: ArrayLike | None = None
    ) -> None:
        """Send responses to any trials, also of earlier generations or after the end, in one message of which all or nothing is kept.

        Those of a generation that is over are kept as late, as long as the session is not closed. See :meth:`tell`.
        """
        blocking(self._tell_trials(trials, responses, onsets, offsets))

    def advance(self) -> None:
        """End the present generation; trials without a response count as missed."""
        blocking(self._advance())

    def mark_bad(self, trial: int, *, bad: bool = True) -> None:
        """Mark a trial as bad, so that no figure counts it, or take that back with ``bad=False``.

        The search learns of a bad trial of the present generation as missed; what it has learned of earlier ones stays learned.
        """
        blocking(self._mark_bad(trial, bad))

    def finish(self, *, at_once: bool = False) -> None:
        """End the search with the present generation, after its leaders were measured again.

        Parameters
        ----------
        at_once : bool
            End it now: untold trials count as missed, and nothing is measured again.
        """
        blocking(self._finish(at_once))

    def restart_clock(self) -> None:
        """Declare that the rig's clock began anew: from the next trial on its onsets may be any time.

        Call it after the rig's program restarts and before its first response, if responses carry onsets.
        """
        blocking(self._restart_clock())

    def change_objective(self, objective: Mapping[str, Any] | str | None = None, unit: str = "", *, thread: str = "") -> None:
        """Change objective or unit from the next generation on, of one thread where there are several; see ``ChangeObjective``."""
        blocking(self._change_objective(objective, unit, thread))
