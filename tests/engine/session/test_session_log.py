"""The append-only log of a session: whole or not at all, whatever cuts in."""

from __future__ import annotations

import errno
import os
import resource
import signal
import subprocess
import sys
import threading
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actmax.engine.session.errors import DamagedSession
from actmax.engine.session.log import Log, LogInUse, first_record


@pytest.fixture
def path(tmp_path):
    return tmp_path / "log"


def numbered(*numbers: int) -> list[dict]:
    return [{"t": "x", "n": number} for number in numbers]


def held(path) -> list[int]:
    log = Log(path)
    log.close()
    assert Log.read(path) == log.records
    return [record["n"] for record in log.records]


def test_records_come_back_in_order(path):
    log = Log(path)
    assert log.records == []
    log.append(numbered(1, 2))
    log.append([])
    log.append([{"t": "x", "n": 3, "text": "a\nb\rc\u2028" * 1000}])
    log.close()
    log.close()
    assert held(path) == [1, 2, 3]
    assert first_record(path) == {"t": "x", "n": 1}
    again = Log(path)
    again.append(numbered(4))
    again.close()
    assert held(path) == [1, 2, 3, 4]


def test_a_log_is_read_from_where_it_ended_once_and_checked_from_the_beginning(path):
    log = Log(path)
    log.append(numbered(1))
    log.append(numbered(2, 3))
    end = log.end
    log.append(numbered(4))
    log.close()
    for start, wanted in ((0, [1, 2, 3, 4]), (end, [1, 4]), (end - 1, [1, 2, 3, 4]), (log.end, [1]), (log.end + 1, [1, 2, 3, 4])):
        again = Log(path, start)
        again.close()
        assert [record["n"] for record in again.records] == wanted
        assert again.end == log.end
    data = path.read_bytes()
    path.write_bytes(data.replace(b'"n":2', b'"n":7'))
    with pytest.raises(DamagedSession):
        Log(path, end)


def test_a_log_that_had_a_line_for_each_record_is_read_and_goes_on(path):
    lines = [b'{"t":"x","n":1}', b'{"t":"x","n":2}']
    path.write_bytes(b"".join(b"%08x %s\n" % (zlib.crc32(line), line) for line in lines))
    log = Log(path)
    log.append(numbered(3, 4))
    log.close()
    assert held(path) == [1, 2, 3, 4]


def test_one_writer_at_a_time_and_any_reader(path):
    log = Log(path)
    log.append(numbered(1))
    with pytest.raises(LogInUse):
        Log(path)
    script = "import sys; from pathlib import Path; from actmax.engine.session.log import Log; Log(Path(sys.argv[1]))"
    other = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=False)
    assert "LogInUse" in other.stderr
    assert [record["n"] for record in Log.read(path)] == [1]
    log.append(numbered(2))  # the one who was refused has cut nothing off
    log.close()
    assert held(path) == [1, 2]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 3), min_size=1, max_size=5), st.data())
def test_an_append_that_was_cut_short_leaves_nothing_and_the_rest_stays(tmp_path_factory, batches, data):
    path = tmp_path_factory.mktemp("log") / "log"
    log = Log(path)
    ends, expected, numbers = [0], [[]], iter(range(100))
    for size in batches:
        batch = [next(numbers) for _ in range(size)]
        log.append(numbered(*batch))
        ends.append(path.stat().st_size)
        expected.append(expected[-1] + batch)
    log.close()
    cut = data.draw(st.integers(0, ends[-1]))
    zeros = data.draw(st.integers(0, 9))  # what a file system may leave behind a torn write
    path.write_bytes(path.read_bytes()[:cut] + bytes(zeros))
    assert held(path) == expected[max(n for n, end in enumerate(ends) if end <= cut)]
    log = Log(path)
    log.append(numbered(1000))
    log.close()
    assert held(path)[-1] == 1000


def test_what_was_changed_in_the_middle_is_told_and_left_as_it_is(path):
    log = Log(path)
    log.append(numbered(111))
    log.append(numbered(222))
    log.close()
    path.write_bytes(path.read_bytes().replace(b"111", b"119"))
    content = path.read_bytes()
    for _ in range(2):  # the first refusal has let go of the file
        with pytest.raises(DamagedSession, match="byte 0 is damaged"):
            Log(path)
    assert path.read_bytes() == content


def test_threads_append_whole_batches(path):
    log = Log(path)
    threads = [threading.Thread(target=lambda k=k: [log.append(numbered(k, k)) for _ in range(10)]) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.close()
    found = held(path)
    assert found[::2] == found[1::2]
    assert sorted(found) == sorted(list(range(4)) * 20)


def test_a_full_disk_keeps_nothing_of_an_append(path):
    log = Log(path)
    log.append(numbered(1))
    before, old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 50, old[1]))  # a part of it is written, the rest refused
    try:
        with pytest.raises(OSError, match="large"):
            log.append(numbered(*range(1000)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
        signal.signal(signal.SIGXFSZ, before)
    log.append(numbered(2))
    log.close()
    assert held(path) == [1, 2]


def test_short_writes_are_finished(path, monkeypatch):
    whole = os.pwrite
    log = Log(path)
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", lambda file, data, at: whole(file, data[:7], at))
        log.append(numbered(1, 2, 3))
    log.append(numbered(4))
    log.close()
    assert held(path) == [1, 2, 3, 4]


@pytest.mark.parametrize("interrupt", [OSError(errno.EIO, "Input/output error"), KeyboardInterrupt()])
def test_an_append_that_could_not_be_flushed_is_taken_back(path, monkeypatch, interrupt):
    log = Log(path)
    log.append(numbered(1))
    flushes = iter([interrupt])
    real = os.fdatasync

    def failing(file):
        error = next(flushes, None)
        if error is not None:
            raise error
        real(file)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", failing)
        with pytest.raises(type(interrupt)):
            log.append(numbered(2))
        log.append(numbered(3))
    log.close()
    assert held(path) == [1, 3]


def test_nothing_is_appended_behind_what_could_not_be_taken_back(path, monkeypatch):
    log = Log(path)
    log.append(numbered(1))

    def failing(*_):
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        real = os.pwrite
        patch.setattr(os, "pwrite", lambda file, data, at: real(file, data[:9], at) if at < log._end + 9 else failing())
        patch.setattr(os, "ftruncate", failing)
        with pytest.raises(OSError, match="Input/output"):
            log.append(numbered(2))
    with pytest.raises(OSError, match="could not be undone"):
        log.append(numbered(3))
    log.close()
    assert held(path) == [1]  # opened again, the torn line is cut off
    again = Log(path)
    again.append(numbered(4))
    again.close()
    assert held(path) == [1, 4]


def test_a_new_log_is_in_its_folder_for_good(path, monkeypatch):
    synced = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: (synced.append(str(Path(f"/proc/self/fd/{file}").readlink())), real(file)))
    log = Log(path)
    assert synced == [str(path.parent)]
    log.close()
    Log(path).close()
    assert len(synced) == 1


WRITER = """
import sys
from pathlib import Path
from actmax.engine.session.log import Log
log = Log(Path(sys.argv[1]))
last = log.records[-1]["n"] if log.records else 0
while True:
    log.append([{"n": last + 1}, {"n": last + 2, "x": "x" * 5000}, {"n": last + 3}])
    last += 3
    print(last, flush=True)
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
        found = held(path)
        assert len(found) >= acknowledged
        assert len(found) % 3 == 0
        assert found == list(range(1, len(found) + 1))
