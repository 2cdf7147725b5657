"""The client's side of ``RunSession``: what is sent, what is acknowledged, and the generation to show."""

from __future__ import annotations

import math
import uuid
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from actmax.v1 import session_pb2
from actmax.v1 import session_service_pb2 as pb

from ...wire.arrays import to_array
from ...wire.errors import InvalidInput, WrongState


@dataclass(frozen=True)
class Generation:
    """Trials to show, in this order.

    Attributes
    ----------
    number : int
        From 1.
    trials : tuple of int
        Their identifiers.
    kinds : tuple of str
        "candidate", "replicate", "reference", "remeasure" or "control".
    threads : tuple of str
        The thread that each is for, empty where it is for all; none in a session without named threads.
    stimuli : ndarray
        (n, *stimulus), a row for each trial; empty where pictures come as files.
    png : tuple of bytes
        PNG files, one for each trial, where the session asks for that.
    progress : SessionProgress
        Where the session stood when it was asked.
    recommendation : Recommendation
        What it recommended then, without stimulus and latent.
    thread_progress : tuple of ThreadProgress
        The same of each thread; none in a session without named threads.
    """

    number: int
    trials: tuple[int, ...]
    kinds: tuple[str, ...]
    stimuli: NDArray[Any]
    png: tuple[bytes, ...] = ()
    progress: session_pb2.SessionProgress = field(default_factory=session_pb2.SessionProgress, repr=False)
    recommendation: session_pb2.Recommendation = field(default_factory=session_pb2.Recommendation, repr=False)
    threads: tuple[str, ...] = ()
    thread_progress: tuple[session_pb2.ThreadProgress, ...] = field(default=(), repr=False)

    def __len__(self) -> int:
        """Number of trials."""
        return len(self.trials)

    @classmethod
    def of(cls, message: pb.Generation) -> Generation:
        """Return the generation that a message holds."""
        return cls(
            message.generation,
            tuple(message.trials),
            tuple(session_pb2.TrialKind.Name(kind).removeprefix("TRIAL_KIND_").lower() for kind in message.kinds),
            to_array(message.stimuli) if message.HasField("stimuli") else np.empty((0,)),
            tuple(message.png),
            message.progress,
            message.recommendation,
            tuple(message.threads),
            tuple(message.thread_progress),
        )

    def without(self, told: set[int]) -> Generation:
        """Return the generation without the trials in ``told``."""
        rows = [row for row, trial in enumerate(self.trials) if trial not in told]
        if len(rows) == len(self.trials):
            return self
        return Generation(
            self.number,
            tuple(self.trials[row] for row in rows),
            tuple(self.kinds[row] for row in rows),
            self.stimuli[rows] if self.stimuli.size else self.stimuli,
            tuple(self.png[row] for row in rows) if self.png else (),
            self.progress,
            self.recommendation,
            tuple(self.threads[row] for row in rows) if self.threads else (),
            self.thread_progress,
        )


