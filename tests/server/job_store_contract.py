"""What every JobStore must do. A subclass has a fixture ``open_store`` that opens the same storage at each call."""

from __future__ import annotations

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from actmax.server.storage.records import ArtifactRecord, Change, Filter, NewJob, Quota
from actmax.server.storage.store import AnalysedJobGone, OverQuota, RequestSpent

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
        assert again == first == store.by_request("", "r")
        assert store.by_request("", "s") is None
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
        assert store.by_request("", "r") is None

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
        assert [job.id for job in store.page(Filter(frozenset({RUNS})), limit=9)] == [a.id]
        assert [job.id for job in store.page(Filter(frozenset({RUNS, WAITS})), limit=9)] == [b.id, a.id]
        assert store.page(Filter(frozenset({DONE})), limit=9) == []

    def test_pages_filter_by_label_owner_and_time(self, store):
        owners = ("ann", "ann", "bob", "bob")
        made = [store.create(new(labels=(("lab", "a"), ("run", str(n % 2))), owner=owners[n], create_time=n))[0] for n in range(4)]
        assert made[0].labels == (("lab", "a"), ("run", "0"))
        ids = [job.id for job in made]

        def found(which: Filter) -> list[str]:
            return [job.id for job in store.page(which, limit=9)][::-1]

        assert found(Filter(labels=(("run", "1"),))) == [ids[1], ids[3]]
        assert found(Filter(labels=(("lab", "a"), ("run", "1")), owner="bob")) == [ids[3]]
        assert found(Filter(labels=(("lab", "b"),))) == []
        assert found(Filter(since=1, until=3)) == ids[1:3]
        assert found(Filter(owner="ann")) == ids[:2]
        assert store.page(limit=9)[0].labels == (("lab", "a"), ("run", "1"))

    def test_claims_go_by_priority_then_to_who_has_least_then_by_age(self, store):
        for name, priority in {"ann1": 0, "ann2": 0, "ann3": 0, "bob1": 0, "cyn1": -1, "ann4": 5}.items():
            store.create(new(id=name, owner=name[:3], priority=priority))
        taken = []
        while job := store.claim([WAITS], lambda job: change(RUNS, WAITS, version=job.version, starts=True, holder="s")):
            taken.append(job.id)
            assert (job.state, job.attempt, job.holder) == (RUNS, 1, "s")
        assert taken == ["ann4", "bob1", "ann1", "ann2", "ann3", "cyn1"]
        assert {job.id for job in store.held(["s"])} == set(taken)
        assert store.held(["t"]) == []

    def test_an_owner_waits_who_has_as_many_as_may_run(self, store):
        for name, owner in (("a1", "ann"), ("a2", "ann"), ("b1", "bob")):
            store.create(new(id=name, owner=owner))

        def claim():
            job = store.claim([WAITS], lambda job: change(RUNS, WAITS, starts=True, holder="s"), running=1, excluding=["b0"])
            return job and job.id

        assert [claim(), claim(), claim()] == ["a1", "b1", None]
        store.change("a1", change(DONE, RUNS, ends=True, holder=""))
        assert store.claim([WAITS], lambda job: change(RUNS, WAITS, starts=True, holder="s"), running=1, excluding=["a2"]) is None
        assert claim() == "a2"

    def test_a_job_is_claimed_once(self, store, open_store):
        other = open_store()
        for _ in range(20):
            store.create(new())

        def claim(who):
            taken = []
            while job := who.claim([WAITS], lambda job: change(RUNS, WAITS, version=job.version, starts=True, holder=str(id(who)))):
                taken.append(job.id)
            return taken

        with ThreadPoolExecutor(4) as threads:
            taken = [job for found in threads.map(claim, [store, other, store, other]) for job in found]
        other.close()
        assert len(taken) == len(set(taken)) == 20

    def test_a_quota_is_kept_even_in_a_race(self, store):
        def create(_):
            try:
                return store.create(new(owner="ann", quota=Quota(queued=3)))[1]
            except OverQuota as error:
                assert (error.what, error.limit) == ("queued", 3)  # noqa: PT017
                return False

        with ThreadPoolExecutor(4) as threads:
            assert sum(threads.map(create, range(8))) == 3
        assert store.create(new(owner="bob", quota=Quota(queued=3)))[1]
        job, _ = store.create(new(owner="cyn", quota=Quota(stored_bytes=3)))
        store.change(job.id, change(DONE, WAITS, ends=True, artifacts=(ArtifactRecord("a", 3, "x", "y"),)))
        assert store.get(job.id).size == 3
        with pytest.raises(OverQuota, match="stored_bytes"):
            store.create(new(owner="cyn", quota=Quota(stored_bytes=3)))

    def test_requests_belong_to_their_owner(self, store):
        a, b = store.create(new(owner="ann", request_id="r"))[0], store.create(new(owner="bob", request_id="r"))[0]
        assert a.id != b.id
        assert store.by_request("ann", "r") == a
        assert store.by_request("bob", "r") == b
        assert store.by_request("", "r") is None

    def test_a_deleted_job_leaves_its_request_spent_and_its_files_as_garbage(self, store):
        job, _ = store.create(new(request_id="r", labels=(("k", "v"),)))
        assert not store.delete(job.id, [DONE])
        store.change(job.id, change(RUNS, WAITS, starts=True, holder="s"))
        assert not store.delete(job.id, [RUNS])  # held
        ended = store.change(job.id, change(DONE, RUNS, ends=True, holder="", artifacts=(ArtifactRecord("a", 1, "x", "y"),)))
        assert not store.delete(job.id, [DONE], ended.version - 1)
        assert store.delete(job.id, [DONE], ended.version)
        assert not store.delete(job.id, [DONE])
        assert store.get(job.id) is store.events(job.id, 0, 9) is None
        assert list(store.artifacts(job.id)) == []
        for again in (lambda: store.by_request("", "r"), lambda: store.create(new(request_id="r"))):
            with pytest.raises(RequestSpent):
                again()
        assert store.garbage() == [job.id]
        store.collected(job.id)
        assert store.garbage() == []

    def test_an_analysis_replaces_the_artifacts_of_its_job_at_once_or_not_at_all(self, store):
        store.create(new(id="a"))
        store.change("a", change(RUNS, WAITS, starts=True, holder="s"))
        store.change("a", change(DONE, RUNS, ends=True, holder="", artifacts=(ArtifactRecord("r", 3, "x", "y"),)))
        assert store.get("a").edition == "1"
        for name in ("b", "c", "d"):
            store.create(new(id=name, analysis_of="a"))
        store.create(new(id="e"))

        def claim() -> str | None:
            claimed = store.claim([WAITS], lambda job: change(RUNS, WAITS, version=job.version, starts=True, holder="s"))
            return claimed.id if claimed else None

        assert [claim(), claim(), claim()] == ["b", "e", None]  # analyses of one job one after the other
        before = store.get("a")
        made = (ArtifactRecord("q", 1, "x", "y"), ArtifactRecord("r", 4, "z", "y"))
        assert store.change("b", change(DONE, RUNS, attempt=2, ends=True, holder="", artifacts=made)) is None  # another attempt's
        assert (store.get("a"), list(store.artifacts("a"))) == (before, [ArtifactRecord("r", 3, "x", "y")])
        done = store.change("b", change(DONE, RUNS, attempt=1, ends=True, holder="", artifacts=made))
        assert (done.size, done.analysis_of, list(store.artifacts("b"))) == (0, "a", [])
        after = store.get("a")
        assert (after.edition, after.size, after.state, tuple(store.artifacts("a"))) == ("b-1", 5, DONE, made)
        assert after.version > before.version
        assert after.last_sequence == before.last_sequence
        assert claim() == "c"
        assert store.delete("b", [DONE])
        assert tuple(store.artifacts("a")) == made
        assert store.delete("a", [DONE])
        with pytest.raises(AnalysedJobGone):
            store.change("c", change(DONE, RUNS, ends=True, holder="", artifacts=made))
        assert (store.get("c").state, store.get("c").holder) == (RUNS, "s")

    def test_versions_grow_with_all_but_progress(self, store):
        job, _ = store.create(new())
        running = store.change(job.id, change(RUNS, WAITS, starts=True, version=job.version))
        assert running.version > job.version
        assert store.change(job.id, change(DONE, RUNS, version=job.version)) is None
        store.add_progress(job.id, 1, [RUNS], b"p", 1)
        assert store.get(job.id).version == running.version
        assert store.sequences([job.id, "nobody"]) == {job.id: 3}

    def test_servers_beat_until_they_are_dismissed(self, store):
        assert not store.beat("s", "there")
        assert store.beat("s", "there", first=True)
        assert store.beat("s", "there")
        assert store.beats() == {"s": 2}
        store.dismiss("s")
        assert not store.beat("s", "there")
        assert store.beats() == {}

    def test_ids_by_beginning(self, store):
        for name in ("abc1", "abc2", "abd1", "a%c1"):
            store.create(new(id=name))
        assert store.ids_like("abc", None, 5) == ["abc2", "abc1"]
        assert store.ids_like("a%", None, 5) == ["a%c1"]

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
        store.change(job.id, change(WAITS, RUNS, attempt=1, crashes=1))
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
            assert other.get(job.id) == store.get(job.id) == other.by_request("", "r")
            assert other.events(job.id, 0, 9) == store.events(job.id, 0, 9)
            assert other.artifacts(job.id) == store.artifacts(job.id)
        finally:
            other.close()
