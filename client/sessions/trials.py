"""All trials of a session as columns."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from actmax.v1 import session_pb2, session_service_pb2_grpc
from actmax.v1 import session_service_pb2 as pb

from ...wire.arrays import to_array
from ...wire.transport import DEFAULT_ADDRESS, Credentials, ask_service


@dataclass(frozen=True)
class Trials:
    """Every trial of a session, n of them, by number.

    Attributes
    ----------
    session : Session
        As it stood afterwards.
    trial, generation, stimulus, replicate : ndarray
        int64, (n,). The same stimulus has the same number.
    kind, status : list of str
        "candidate", "replicate", "reference", "remeasure", "control"; "untold", "told", "missed", "late".
    responses : ndarray
        float64, (n, units), NaN where there is none, for a trial or for one of its units.
    onset, offset : ndarray
        float64, (n,), seconds on the rig's clock, NaN where not known.
    told_time : ndarray
        float64, (n,), seconds since 1970 by the server's clock, NaN where untold.
    score, gain : ndarray
        float64, (n,): what the optimizer was told, and the gain by which it was normalised.
    thread : list of str
        The thread that each was for; empty where it was for all, or in a session without named threads.
    clock : ndarray
        int64, (n,): which of the rig's clocks onset and offset are of, from 1.
    bad : ndarray
        bool, (n,): whether the experimenter takes it for bad.
    latents : ndarray
        (n, *latent).
    stimuli : ndarray
        float32, (n, *stimulus); (n, 0) where they were not asked for.
    """

    session: session_pb2.Session
    trial: NDArray[np.int64]
    generation: NDArray[np.int64]
    stimulus: NDArray[np.int64]
    replicate: NDArray[np.int64]
    kind: list[str]
    status: list[str]
    responses: NDArray[np.float64]
    onset: NDArray[np.float64]
    offset: NDArray[np.float64]
    told_time: NDArray[np.float64]
    score: NDArray[np.float64]
    gain: NDArray[np.float64]
    thread: list[str]
    clock: NDArray[np.int64]
    bad: NDArray[np.bool_]
    latents: NDArray[Any]
    stimuli: NDArray[np.float32]

    def __len__(self) -> int:
        """Number of trials."""
        return len(self.trial)

    @property
    def units(self) -> list[str]:
        """Names of the recorded units."""
        return [unit.name for unit in self.session.spec.units]


def fetch_trials(
    name: str, address: str = DEFAULT_ADDRESS, *, stimuli: bool = False, credentials: Credentials | None = None, patience: float = 30.0
) -> Trials:
    """Return all trials of a session so far.

    Parameters
    ----------
    name : str
        The session's, as in ``sessions/...``.
    address : str
        ``host:port`` of the server.
    stimuli : bool
        Whether to bring the stimuli too.
    credentials : Credentials, optional
        Those of the environment by default.
    patience : float
        Seconds for which a server that can't be reached is asked again.
    """

    def ask(stub: session_service_pb2_grpc.SessionServiceStub) -> Trials:
        batches = list(stub.ListTrials(pb.ListTrialsRequest(session=name, stimuli=stimuli), timeout=600))
        return _columns(stub.GetSession(pb.GetSessionRequest(name=name), timeout=180), batches, stimuli)

    return ask_service(session_service_pb2_grpc.SessionServiceStub, ask, address, credentials, patience)


def _columns(session: session_pb2.Session, batches: list[pb.ListTrialsResponse], stimuli: bool) -> Trials:
    rows = [trial for batch in batches for trial in batch.trials]
    units = len(session.spec.units)
    responses = np.full((len(rows), units), np.nan)
    for at, row in enumerate(rows):
        if row.responses:
            responses[at] = row.responses

    def whole(field: str) -> NDArray[np.int64]:
        return np.array([getattr(row, field) for row in rows], dtype=np.int64)

    def real(values: Iterator[float]) -> NDArray[np.float64]:
        return np.fromiter(values, np.float64, len(rows))

    shape = tuple(session.stimulus_shape)
    shown = [to_array(batch.stimuli) for batch in batches] if stimuli else [np.empty((len(rows), 0), np.float32)]
    return Trials(
        session,
        whole("trial"),
        whole("generation"),
        whole("stimulus"),
        whole("replicate"),
        [session_pb2.TrialKind.Name(row.kind).removeprefix("TRIAL_KIND_").lower() for row in rows],
        [row.status for row in rows],
        responses,
        real(row.onset if row.HasField("onset") else math.nan for row in rows),
        real(row.offset if row.HasField("offset") else math.nan for row in rows),
        real(row.told_time.ToMicroseconds() / 1e6 if row.HasField("told_time") else math.nan for row in rows),
        real(row.score for row in rows),
        real(row.gain for row in rows),
        [row.thread for row in rows],
        np.maximum(whole("clock"), 1),
        np.array([row.bad for row in rows], dtype=bool),
        np.concatenate([to_array(batch.latents) for batch in batches]) if batches else np.empty((0, 0)),
        np.concatenate(shown) if shown else np.empty((0, *shape), np.float32),
    )
