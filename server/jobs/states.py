"""The states of a job, and every way from one to the next."""

from __future__ import annotations

from actmax.v1 import job_pb2

PENDING = job_pb2.JOB_STATE_PENDING
RUNNING = job_pb2.JOB_STATE_RUNNING
CANCELLING = job_pb2.JOB_STATE_CANCELLING
SUCCEEDED = job_pb2.JOB_STATE_SUCCEEDED
FAILED = job_pb2.JOB_STATE_FAILED
CANCELLED = job_pb2.JOB_STATE_CANCELLED

ENDED = frozenset({SUCCEEDED, FAILED, CANCELLED})
ACTIVE = frozenset({RUNNING, CANCELLING})
WAITING = frozenset({PENDING, CANCELLING})
"""States whose jobs a free worker takes: a cancelled one too, as its dead worker's findings are still to be written."""

_NEXT: dict[job_pb2.JobState, frozenset[job_pb2.JobState]] = {
    # CANCELLING where an earlier attempt left findings that are to be written.
    PENDING: frozenset({RUNNING, CANCELLED, CANCELLING, FAILED}),
    # Back to PENDING when its worker or its server went away.
    RUNNING: frozenset({SUCCEEDED, FAILED, CANCELLING, PENDING}),
    # SUCCEEDED where it reached its end before its worker saw the cancellation; itself when a new worker takes it up.
    CANCELLING: frozenset({CANCELLED, SUCCEEDED, FAILED, CANCELLING}),
    SUCCEEDED: frozenset(),
    FAILED: frozenset(),
    CANCELLED: frozenset(),
}


def sources(to: job_pb2.JobState) -> frozenset[int]:
    """States from which a job may go to ``to``."""
    return frozenset(state for state, after in _NEXT.items() if to in after)


def name(state: int) -> str:
    """A state's short name, such as ``RUNNING``."""
    return job_pb2.JobState.Name(state).removeprefix("JOB_STATE_")  # type: ignore[arg-type]
