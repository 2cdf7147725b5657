import itertools
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actmax.server.jobs import states
from actmax.server.jobs.lifecycle import Lifecycle, StaleVersion
from actmax.server.storage.sql import SqlJobStore
from actmax.v1 import job_pb2

ACTIONS = [
    "claim",
    "progress",
    "succeeded",
    "cancelled",
    "failed",
    "returned",
    "crashed",
    "orphaned",
    "cancel",
    "suspend",
    "resume",
    "stale",
]


def act(lifecycle: Lifecycle, store: SqlJobStore, job_id: str, action: str) -> None:
    job = store.get(job_id)
    assert job is not None
    match action:
        case "claim":
            lifecycle.claim("s")
        case "progress":
            lifecycle.progress(job, b"")
        case "succeeded" | "cancelled":
            lifecycle.succeeded(job, []) if action == "succeeded" else lifecycle.cancelled(job, "", [])
        case "failed":
            lifecycle.failed(job, "INTERNAL", "why")
        case "returned":
            lifecycle.returned(job, "")
        case "crashed":
            lifecycle.crashed(job, "", 3)
        case "orphaned":
            lifecycle.orphaned(job, "", 3)
        case "cancel" | "suspend" | "resume":
            getattr(lifecycle, action)(job_id)
        case "stale" if job.attempt:
            stale = replace(job, attempt=job.attempt - 1)
            assert not lifecycle.progress(stale, b"")
            assert lifecycle.succeeded(stale, []) is lifecycle.failed(stale, "X", "") is None
            assert lifecycle.returned(stale, "") is lifecycle.crashed(stale, "", 1) is None


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(ACTIONS), max_size=25))
def test_whatever_happens_an_ended_job_stays_and_every_change_is_an_event(actions):
    store = SqlJobStore("sqlite://")
    changed: list[str] = []
    lifecycle = Lifecycle(store, changed.append)
    job_id = lifecycle.create(job_pb2.JobSpec(title="t"), 10, "")[0].id
    seen = [store.get(job_id)]
    for action in actions:
        act(lifecycle, store, job_id, action)
        seen.append(store.get(job_id))
    read = store.events(job_id, 0, 1000)
    assert read is not None
    states_seen = [event for event in read[1] if event.kind == "state"]
    for before, after in itertools.pairwise(seen):
        assert before is not None
        assert after is not None
        assert after.attempt - before.attempt in (0, 1)
        if before.state in states.ENDED and not (before.state == states.FAILED and after.state == states.PENDING):
            assert after == before
        assert bool(after.holder) <= (after.state in states.ACTIVE)
        assert after.suspending <= (after.state == states.RUNNING)
        if after.state != before.state:
            assert before.state in states.sources(after.state)  # type: ignore[arg-type]
        if after.attempt != before.attempt:
            assert after.state in states.ACTIVE
    assert seen[-1] is not None
    assert len(changed) >= len(states_seen)
    assert (seen[-1].end_time > 0) == (seen[-1].state in states.ENDED)
    store.close()


@pytest.fixture
def lifecycle():
    store = SqlJobStore("sqlite://")
    yield Lifecycle(store, lambda _: None)
    store.close()


def test_a_job_that_never_ran_is_cancelled_at_once(lifecycle):
    job, _ = lifecycle.create(job_pb2.JobSpec(), 0, "")
    assert lifecycle.cancel(job.id).state == states.CANCELLED
    assert lifecycle.claim("s") is None
    assert lifecycle.cancel(job.id) is None


def test_a_job_back_in_the_queue_is_taken_up_once_more_to_write_its_findings(lifecycle):
    lifecycle.create(job_pb2.JobSpec(), 0, "")
    job = lifecycle.returned(lifecycle.claim("s"), "")
    assert lifecycle.cancel(job.id).state == states.CANCELLING
    taken = lifecycle.claim("s")
    assert (taken.state, taken.attempt) == (states.CANCELLING, 2)
    assert lifecycle.cancelled(taken, "").state == states.CANCELLED


def test_a_cancelled_job_that_has_reached_its_end_succeeded(lifecycle):
    lifecycle.create(job_pb2.JobSpec(), 0, "")
    running = lifecycle.claim("s")
    assert lifecycle.cancel(running.id).state == states.CANCELLING
    assert lifecycle.succeeded(running, []).state == states.SUCCEEDED


def test_jobs_are_claimed_in_the_order_of_their_creation_and_once(lifecycle):
    made = [lifecycle.create(job_pb2.JobSpec(), 0, "")[0].id for _ in range(3)]
    assert [lifecycle.claim("s").id for _ in made] == made
    assert lifecycle.claim("s") is None


