import itertools

import fsspec
import pytest
from job_files_contract import JobFilesContract

from actmax.server.storage.folders import JobFolders
from actmax.server.storage.remote import RemoteFiles


class TestJobFolders(JobFilesContract):
    @pytest.fixture
    def open_files(self, tmp_path):
        return lambda: JobFolders(tmp_path / "jobs")

    def test_a_checkpoint_of_the_first_servers_is_found(self, files):
        work = files.root / "a" / "work"
        work.mkdir(parents=True)
        (work / "checkpoint.safetensors").write_bytes(b"old")
        assert (files.begin("a", 4) / "checkpoint.safetensors").read_bytes() == b"old"


class TestFilesInMemory(JobFilesContract):
    @pytest.fixture
    def open_files(self, tmp_path):
        numbers = itertools.count()
        yield lambda: RemoteFiles("memory://bucket/actmax", tmp_path / str(next(numbers)))
        fsspec.filesystem("memory").store.clear()


class TestFilesAtAFolderUrl(JobFilesContract):
    @pytest.fixture
    def open_files(self, tmp_path):
        numbers = itertools.count()
        return lambda: RemoteFiles(f"file://{tmp_path}/bucket", tmp_path / str(next(numbers)))

    def test_a_failed_write_leaves_no_file_and_may_be_tried_again(self, files, tmp_path):
        (files.begin("a", 1) / "artifacts").mkdir()
        (tmp_path / "0" / "a" / "work-1" / "artifacts" / "r").write_bytes(b"1")
        (tmp_path / "bucket" / "a").mkdir(parents=True)
        (tmp_path / "bucket" / "a" / "artifacts-1").write_text("in the way, as a store that can't be written is")
        with pytest.raises(OSError):  # noqa: PT011  # the words are the store's
            files.publish("a", 1)
        (tmp_path / "bucket" / "a" / "artifacts-1").unlink()
        files.publish("a", 1)
        assert self.read(files, "a", "1", "r") == b"1"
        assert [path.name for path in (tmp_path / "bucket" / "a" / "artifacts-1").iterdir()] == ["r"]
