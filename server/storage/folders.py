"""The files of jobs: a work folder while one runs, published artifacts once it has ended."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


class JobFolders:
    """Files below ``root``, one folder a job.

    A worker writes into ``<job>/work`` and nothing reads there; when it has ended, ``<job>/work/artifacts`` is renamed at
    once to ``<job>/artifacts-<attempt>``, so that what is published is whole, and no later attempt touches it.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def work(self, job_id: str) -> Path:
        """Where a worker writes; made where it is missing."""
        folder = self.root / job_id / "work"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def publish(self, job_id: str, attempt: int) -> None:
        """Make what the worker wrote below ``work/artifacts`` the job's artifacts."""
        made, published = self.root / job_id / "work" / "artifacts", self._published(job_id, attempt)
        if made.is_dir():
            made.rename(published)
            _sync(published.parent)

    def clear(self, job_id: str, *, keep: int) -> None:
        """Remove all but the artifacts of attempt ``keep``: checkpoints, and what a dead server published and did not record."""
        kept = self._published(job_id, keep)
        for folder in (self.root / job_id).glob("*"):
            if folder != kept:
                shutil.rmtree(folder, ignore_errors=True)

    def open_artifact(self, job_id: str, attempt: int, path: str) -> BinaryIO:
        """Open a published artifact to read.

        Raises
        ------
        FileNotFoundError
            There is none at ``path``, or it is a link or leads out of the folder.
        """
        root = self._published(job_id, attempt).resolve()
        file = root.joinpath(*path.split("/"))
        if file.resolve() != file or root not in file.parents or not file.is_file():
            raise FileNotFoundError(path)
        return os.fdopen(os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb")

    def _published(self, job_id: str, attempt: int) -> Path:
        return self.root / job_id / f"artifacts-{attempt}"


def artifact_files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Regular files below ``folder``, each with its path relative to it, in order; links are passed over."""
    for file in sorted(folder.rglob("*")):
        if file.is_file() and not file.is_symlink():
            yield file.relative_to(folder).as_posix(), file


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