def test_a_suspended_job_waits_until_it_is_resumed(lifecycle):
    job, _ = lifecycle.create(job_pb2.JobSpec(), 0, "")
    assert lifecycle.suspend(job.id).state == states.SUSPENDED
    assert lifecycle.claim("s") is None
    assert lifecycle.resume(job.id).state == states.PENDING
    running = lifecycle.claim("s")
    asked = lifecycle.suspend(job.id)
    assert (asked.state, asked.suspending) == (states.RUNNING, True)
    assert lifecycle.suspend(job.id) == asked
    waits = lifecycle.returned(running, "")
    assert (waits.state, waits.suspending, waits.holder) == (states.SUSPENDED, False, "")
    assert lifecycle.resume(job.id).state == states.PENDING
    again = lifecycle.claim("s")
    lifecycle.suspend(job.id)
    assert not lifecycle.resume(job.id).suspending
    assert lifecycle.returned(again, "").state == states.PENDING
    lifecycle.suspend(job.id)
    assert lifecycle.cancel(job.id).state == states.CANCELLING  # it ran: a worker writes its findings
    assert lifecycle.suspend(job.id) is lifecycle.resume(job.id) is None


def test_crashes_count_only_where_the_job_got_no_further(lifecycle):
    job, _ = lifecycle.create(job_pb2.JobSpec(), 0, "")
    for reached in (5, 10, 20, 20):
        running = lifecycle.claim("s")
        lifecycle.progress(running, job_pb2.Progress(evaluations=reached).SerializeToString())
        assert lifecycle.crashed(running, "died", 3).state == states.PENDING
    running = lifecycle.claim("s")
    failed = lifecycle.crashed(running, "died", 3)
    assert (failed.state, failed.error_code, failed.crashes, failed.attempt) == (states.FAILED, "RESOURCE_EXHAUSTED", 3, 5)
    resumed = lifecycle.resume(job.id)
    assert (resumed.state, resumed.error_code, resumed.end_time, resumed.crashes) == (states.PENDING, "", 0, 0)


def test_deaths_of_servers_are_counted_apart_from_crashes_of_workers(lifecycle):
    job, _ = lifecycle.create(job_pb2.JobSpec(), 0, "")
    counted = []
    for ends in ("orphaned", "orphaned", "crashed", "orphaned", "crashed"):
        left = getattr(lifecycle, ends)(lifecycle.claim("s"), "gone", 4)
        counted.append((left.deaths, left.crashes))
    assert counted == [(1, 0), (2, 0), (2, 1), (3, 1), (3, 2)]
    lifecycle.returned(lifecycle.claim("s"), "a stop in order")
    running = lifecycle.claim("s")
    lifecycle.progress(running, job_pb2.Progress(evaluations=1).SerializeToString())
    left = lifecycle.orphaned(running, "gone", 4)  # it got further, so it begins again
    assert (left.deaths, left.crashes, left.evaluations) == (1, 0, 1)
    for _ in range(2):
        assert lifecycle.orphaned(lifecycle.claim("s"), "gone", 4).state == states.PENDING
    running = lifecycle.claim("s")
    lifecycle.suspend(job.id)
    failed = lifecycle.orphaned(running, "gone", 4)
    assert (failed.state, failed.error_code, failed.deaths, failed.holder) == (states.FAILED, "RESOURCE_EXHAUSTED", 4, "")
    assert "gone; that happened 4 times" in failed.error_message
    resumed = lifecycle.resume(job.id)
    assert (resumed.state, resumed.deaths, resumed.crashes) == (states.PENDING, 0, 0)
    cancelled = lifecycle.claim("s")
    lifecycle.cancel(job.id)
    assert lifecycle.orphaned(cancelled, "gone", 4).state == states.CANCELLING  # its findings are still to be written


def test_a_version_that_is_not_the_present_one_changes_nothing(lifecycle):
    job, _ = lifecycle.create(job_pb2.JobSpec(), 0, "")
    lifecycle.suspend(job.id, job.version)
    for change in (lifecycle.suspend, lifecycle.resume, lifecycle.cancel, lifecycle.delete):
        with pytest.raises(StaleVersion):
            change(job.id, job.version)


def test_only_what_does_not_run_is_deleted(lifecycle):
    job, _ = lifecycle.create(job_pb2.JobSpec(), 0, "")
    running = lifecycle.claim("s")
    assert not lifecycle.delete(job.id)
    lifecycle.returned(running, "")
    assert not lifecycle.delete(job.id)
    lifecycle.suspend(job.id)
    assert lifecycle.delete(job.id)
    assert not lifecycle.delete(job.id)
    assert lifecycle.progress(running, b"") is False
