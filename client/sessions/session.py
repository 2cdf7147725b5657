"""A closed-loop session, for a rig's own script."""

from __future__ import annotations

import queue
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Self

import grpc
from numpy.typing import ArrayLike

from actmax.v1 import session_pb2, session_service_pb2_grpc
from actmax.v1 import session_service_pb2 as pb

from ..jobs.client import DEFAULT_ADDRESS
from ..transport import Credentials
from . import spec as sessionspec
from .conversation import Generation
from .core import TELL_SECONDS, Metadata, SessionCore, channel, patiently

Spec = session_pb2.SessionSpec | Mapping[str, Any]
_CHECK_SECONDS = 180.0


class _Stream:
    """One open ``RunSession`` of the blocking client."""

    def __init__(self, stub: session_service_pb2_grpc.SessionServiceStub, metadata: Metadata) -> None:
        self._requests: queue.SimpleQueue[pb.RunSessionRequest | None] = queue.SimpleQueue()
        self.call = stub.RunSession(iter(self._requests.get, None), metadata=metadata)

    def send(self, request: pb.RunSessionRequest) -> None:
        self._requests.put(request)

    def close(self) -> None:
        self._requests.put(None)
        self.call.cancel()


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
        Seconds for which a lost server is waited for.
    take_over : bool
        End the stream of another client that runs the session.
    renew : bool
        Go on with a session that has expired.
    """

    def __init__(
        self,
        name: str,
        address: str = DEFAULT_ADDRESS,
        *,
        credentials: Credentials | None = None,
        patience: float = 300.0,
        take_over: bool = False,
        renew: bool = False,
    ) -> None:
        super().__init__(name, address, credentials=credentials, patience=patience, take_over=take_over, renew=renew)
        self._channel = channel(address, credentials)
        self._stub = session_service_pb2_grpc.SessionServiceStub(self._channel)
        self._stream: _Stream | None = None

    @classmethod
    def create(cls, spec: Spec, address: str = DEFAULT_ADDRESS, *, request_id: str = "", **options: Any) -> Self:
        """A new session; ``options`` as of the class.

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
        with channel(address, options.get("credentials")) as opened:
            stub = session_service_pb2_grpc.SessionServiceStub(opened)
            made: session_pb2.Session = patiently(lambda: stub.CreateSession(request, timeout=_CHECK_SECONDS), address)
        return cls(made.name, address, **options)

    @property
    def described(self) -> session_pb2.Session:
        """The session as it was when the stream was last opened, or as it ended."""
        self.connect()
        return self._talk.described

    def connect(self) -> None:
        """Open the stream, unless it was open before; every other call does so, too.

        Raises
        ------
        NotFound
            There is no such session.
        """
        if not self._talk.described.name:
            self._until(lambda: bool(self._talk.described.name))

    def __enter__(self) -> Self:
        """The session itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let go of the connection; the session stays on the server."""
        self.close()

    def close(self) -> None:
        """Let go of the connection; the session stays on the server."""
        self._drop()
        self._channel.close()

    def __iter__(self) -> Iterator[Generation]:
        """Generations, until the session has ended; trials that are left untold come again."""
        while (generation := self.ask()) is not None:
            yield generation

    def ask(self) -> Generation | None:
        """The trials to show now, as soon as they are known; None once the session has ended."""
        self._until(self._can_show)
        return self._hand_out()

    def tell(self, responses: ArrayLike, *, onsets: ArrayLike | None = None, offsets: ArrayLike | None = None) -> None:
        """Responses to the generation that was handed out last, on the server's disk when this returns.

        Parameters
        ----------
        responses : array_like
            (n,), or (n, units) in the order of the session's units; NaN where a trial was missed.
        onsets, offsets : array_like, optional
            (n,) seconds on the rig's clock.

        Raises
        ------
        InvalidInput
            A response is refused; nothing of this call was kept.
        WrongState
            A trial was told before, and differently; or another client has the session now.
        """
        shown = self.shown or self.ask()
        trials = () if shown is None else shown.trials
        self._say(self._talk.telling(trials, responses, onsets, offsets))
        self.shown = None

    def tell_trial(self, trial: int, response: ArrayLike | None, *, onset: float | None = None, offset: float | None = None) -> None:
        """The response to one trial, a number or one a unit; None where it was missed. See :meth:`tell`."""
        self._say(self._talk.telling_one(trial, response, onset, offset))

    def tell_trials(
        self, trials: Sequence[int], responses: ArrayLike, *, onsets: ArrayLike | None = None, offsets: ArrayLike | None = None
    ) -> None:
        """Responses to any trials in one message of which all or nothing is kept: also of earlier generations, or after the end.

        Those of a generation that is over are kept as late, as long as the session is not closed. See :meth:`tell`.
        """
        self._say(self._talk.telling(trials, responses, onsets, offsets))

    def advance(self) -> None:
        """End the present generation: what is untold was missed."""
        self._say(self._talk.advancing())
        self.shown = None

    def change_objective(self, objective: Mapping[str, Any] | str | None = None, unit: str = "", *, thread: str = "") -> None:
        """From the next generation on, seek something else, in a session of several threads by one of them; see ``ChangeObjective``."""
        self._say(self._talk.changing(objective, unit, thread))

    def _say(self, request: pb.RunSessionRequest) -> None:
        self._talk.unanswered.append(request)
        if self._stream is not None:
            self._stream.send(request)
        self._until(lambda: self._talk.ended or not any(waiting is request for waiting in self._talk.unanswered))
        while (late := self._talk.said_late()) is not None:
            self._drop()
            self._say_late(late)

    def _say_late(self, request: pb.TellRequest) -> None:
        """After the session's end, when no stream stays open."""
        pauses = self._late_pauses()
        while True:
            try:
                answer: pb.TellResponse = self._stub.Tell(request, timeout=TELL_SECONDS)
            except grpc.RpcError as error:
                time.sleep(self._again(error, *pauses))
                continue
            self._talk.late += answer.ack.late
            return

    def _until(self, done: Callable[[], bool]) -> None:
        """Take answers in until ``done``, over as many connections as it takes."""
        while not done():
            failure: grpc.RpcError | None = None
            try:
                opening = self._stream is None
                if self._stream is None:
                    self._connect()
                else:
                    self._talk.received(next(self._stream.call))
                self._failures.reset(opened=opening)
                continue
            except grpc.RpcError as error:
                failure = error
            except StopIteration:
                pass
            self._drop()
            if done():
                return
            time.sleep(self._pause(failure))

    def _connect(self) -> None:
        stream = _Stream(self._stub, self._metadata)
        stream.send(self._talk.opening())
        try:
            self._talk.received(next(stream.call))
        except BaseException:
            stream.close()
            raise
        self._stream = stream
        for request in self._talk.unanswered:
            stream.send(request)

    def _drop(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()
