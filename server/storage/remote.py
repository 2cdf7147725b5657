"""The files of jobs at a URL that fsspec supports: object storage, SFTP, another folder."""

from __future__ import annotations

import contextlib
import secrets
import threading
from pathlib import Path
from typing import BinaryIO, cast

import fsspec
from fsspec.spec import AbstractFileSystem

from ...engine.durable import sync
from .folders import JobFolders, artifact_files, checkpoints, is_kept, published_as


class RemoteFiles:
    """``JobFiles`` at ``url``; workers write into a local folder, and checkpoints and artifacts are copied from there.

    A file is written under a temporary name, its size compared, and then renamed, so that a file under its final name is whole.

    Parameters
    ----------
    url : str
        Such as ``s3://bucket/actmax``; credentials come from the store's own environment variables.
    scratch : Path
        The local folder.
    """

    def __init__(self, url: str, scratch: Path) -> None:
        found, root = fsspec.core.url_to_fs(url)
        self._fs = cast("AbstractFileSystem", found)
        self._root = str(root).rstrip("/")
        self._local = JobFolders(scratch)
        self._brought: dict[tuple[str, int, str], tuple[int, int]] = {}
        self._lock = threading.Lock()

    def begin(self, job_id: str, attempt: int) -> Path:
        """See ``JobFiles``."""
        folder = self._local.begin(job_id, attempt)
        with self._lock:
            self._fs.invalidate_cache()
            earlier = [number for number in self._attempts(job_id, "checkpoint-") if number < attempt]
        here = [number for number in self._local.attempts(job_id) if number < attempt and checkpoints(self._local.work(job_id, number))]
        local = max(here, default=-1)
        for number in sorted(earlier, reverse=True):
            if number <= local:
                break  # the newest checkpoint is in the local folder
            files = self._list(self._at(job_id, f"checkpoint-{number}"))
            if not files:
                continue
            for name in files:
                temporary = folder / f"{name}.writing"
                self._fs.get_file(self._at(job_id, f"checkpoint-{number}", name), str(temporary))
                temporary.replace(folder / name)
            break
        return folder

    def saved(self, job_id: str, attempt: int) -> None:
        """See ``JobFiles``."""
        for file in checkpoints(self._local.work(job_id, attempt)):
            status = file.stat()
            key, version = (job_id, attempt, file.name), (status.st_mtime_ns, status.st_ino)
            if self._brought.get(key) != version:
                self._put(file, self._at(job_id, f"checkpoint-{attempt}", file.name))
                self._brought[key] = version

    def publish(self, job_id: str, attempt: int, *, analysed: str = "") -> None:
        """See ``JobFiles``."""
        owner, edition = published_as(job_id, attempt, analysed)
        for path, file in artifact_files(self._local.work(job_id, attempt) / "artifacts"):
            self._put(file, self._at(owner, f"artifacts-{edition}", path))

    def copy_published(self, job_id: str, edition: str, folder: Path) -> None:
        """See ``JobFiles``."""
        root = self._at(job_id, f"artifacts-{edition}")
        with self._lock:
            self._fs.invalidate_cache()
            found = [str(file) for file in self._fs.find(root)]
        if not found:
            raise FileNotFoundError(root)
        for file in found:
            to = folder / file.rpartition(f"/artifacts-{edition}/")[2]
            to.parent.mkdir(parents=True, exist_ok=True)
            self._fs.get_file(file, str(to))

    def open_artifact(self, job_id: str, edition: str, path: str) -> BinaryIO:
        """See ``JobFiles``."""
        if any(part in ("", ".", "..") for part in path.split("/")):
            raise FileNotFoundError(path)
        at = self._at(job_id, f"artifacts-{edition}", path)
        local = Path(at) if "file" in self._protocols else None
        if local is not None and local.resolve() != local.absolute():
            raise FileNotFoundError(path)
        if not self._fs.isfile(at):
            raise FileNotFoundError(path)
        return cast("BinaryIO", self._fs.open(at, "rb"))

    def clear(self, job_id: str, *, keep: int) -> None:
        """See ``JobFiles``."""
        with contextlib.suppress(OSError):
            for entry in self._list(self._at(job_id)):
                if not is_kept(entry, keep):
                    self._fs.rm(self._at(job_id, entry), recursive=True)
        with contextlib.suppress(OSError):
            self._local.remove(job_id)
        self._forget(job_id)

    def editions(self, job_id: str) -> list[str]:
        """See ``JobFiles``."""
        with self._lock:
            self._fs.invalidate_cache()
            names = self._list(self._at(job_id))
        return [name.removeprefix("artifacts-") for name in names if name.startswith("artifacts-")]

    def discard(self, job_id: str, edition: str) -> None:
        """See ``JobFiles``."""
        with contextlib.suppress(OSError):
            self._fs.rm(self._at(job_id, f"artifacts-{edition}"), recursive=True)

    def remove(self, job_id: str) -> None:
        """See ``JobFiles``."""
        with contextlib.suppress(FileNotFoundError):
            self._fs.rm(self._at(job_id), recursive=True)
        self._local.remove(job_id)
        self._forget(job_id)

    @property
    def _protocols(self) -> tuple[str, ...]:
        protocol = self._fs.protocol
        return (protocol,) if isinstance(protocol, str) else tuple(protocol)

    def _put(self, file: Path, at: str) -> None:
        parent, name = at.rsplit("/", 1)
        temporary = f"{parent}/.{name}.{secrets.token_hex(6)}.writing"
        self._fs.makedirs(parent, exist_ok=True)
        try:
            self._fs.put_file(str(file), temporary)
            size = self._fs.info(temporary)["size"]
            if size != file.stat().st_size:
                raise OSError(f"{at} came to {size} bytes instead of {file.stat().st_size}")
            if "file" in self._protocols:
                sync(Path(temporary))
                Path(temporary).replace(at)
            else:
                self._fs.mv(temporary, at)
        except BaseException:
            with contextlib.suppress(Exception):
                self._fs.rm_file(temporary)
            raise

    def _attempts(self, job_id: str, prefix: str) -> list[int]:
        names = self._list(self._at(job_id))
        return [int(name.removeprefix(prefix)) for name in names if name.startswith(prefix) and name.removeprefix(prefix).isdigit()]

    def _list(self, at: str) -> list[str]:
        try:
            names = [str(entry).rstrip("/").rsplit("/", 1)[-1] for entry in self._fs.ls(at, detail=False)]
        except FileNotFoundError:
            return []
        return sorted(name for name in names if not name.endswith(".writing"))

    def _at(self, *parts: str) -> str:
        return "/".join((self._root, *parts))

    def _forget(self, job_id: str) -> None:
        for key in [key for key in self._brought if key[0] == job_id]:
            self._brought.pop(key, None)


def job_files(url: str, data: Path) -> JobFolders | RemoteFiles:
    """Return the job files at ``url``, or below the data folder if ``url`` is empty.

    Raises
    ------
    ValueError, ImportError, OSError
        fsspec can't open the URL.
    """
    return RemoteFiles(url, data / "work") if url else JobFolders(data / "jobs")