class SessionProtocol:
    """The client's side of ``RunSession``, without the transport.

    Every request that needs an answer waits in :attr:`unanswered` until it is acknowledged; after a reconnection they are sent again, which
    the server takes as the same.
    """

    def __init__(self, session: str, *, take_over: bool, renew: bool) -> None:
        self.session = session
        self.client_id = str(uuid.uuid4())
        self.take_over, self.renew = take_over, renew
        self.last_sequence = 0
        self.unanswered: deque[pb.RunSessionRequest] = deque()
        self.generation: Generation | None = None
        self.told: set[int] = set()
        self.described = session_pb2.Session()
        self.ended = False
        self.warning = 0.0
        self.late = 0
        self.clock = 1

    def opening(self) -> pb.RunSessionRequest:
        """Return the first request of a stream."""
        opened = pb.Open(
            session=self.session, last_sequence=self.last_sequence, client_id=self.client_id, take_over=self.take_over, renew=self.renew
        )
        return pb.RunSessionRequest(open=opened)

    def received(self, response: pb.RunSessionResponse) -> None:
        """Update the state by an answer of the server."""
        match response.WhichOneof("content"):
            case "opened":
                self.described = response.opened.session
                self.last_sequence = response.opened.last_sequence
                self.clock = max(response.opened.session.progress.clock, 1)
                self.take_over = False  # a newer client may take it from this one
            case "ask":
                found = Generation.of(response.ask)
                if self.generation is None or self.generation.number != found.number:
                    self.generation, self.told = found, set()
            case "ack":
                self.last_sequence = response.ack.sequence
                self.late += response.ack.late
                answered = self.unanswered.popleft()
                self.told.update(trial.trial for trial in answered.tell.trials)
                self.clock = max(self.clock, answered.restart_clock.clock)
                ends = answered.finish.at_once
                if self.generation is not None and (ends or answered.advance.generation == self.generation.number):
                    self.told.update(self.generation.trials)
            case "warning":
                self.warning = response.warning.expire_time.ToMicroseconds() / 1e6
            case "ended":
                self.described, self.ended = response.ended, True
            case _:
                pass

    def said_late(self) -> pb.TellRequest | None:
        """Return the next request that is unanswered though the session has ended, as a call of its own; None where there is none."""
        if not (self.ended and self.unanswered):
            return None
        request = self.unanswered.popleft()
        kind = request.WhichOneof("content") or "tell"
        return pb.TellRequest(session=self.session, **{kind: getattr(request, kind)})

    def to_show(self) -> Generation | None:
        """Return the trials of the generation that lack a response; None where there are none, or the generation isn't known."""
        if self.generation is None:
            return None
        left = self.generation.without(self.told)
        return left if left.trials else None

    def telling(
        self, trials: Sequence[int], responses: ArrayLike, onsets: ArrayLike | None = None, offsets: ArrayLike | None = None
    ) -> pb.RunSessionRequest:
        """Return the request that tells responses to trials, (n,) or (n, units); NaN where one was missed.

        Raises
        ------
        InvalidInput
            Not a row for each trial.
        """
        values = np.asarray(responses, dtype=np.float64)
        rows = values[:, None] if values.ndim == 1 else values
        if rows.ndim != 2 or rows.shape[0] != len(trials):
            raise InvalidInput(f"responses have shape {values.shape}; a row for each of {len(trials)} trials is wanted")
        starts, stops = (_clock(times, len(trials)) for times in (onsets, offsets))
        tell = pb.Tell()
        for trial, row, start, stop in zip(trials, rows.tolist(), starts, stops, strict=True):
            missed = all(math.isnan(value) for value in row)
            told = tell.trials.add(trial=trial, responses=() if missed else row, missed=missed)
            if not math.isnan(start):
                told.onset = start
            if not math.isnan(stop):
                told.offset = stop
        return pb.RunSessionRequest(tell=tell)

    def telling_one(self, trial: int, response: ArrayLike | None, onset: float | None, offset: float | None) -> pb.RunSessionRequest:
        """Return the request that tells the response to one trial, a number or one a unit; None where it was missed."""
        single = not hasattr(response, "__len__")
        row: Any = [math.nan] if response is None else [response] if single else response
        return self.telling([trial], [row], *(None if clock is None else [clock] for clock in (onset, offset)))

    def changing(self, objective: Mapping[str, Any] | str | None, unit: str, thread: str) -> pb.RunSessionRequest:
        """Return the request to change objective or unit from the next generation on."""
        change = pb.ChangeObjective(unit=unit, thread=thread)
        if objective is not None:
            named: dict[str, Any] = {"name": objective} if isinstance(objective, str) else dict(objective)
            change.objective.name = named["name"]
            change.objective.options.update(dict(named.get("options", {})))
        return pb.RunSessionRequest(change_objective=change)

    def restarting_clock(self) -> pb.RunSessionRequest:
        """Return the request to begin the rig's next clock."""
        return pb.RunSessionRequest(restart_clock=pb.RestartClock(clock=self.clock + 1))

    @staticmethod
    def marking(trial: int, bad: bool) -> pb.RunSessionRequest:
        """Return the request to mark a trial as bad, or to take that back."""
        return pb.RunSessionRequest(mark_trial=pb.MarkTrial(trial=trial, bad=bad))

    @staticmethod
    def finishing(at_once: bool) -> pb.RunSessionRequest:
        """Return the request to end the search with the present generation."""
        return pb.RunSessionRequest(finish=pb.Finish(at_once=at_once))

    def advancing(self) -> pb.RunSessionRequest:
        """Return the request to end the present generation.

        Raises
        ------
        WrongState
            None is being shown.
        """
        if self.generation is None:
            raise WrongState("no generation is being shown")
        return pb.RunSessionRequest(advance=pb.Advance(generation=self.generation.number))


def _clock(times: ArrayLike | None, n: int) -> Iterable[float]:
    found = np.full(n, np.nan) if times is None else np.asarray(times, dtype=np.float64)
    if found.shape != (n,):
        raise InvalidInput(f"times have shape {found.shape}; one for each of {n} trials is wanted")
    return found.tolist()
