"""Builds messages about a session from its header, its summary and the session in memory."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from actmax.v1 import session_pb2
from actmax.v1 import session_service_pb2 as pb

from ...wire.arrays import to_tensor
from ..messages.jobs import timestamp
from . import wire
from .session_index import Entry

if TYPE_CHECKING:
    from ...engine.session.durable_session import DurableSession

PREFIX = "sessions/"
"""Prefix of a session's resource name."""
TRIALS_A_BATCH = 200


def message(entry: Entry) -> session_pb2.Session:
    """Return a session's message with the fields that its header has."""
    spec = session_pb2.SessionSpec.FromString(entry.spec)
    return session_pb2.Session(name=PREFIX + entry.id, spec=spec, owner=entry.owner, create_time=timestamp(entry.number))


def expiry(message: session_pb2.Session, changed: int) -> int:
    """Return the time at which a session expires, in microseconds since 1970.

    Parameters
    ----------
    message : Session
        The session, with its spec.
    changed : int
        Time of the client's last message, in microseconds since 1970.
    """
    return changed + round(1e6 * (message.spec.expire_seconds or 7 * 86400))


def state(closed: bool, stopped_by: str, expire_time: int) -> session_pb2.SessionState:
    """Return a session's state.

    Parameters
    ----------
    closed : bool
        Whether the session was closed for good.
    stopped_by : str
        Name of the criterion that ended the session; empty if it goes on.
    expire_time : int
        When it expires, in microseconds since 1970.
    """
    if closed:
        return session_pb2.SESSION_STATE_CLOSED
    if stopped_by:
        return session_pb2.SESSION_STATE_ENDED
    return session_pb2.SESSION_STATE_EXPIRED if time.time_ns() // 1000 > expire_time else session_pb2.SESSION_STATE_OPEN


def batch(kept: DurableSession, start: int, stimuli: bool) -> pb.ListTrialsResponse:
    r"""Return a batch of a session's trials with their latents.

    A batch has whole generations, since the bits of a stimulus may depend on the stimuli that are decoded with it.

    Parameters
    ----------
    kept : DurableSession
        The session.
    start : int
        Position of the first trial, from 0.
    stimuli : bool
        Whether the stimuli are included.

    Returns
    -------
    ListTrialsResponse
        At least 200 trials, unless the session's last trial comes earlier; none from the end on. Latents have shape (n, \*latent), NaN or
        0 for trials without latent; stimuli (n, \*stimulus).
    """
    import torch

    session = kept.session
    # whole generations, see above
    stop = start
    while stop < len(session.record.trials) and (stop - start < TRIALS_A_BATCH):
        generation = session.record.trials[stop].generation
        while stop < len(session.record.trials) and session.record.trials[stop].generation == generation:
            stop += 1
    trials = session.record.trials[start:stop]
    names = [thread.name for thread in session.threads]
    found = pb.ListTrialsResponse(trials=[wire.trial(trial, names) for trial in trials])
    if not trials:
        return found
    space = session.checked.decoder.latent
    latents = [session.stimuli.latent(trial.stimulus) for trial in trials]
    like = next((latent for latent in latents if latent is not None), torch.zeros(space.shape))
    blank = torch.zeros_like(like) if not like.is_floating_point() else torch.full_like(like, torch.nan)
    found.latents.CopyFrom(to_tensor(torch.stack([blank if latent is None else latent for latent in latents]).numpy()))
    if stimuli:
        parts = []
        for generation in dict.fromkeys(trial.generation for trial in trials):
            parts.append(session.screen.of([trial for trial in trials if trial.generation == generation]))
        found.stimuli.CopyFrom(to_tensor(torch.cat(parts).numpy()))
    return found
