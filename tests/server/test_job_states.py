import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actmax.server.jobs import states
from actmax.server.jobs.lifecycle import Lifecycle
from actmax.server.storage.sql import SqlJobStore
from actmax.v1 import job_pb2

ACTIONS = ["claim", "progress", "succeeded", "cancelled", "failed", "returned", "crashed", "cancel", "recover", "stale"]


def act(lifecycle: Lifecycle, store: SqlJobStore, job_id: str, action: str) -> None:
    job = store.get(job_id)
    assert job is not None
    match action:
        case "claim":
            lifecycle.claim([])
        case "progress":
            lifecycle.progress(job, b"")
        case "succeeded" | "cancelled":
            lifecycle.succeeded(job, []) if action == "succeeded" else lifecycle.cancelled(job, "", [])
        case "failed":
            lifecycle.failed(job, "INTERNAL", "why")
        case "returned" | "crashed":
            lifecycle.returned(job, "", crashed=action == "crashed")
        case "cancel":
            lifecycle.cancel(job_id)
        case "recover":
            lifecycle.recover()
        case "stale" if job.attempt:
            stale = replace(job, attempt=job.attempt - 1)
            assert not lifecycle.progress(stale, b"")
            assert lifecycle.succeeded(stale, []) is lifecycle.failed(stale, "X", "") is lifecycle.returned(stale, "") is None


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
        if before.state in states.ENDED:
            assert after == before
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
    assert lifecycle.claim([]) is None
    assert lifecycle.cancel(job.id) is None


def test_a_job_back_in_the_queue_is_taken_up_once_more_to_write_its_findings(lifecycle):
    lifecycle.create(job_pb2.JobSpec(), 0, "")
    job = lifecycle.returned(lifecycle.claim([]), "")
    assert lifecycle.cancel(job.id).state == states.CANCELLING
    taken = lifecycle.claim([])
    assert (taken.state, taken.attempt) == (states.CANCELLING, 2)
    assert lifecycle.cancelled(taken, "").state == states.CANCELLED


def test_a_cancelled_job_that_has_reached_its_end_succeeded(lifecycle):
    lifecycle.create(job_pb2.JobSpec(), 0, "")
    running = lifecycle.claim([])
    assert lifecycle.cancel(running.id).state == states.CANCELLING
    assert lifecycle.succeeded(running, []).state == states.SUCCEEDED


def test_jobs_are_claimed_in_the_order_of_their_creation_and_once(lifecycle):
    made = [lifecycle.create(job_pb2.JobSpec(), 0, "")[0].id for _ in range(3)]
    assert [lifecycle.claim([]).id for _ in made] == made
    assert lifecycle.claim([]) is None


def test_a_dead_servers_jobs_go_back_in_the_queue(lifecycle):
    lifecycle.create(job_pb2.JobSpec(), 0, "")
    running = lifecycle.claim([])
    assert [job.id for job in lifecycle.recover()] == [running.id]
    again = lifecycle.claim([])
    assert (again.id, again.attempt, again.crashes) == (running.id, 2, 0)
