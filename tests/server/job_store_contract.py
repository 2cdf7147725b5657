"""What every JobStore must do. A subclass has a fixture ``open_store`` that opens the same storage at each call."""

from __future__ import annotations

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from actmax.server.storage.records import ArtifactRecord, Change, NewJob

WAITS, RUNS, DONE = 1, 2, 5
_numbers = itertools.count()


def new(**changes) -> NewJob:
    values = {"id": f"job{next(_numbers)}", "spec": b"spec", "state": WAITS, "progress": b"p", "first_event": b"e", "create_time": 7}
    return NewJob(**(values | changes))


def change(to: int, *allowed: int, **changes) -> Change:
    return Change(**({"to": to, "allowed": frozenset(allowed), "payload": b"to %d" % to, "time": 9} | changes))


class JobStoreContract:
    @pytest.fixture
    def store(self, open_store):
        store = open_store()
        yield store
        store.close()

    def test_a_created_job_is_whole(self, store):
        job, created = store.create(new(id="a", spec=b"\x00\xff", progress=b""))
        assert created
        assert (job.id, job.spec, job.progress, job.state, job.attempt, job.crashes) == ("a", b"\x00\xff", b"", WAITS, 0, 0)
        assert (job.create_time, job.start_time, job.end_time, job.error_code, job.last_sequence) == (7, 0, 0, "", 1)
        assert store.get("a") == job
        assert store.get("b") is None
        assert [(e.sequence, e.kind, e.payload) for e in store.events("a", 0, 10)[1]] == [(1, "state", b"e")]

    def test_a_request_creates_one_job(self, store):
        first, created = store.create(new(request_id="r"))
        again, created_again = store.create(new(request_id="r"))
        assert (created, created_again) == (True, False)
        assert again == first == store.by_request("r")
        assert store.by_request("s") is None
        assert len(store.page(limit=10)) == 1

    def test_requests_that_race_create_one_job(self, store):
        with ThreadPoolExecutor(8) as threads:
            results = list(threads.map(lambda _: store.create(new(request_id="r")), range(32)))
        assert sum(created for _, created in results) == 1
        assert len({job.id for job, _ in results}) == 1

    def test_an_id_is_used_once(self, store):
        store.create(new(id="a"))
        with pytest.raises(Exception, match=r"(?i)unique"):
            store.create(new(id="a", request_id="r"))
        assert store.by_request("r") is None

    def test_pages_are_newest_first_and_complete(self, store):
        made = [store.create(new())[0] for _ in range(7)]
        found, before = [], None
        while page := store.page(before=before, limit=3):
            found += page
            before = page[-1].number
            store.create(new())  # what is new never moves what comes next
        assert [job.id for job in found] == [job.id for job in reversed(made)]

    def test_pages_filter_by_state(self, store):
        a, b = store.create(new())[0], store.create(new())[0]
        store.change(a.id, change(RUNS, WAITS))
        assert [job.id for job in store.page(states=[RUNS], limit=9)] == [a.id]
        assert [job.id for job in store.page(states=[RUNS, WAITS], limit=9)] == [b.id, a.id]
        assert store.page(states=[DONE], limit=9) == []

    def test_the_oldest_of_some_states(self, store):
        a, b = store.create(new())[0], store.create(new())[0]
        assert store.oldest([WAITS]).id == a.id
        assert store.oldest([WAITS], excluding=[a.id]).id == b.id
        assert store.oldest([DONE]) is None

    def test_ids_by_beginning(self, store):
        for name in ("abc1", "abc2", "abd1", "a%c1"):
            store.create(new(id=name))
        assert store.ids_like("abc", 5) == ["abc2", "abc1"]
        assert store.ids_like("a%", 5) == ["a%c1"]

    def test_a_change_applies_only_from_its_states(self, store):
        job, _ = store.create(new())
        assert store.change(job.id, change(DONE, RUNS)) is None
        assert store.change("nobody", change(DONE, WAITS)) is None
        assert store.get(job.id) == job
        assert len(store.events(job.id, 0, 10)[1]) == 1

    def test_a_start_raises_the_attempt_and_fences_the_earlier_one(self, store):
        job, _ = store.create(new())
        first = store.change(job.id, change(RUNS, WAITS, starts=True, time=10))
        assert (first.attempt, first.start_time) == (1, 10)
        store.change(job.id, change(WAITS, RUNS, attempt=1, crashed=True))
        second = store.change(job.id, change(RUNS, WAITS, starts=True, time=20))
        assert (second.attempt, second.start_time, second.crashes) == (2, 10, 1)
        assert store.change(job.id, change(DONE, RUNS, attempt=1, ends=True)) is None
        assert not store.add_progress(job.id, 1, [RUNS], b"late", 21)
        assert store.get(job.id) == second

    def test_an_end_is_kept_with_its_reason_and_artifacts(self, store):
        job, _ = store.create(new())
        made = (ArtifactRecord("b/c.png", 3, "aa", "image/png"), ArtifactRecord("a.json", 0, "bb", "application/json"))
        ended = store.change(job.id, change(DONE, WAITS, ends=True, time=30, error_code="X", error_message="because", artifacts=made))
        assert (ended.end_time, ended.error_code, ended.error_message) == (30, "X", "because")
        assert list(store.artifacts(job.id)) == [made[1], made[0]]
        assert store.artifact(job.id, "b/c.png") == made[0]
        assert store.artifact(job.id, "b") is None
        assert list(store.artifacts("nobody")) == []

    def test_a_change_is_whole_or_not_at_all(self, store):
        job, _ = store.create(new())
        twice = (ArtifactRecord("a", 1, "x", "y"), ArtifactRecord("a", 1, "x", "y"))
        with pytest.raises(Exception, match=r"(?i)unique"):
            store.change(job.id, change(DONE, WAITS, ends=True, artifacts=twice))
        assert store.get(job.id) == job
        assert len(store.events(job.id, 0, 10)[1]) == 1

    def test_of_progress_the_newest_of_each_attempt_is_kept(self, store):
        job, _ = store.create(new())
        for attempt in (1, 2):
            store.change(job.id, change(RUNS, WAITS, RUNS, starts=True))
            for step in range(5):
                assert store.add_progress(job.id, attempt, [RUNS], b"%d.%d" % (attempt, step), 40 + step)
        now, events = store.events(job.id, 0, 100)
        assert now.progress == b"2.4"
        kept = [(event.attempt, event.payload) for event in events if event.kind == "progress"]
        assert kept == [(1, b"1.4"), (2, b"2.4")]
        assert [event.kind for event in events] == ["state", "state", "progress", "state", "progress"]
        assert events[-1].sequence == now.last_sequence
        assert not store.add_progress(job.id, 2, [DONE], b"late", 50)

    def test_events_after_a_sequence_and_by_portions(self, store):
        job, _ = store.create(new())
        for _ in range(5):
            store.change(job.id, change(RUNS, WAITS, RUNS))
        sequences = [event.sequence for event in store.events(job.id, 0, 100)[1]]
        assert sequences == sorted(set(sequences))
        assert [event.sequence for event in store.events(job.id, sequences[1], 2)[1]] == sequences[2:4]
        assert store.events(job.id, sequences[-1], 10)[1] == []
        assert store.events("nobody", 0, 10) is None

    def test_changes_that_race_each_have_an_event(self, store):
        job, _ = store.create(new())
        store.change(job.id, change(RUNS, WAITS, starts=True))
        barrier = threading.Barrier(4)

        def write(number):
            barrier.wait()
            for step in range(10):
                if number % 2:
                    store.add_progress(job.id, 1, [RUNS], b"%d" % step, step)
                else:
                    store.change(job.id, change(RUNS, RUNS))

        with ThreadPoolExecutor(4) as threads:
            list(threads.map(write, range(4)))
        now, events = store.events(job.id, 0, 1000)
        assert now.last_sequence == 2 + 40
        assert sum(event.kind == "state" for event in events) == 2 + 20

    def test_it_is_all_there_when_opened_again(self, store, open_store):
        job, _ = store.create(new(request_id="r"))
        store.change(job.id, change(RUNS, WAITS, starts=True))
        store.add_progress(job.id, 1, [RUNS], b"far", 3)
        store.change(job.id, change(DONE, RUNS, attempt=1, ends=True, artifacts=(ArtifactRecord("a", 1, "x", "y"),)))
        other = open_store()
        try:
            assert other.get(job.id) == store.get(job.id) == other.by_request("r")
            assert other.events(job.id, 0, 9) == store.events(job.id, 0, 9)
            assert other.artifacts(job.id) == store.artifacts(job.id)
        finally:
            other.close()
