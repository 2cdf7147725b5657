"""The states of a job, and the allowed transitions between them."""

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
"""States whose jobs a free worker may claim if no server holds them. A cancelled job's dead worker may have left results to write."""
DELETABLE = ENDED | {SUSPENDED}

_NEXT: dict[job_pb2.JobState, frozenset[job_pb2.JobState]] = {
    # CANCELLING if an earlier attempt left results that are to be written.
    PENDING: frozenset({RUNNING, SUSPENDED, CANCELLED, CANCELLING}),
    # PENDING when its worker or its server died; RUNNING when its worker is asked to stop at a checkpoint.
    RUNNING: frozenset({SUCCEEDED, FAILED, CANCELLING, PENDING, SUSPENDED, RUNNING}),
    SUSPENDED: frozenset({PENDING, CANCELLED, CANCELLING}),
    # SUCCEEDED if the job ended before its worker saw the cancellation; CANCELLING when a new worker claims it.
    CANCELLING: frozenset({CANCELLED, SUCCEEDED, FAILED, CANCELLING}),
    SUCCEEDED: frozenset(),
    # Resumed by a client: continues from the last checkpoint.
    FAILED: frozenset({PENDING}),
    CANCELLED: frozenset(),
}


def sources(to: job_pb2.JobState) -> frozenset[int]:
    """Return the states from which a job may go to ``to``."""
    return frozenset(state for state, after in _NEXT.items() if to in after)


def name(state: int) -> str:
    """Return a state's short name, such as ``RUNNING``."""
    return job_pb2.JobState.Name(state).removeprefix("JOB_STATE_")  # type: ignore[arg-type]
