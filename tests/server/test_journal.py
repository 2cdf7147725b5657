"""The append-only log: whole or not at all, whatever cuts in."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actmax.server.storage.journal import DamagedJournal, Journal
from actmax.server.storage.lock import FolderInUse
from actmax.server.storage.store import StorageFull


@pytest.fixture
def path(tmp_path):
    return tmp_path / "sessions" / "s.journal"


def held(path) -> list[bytes]:
    journal = Journal(path)
    try:
        return [record for _, record in journal.read()]
    finally:
        journal.close()


def test_records_come_back_in_order(path):
    journal = Journal(path)
    assert journal.append([b"a", b"", b"c" * 100_000]) == 3
    assert journal.append([]) == 3
    assert journal.append([b"d"]) == 4
    assert list(journal.read(after=2)) == [(3, b"c" * 100_000), (4, b"d")]
    journal.close()
    journal.close()
    again = Journal(path)
    assert again.last == 4
    assert again.append([b"e"]) == 5
    assert [sequence for sequence, _ in again.read()] == [1, 2, 3, 4, 5]
    again.close()


def test_one_at_a_time_has_it_open(path):
    journal = Journal(path)
    with pytest.raises(FolderInUse):
        Journal(path)
    journal.close()
    Journal(path).close()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.binary(max_size=20), min_size=1, max_size=3), min_size=1, max_size=5), st.data())
def test_an_append_that_was_cut_short_leaves_nothing_and_the_rest_stays(tmp_path_factory, batches, data):
    path = tmp_path_factory.mktemp("j") / "x"
    journal = Journal(path)
    ends = [path.stat().st_size]
    for batch in batches:
        journal.append(batch)
        ends.append(path.stat().st_size)
    journal.close()
    cut = data.draw(st.integers(0, ends[-1]))
    noise = data.draw(st.binary(max_size=9))  # what a disk may leave behind a torn write
    path.write_bytes(path.read_bytes()[:cut] + (noise if cut >= ends[0] else b""))
    whole = [batch for batch, end in zip(batches, ends[1:], strict=True) if end <= cut]
    assert held(path) == [record for batch in whole for record in batch]
    journal = Journal(path)
    journal.append([b"next"])
    journal.close()
    assert held(path)[-1] == b"next"


def test_what_was_changed_in_the_middle_is_told(path):
    journal = Journal(path)
    journal.append([b"first"])
    journal.append([b"second"])
    journal.close()
    content = bytearray(path.read_bytes())
    content[content.index(b"first")] ^= 1
    path.write_bytes(content)
    with pytest.raises(DamagedJournal, match="changed"):
        Journal(path)
    path.write_bytes(b"no journal")
    with pytest.raises(DamagedJournal, match="no journal"):
        Journal(path)


def test_threads_append_whole_batches(path):
    journal = Journal(path)

    def write(number):
        for step in range(10):
            journal.append([b"%d %d a" % (number, step), b"%d %d b" % (number, step)])

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    journal.close()
    records = held(path)
    assert len(records) == 80
    assert all(first[:-1] == second[:-1] for first, second in zip(records[::2], records[1::2], strict=True))


def test_a_full_disk_keeps_nothing_of_an_append(path):
    journal = Journal(path)
    journal.append([b"a"])
    before, old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 50, old[1]))
    try:
        with pytest.raises(StorageFull):
            journal.append([b"b", b"c" * 1000])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
        signal.signal(signal.SIGXFSZ, before)
    assert journal.append([b"d"]) == 2
    journal.close()
    assert held(path) == [b"a", b"d"]


WRITER = """
import sys
from pathlib import Path
from actmax.server.storage.journal import Journal
journal = Journal(Path(sys.argv[1]))
while True:
    last = journal.last
    print(journal.append([b"%d" % (last + 1), b"x" * 5000, b"%d" % (last + 3)]), flush=True)
"""


def test_what_a_killed_writer_acknowledged_is_there(path):
    for _ in range(3):
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        seen = [int(process.stdout.readline()) for _ in range(20)]
        process.kill()
        acknowledged = max([*seen, *(int(line) for line in process.stdout if line.endswith("\n"))])
        process.wait()
        process.stdout.close()
        records = held(path)
        assert len(records) >= acknowledged
        assert len(records) % 3 == 0
        assert [records[n] for n in range(0, len(records), 3)] == [b"%d" % (n + 1) for n in range(0, len(records), 3)]
