"""The states of a job, and every way from one to the next."""

from __future__ import annotations

from actmax.v1 import job_pb2

PENDING = job_pb2.JOB_STATE_PENDING
RUNNING = job_pb2.JOB_STATE_RUNNING
SUSPENDED = job_pb2.JOB_STATE_SUSPENDED
CANCELLING = job_pb2.JOB_STATE_CANCELLING
SUCCEEDED = job_pb2.JOB_STATE_SUCCEEDED
FAILED = job_pb2.JOB_STATE_FAILED
CANCELLED = job_pb2.JOB_STATE_CANCELLED

ENDED = frozenset({SUCCEEDED, FAILED, CANCELLED})
ACTIVE = frozenset({RUNNING, CANCELLING})
WAITING = frozenset({PENDING, CANCELLING})
"""States whose jobs a free worker takes where no server holds them: a cancelled one too, for what its dead worker had found."""
DELETABLE = ENDED | {SUSPENDED}

_NEXT: dict[job_pb2.JobState, frozenset[job_pb2.JobState]] = {
    # CANCELLING where an earlier attempt left findings that are to be written.
    PENDING: frozenset({RUNNING, SUSPENDED, CANCELLED, CANCELLING}),
    # Back to PENDING when its worker or its server went away; itself when its worker is asked to stop at a checkpoint.
    RUNNING: frozenset({SUCCEEDED, FAILED, CANCELLING, PENDING, SUSPENDED, RUNNING}),
    SUSPENDED: frozenset({PENDING, CANCELLED, CANCELLING}),
    # SUCCEEDED where it reached its end before its worker saw the cancellation; itself when a new worker takes it up.
    CANCELLING: frozenset({CANCELLED, SUCCEEDED, FAILED, CANCELLING}),
    SUCCEEDED: frozenset(),
    # Resumed by a client: it goes on from its last checkpoint.
    FAILED: frozenset({PENDING}),
    CANCELLED: frozenset(),
}


def sources(to: job_pb2.JobState) -> frozenset[int]:
    """States from which a job may go to ``to``."""
    return frozenset(state for state, after in _NEXT.items() if to in after)


def name(state: int) -> str:
    """A state's short name, such as ``RUNNING``."""
    return job_pb2.JobState.Name(state).removeprefix("JOB_STATE_")  # type: ignore[arg-type]
