"""What every JobFiles must do. A subclass has a fixture ``open_files`` that opens the same place for another server at each call."""

from __future__ import annotations

import pytest


class JobFilesContract:
    @pytest.fixture
    def files(self, open_files):
        return open_files()

    def read(self, files, *where) -> bytes:
        with files.open_artifact(*where) as file:
            return file.read()

    def test_an_attempt_begins_where_the_newest_checkpoint_was_and_the_old_worker_is_fenced(self, files):
        first = files.begin("a", 1)
        assert list(first.iterdir()) == []
        (first / "checkpoint.x").write_bytes(b"one")
        (first / "checkpoint.x.writing").write_bytes(b"half")
        files.saved("a", 1)
        second = files.begin("a", 2)
        assert second != first
        assert {path.name: path.read_bytes() for path in second.iterdir()} == {"checkpoint.x": b"one"}
        # The first worker, thought dead, goes on: renaming, and even writing nothing new into what the second one reads.
        (first / "checkpoint.x.writing").write_bytes(b"late")
        (first / "checkpoint.x.writing").replace(first / "checkpoint.x")
        files.saved("a", 1)
        assert (second / "checkpoint.x").read_bytes() == b"one"
        (second / "checkpoint.y").write_bytes(b"two")
        (second / "checkpoint.y").replace(second / "checkpoint.x")
        files.saved("a", 2)
        assert (files.begin("a", 3) / "checkpoint.x").read_bytes() == b"two"

    def test_another_server_finds_the_checkpoint(self, files, open_files):
        (files.begin("a", 1) / "checkpoint.x").write_bytes(b"one")
        files.saved("a", 1)
        (files.begin("a", 2) / "checkpoint.x").unlink()  # dies before it has written one of its own
        assert (open_files().begin("a", 3) / "checkpoint.x").read_bytes() == b"one"

    def test_what_is_published_is_whole_and_stays(self, files, open_files):
        made = files.begin("a", 1) / "artifacts"
        (made / "b").mkdir(parents=True)
        (made / "b" / "c.bin").write_bytes(bytes(range(256)) * 4000)
        (made / "empty").touch()
        (made / "escape").symlink_to("/etc/passwd")
        files.publish("a", 1)
        other = open_files()
        assert self.read(other, "a", "1", "b/c.bin") == bytes(range(256)) * 4000
        assert self.read(other, "a", "1", "empty") == b""
        with other.open_artifact("a", "1", "b/c.bin") as file:
            file.seek(1000)
            assert file.read(3) == bytes([232, 233, 234])
        for path in ("escape", "b", "nothing", "../artifacts-1/empty", "b/../empty", "", "/etc/passwd"):
            with pytest.raises(FileNotFoundError):
                files.open_artifact("a", "1", path)
        with pytest.raises(FileNotFoundError):
            files.open_artifact("a", "2", "empty")

    def test_what_is_not_needed_goes(self, files, open_files):
        for attempt in (1, 2):
            folder = files.begin("a", attempt)
            (folder / "checkpoint.x").write_bytes(b"%d" % attempt)
            (folder / "artifacts").mkdir()
            (folder / "artifacts" / "r").write_bytes(b"%d" % attempt)
            files.saved("a", attempt)
            files.publish("a", attempt)
        files.clear("a", keep=2)
        assert self.read(open_files(), "a", "2", "r") == b"2"
        with pytest.raises(FileNotFoundError):
            files.open_artifact("a", "1", "r")
        assert list(open_files().begin("a", 3).iterdir()) == []
        files.remove("a")
        files.remove("a")
        with pytest.raises(FileNotFoundError):
            files.open_artifact("a", "2", "r")

    def test_an_analysis_publishes_a_further_edition_of_another_job(self, files, open_files):
        made = files.begin("a", 1) / "artifacts"
        (made / "b").mkdir(parents=True)
        (made / "b" / "r").write_bytes(b"found")
        (made / "escape").symlink_to("/etc/passwd")
        files.publish("a", 1)
        other = open_files()
        copy = other.begin("x", 2) / "artifacts"
        other.copy_published("a", "1", copy)
        assert {path.name: path.read_bytes() for path in copy.rglob("*") if path.is_file()} == {"r": b"found"}
        (copy / "b" / "r").write_bytes(b"found and more")
        assert self.read(files, "a", "1", "b/r") == b"found"  # it was a copy
        other.publish("x", 2, analysed="a")
        other.clear("x", keep=2)
        files.clear("a", keep=1)  # as by the worker of the job itself, late
        assert sorted(files.editions("a")) == ["1", "x-2"]
        assert self.read(files, "a", "1", "b/r") == b"found"
        assert self.read(files, "a", "x-2", "b/r") == b"found and more"
        files.discard("a", "1")
        files.discard("a", "y-1")
        assert files.editions("a") == ["x-2"]
        assert self.read(open_files(), "a", "x-2", "b/r") == b"found and more"
        for missing in ("1", "x-1"):
            with pytest.raises(FileNotFoundError):
                files.copy_published("a", missing, files.begin("y", 1) / "artifacts")
        files.remove("a")
        with pytest.raises(FileNotFoundError):
            files.open_artifact("a", "x-2", "b/r")
