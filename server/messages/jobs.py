"""Converts records of the store, and progress, to messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf.timestamp_pb2 import Timestamp

from actmax.v1 import job_pb2, job_service_pb2

from ..storage.records import ArtifactRecord, EventRecord, JobRecord
from . import tokens

if TYPE_CHECKING:
    from ...engine.jobs.progress import Progress


def job(record: JobRecord) -> job_pb2.Job:
    """Return a job's record as a message."""
    message = job_pb2.Job(
        name=tokens.job_name(record.id),
        spec=job_pb2.JobSpec.FromString(record.spec),
        state=record.state,  # type: ignore[arg-type]
        attempt=record.attempt,
        create_time=timestamp(record.create_time),
        progress=job_pb2.Progress.FromString(record.progress),
        owner=record.owner,
        priority=record.priority,
        labels=dict(record.labels),
        etag=str(record.version),
        suspending=record.suspending,
        artifact_bytes=record.size,
        analysis_of=tokens.job_name(record.analysis_of) if record.analysis_of else "",
    )
    if record.start_time:
        message.start_time.CopyFrom(timestamp(record.start_time))
    if record.end_time:
        message.end_time.CopyFrom(timestamp(record.end_time))
    if record.state == job_pb2.JOB_STATE_FAILED:
        message.error.CopyFrom(job_pb2.JobError(code=record.error_code, message=record.error_message))
    return message


def event(record: EventRecord) -> job_service_pb2.Event:
    """Return an event's record as a message."""
    message = job_service_pb2.Event(sequence=record.sequence, time=timestamp(record.time), attempt=record.attempt)
    if record.kind == "state":
        message.state_change.MergeFromString(record.payload)
    else:
        message.progress.MergeFromString(record.payload)
    return message


def progress(found: Progress) -> job_pb2.Progress:
    """Return an engine's progress as a message."""
    searches = [
        job_pb2.SearchProgress(
            unit=search.unit,
            optimizer=search.optimizer,
            evaluations=search.evaluations,
            best_response=search.best_response,
            natural_multiple=search.natural_multiple,
            stopped_by=search.stopped_by,
            warnings=search.warnings,
        )
        for search in found.searches
    ]
    return job_pb2.Progress(
        searches=searches,
        evaluations=found.evaluations,
        total_evaluations=found.total_evaluations,
        evaluations_per_second=found.evaluations_per_second,
        seconds_left=found.seconds_left,
        warnings=found.warnings,
        outcome=found.outcome,
        stage=found.stage,
    )


def artifact(record: ArtifactRecord) -> job_pb2.Artifact:
    """Return an artifact's record as a message."""
    return job_pb2.Artifact(path=record.path, size_bytes=record.size, sha256=record.sha256, media_type=record.media_type)


def timestamp(microseconds: int) -> Timestamp:
    """Return microseconds since 1970 (UTC) as a message."""
    message = Timestamp()
    message.FromMicroseconds(microseconds)
    return message
