"""The files of jobs below one folder: a work folder for each attempt, published artifacts once a job has ended."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

from ...engine.durable import sync

_PUBLISHED = "artifacts-"
_ATTEMPT = re.compile(r"work-(\d+)")


class JobFiles(Protocol):
    """Keeps what workers write. ``tests/server/job_files_contract.py`` holds every implementation to it.

    Each attempt has a work folder of its own, into which the newest checkpoint of the earlier ones is brought: a worker that was
    believed dead goes on writing where nobody reads any more. What is published is whole, and no later attempt touches it.

    Artifacts are published in editions: a job's own has the number of its attempt, and each analysis of the job publishes a further one.
    """

    def begin(self, job_id: str, attempt: int) -> Path:
        """The local folder that this attempt's worker writes into, with the newest checkpoint of an earlier one where there is one."""
        ...

    def saved(self, job_id: str, attempt: int) -> None:
        """Bring the attempt's newest checkpoint to where another server finds it; called now and then."""
        ...

    def publish(self, job_id: str, attempt: int, *, analysed: str = "") -> None:
        """Publish what the attempt's worker wrote below ``artifacts``.

        Parameters
        ----------
        job_id : str
            The job.
        attempt : int
            Its attempt.
        analysed : str
            The job whose artifacts these become, where ``job_id`` analyses another one; its edition is ``{job_id}-{attempt}`` then.
        """
        ...

    def copy_published(self, job_id: str, edition: str, folder: Path) -> None:
        """Copy the artifacts of an edition into the local ``folder``, which is made.

        Raises
        ------
        FileNotFoundError
            There is no such edition.
        OSError
            They can't be read, or written.
        """
        ...

    def open_artifact(self, job_id: str, edition: str, path: str) -> BinaryIO:
        """Open a published artifact to read and seek.

        Raises
        ------
        FileNotFoundError
            There is none at ``path``, or it is a link or leads out of the folder.
        """
        ...

    def clear(self, job_id: str, *, keep: int) -> None:
        """Remove checkpoints, and editions of the job's own attempts but ``keep``: what a dead server published and did not record."""
        ...

    def editions(self, job_id: str) -> list[str]:
        """Return the editions of a job's artifacts that are there, of analyses too."""
        ...

    def discard(self, job_id: str, edition: str) -> None:
        """Remove an edition of a job's artifacts; what can't be removed stays."""
        ...

    def remove(self, job_id: str) -> None:
        """Remove all files of a job; OSError where that fails."""
        ...


class JobFolders:
    """``JobFiles`` below the folder ``root``, one folder a job; servers on several machines may share it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def begin(self, job_id: str, attempt: int) -> Path:
        """See ``JobFiles``."""
        folder = self.work(job_id, attempt)
        folder.mkdir(parents=True, exist_ok=True)
        earlier = sorted((number, path) for number, path in _works(self.root / job_id) if number < attempt)
        for number, path in reversed(earlier):
            if found := checkpoints(path):
                for file in found:
                    _link(file, folder / file.name)
                for old, stale in earlier:
                    if old < number:
                        shutil.rmtree(stale, ignore_errors=True)
                break
        return folder

    def attempts(self, job_id: str) -> list[int]:
        """Attempts that have a work folder."""
        return [number for number, _ in _works(self.root / job_id)]

    def work(self, job_id: str, attempt: int) -> Path:
        """An attempt's work folder."""
        return self.root / job_id / f"work-{attempt}"

    def saved(self, job_id: str, attempt: int) -> None:
        """See ``JobFiles``; here it is there already."""

    def publish(self, job_id: str, attempt: int, *, analysed: str = "") -> None:
        """See ``JobFiles``."""
        made, published = self.work(job_id, attempt) / "artifacts", self._published(*published_as(job_id, attempt, analysed))
        if made.is_dir():
            made.rename(published)
            sync(published.parent)

    def copy_published(self, job_id: str, edition: str, folder: Path) -> None:
        """See ``JobFiles``."""
        published = self._published(job_id, edition)
        if not published.is_dir():
            raise FileNotFoundError(published)
        for path, file in artifact_files(published):
            to = folder / path
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, to)

    def clear(self, job_id: str, *, keep: int) -> None:
        """See ``JobFiles``."""
        for folder in (self.root / job_id).glob("*"):
            if not is_kept(folder.name, keep):
                shutil.rmtree(folder, ignore_errors=True)

    def editions(self, job_id: str) -> list[str]:
        """See ``JobFiles``."""
        return sorted(folder.name.removeprefix(_PUBLISHED) for folder in (self.root / job_id).glob(f"{_PUBLISHED}*"))

    def discard(self, job_id: str, edition: str) -> None:
        """See ``JobFiles``."""
        shutil.rmtree(self._published(job_id, edition), ignore_errors=True)

    def remove(self, job_id: str) -> None:
        """See ``JobFiles``."""
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self.root / job_id)

    def open_artifact(self, job_id: str, edition: str, path: str) -> BinaryIO:
        """See ``JobFiles``."""
        root = self._published(job_id, edition).resolve()
        file = root.joinpath(*path.split("/"))
        if file.resolve() != file or root not in file.parents or not file.is_file():
            raise FileNotFoundError(path)
        return os.fdopen(os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb")

    def _published(self, job_id: str, edition: str) -> Path:
        return self.root / job_id / f"{_PUBLISHED}{edition}"


def is_kept(name: str, attempt: int) -> bool:
    """Return whether a job that ended with ``attempt`` keeps the folder ``name``: its artifacts, and those that analyses made."""
    edition = name.removeprefix(_PUBLISHED)
    return edition != name and (edition == str(attempt) or "-" in edition)


def published_as(job_id: str, attempt: int, analysed: str) -> tuple[str, str]:
    """Return the job whose artifacts an attempt makes, and their edition; see ``JobFiles.publish``."""
    return (analysed, f"{job_id}-{attempt}") if analysed else (job_id, str(attempt))


def checkpoints(folder: Path) -> list[Path]:
    """An attempt's whole checkpoint files; one that is being written has another name."""
    return sorted(path for path in folder.glob("checkpoint.*") if path.suffix != ".writing" and path.is_file() and not path.is_symlink())


def artifact_files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Regular files below ``folder``, each with its path relative to it, in order; links are passed over."""
    for file in sorted(folder.rglob("*")):
        if file.is_file() and not file.is_symlink():
            yield file.relative_to(folder).as_posix(), file


def _works(folder: Path) -> Iterator[tuple[int, Path]]:
    for path in folder.glob("work*"):
        if match := _ATTEMPT.fullmatch(path.name):
            yield int(match[1]), path
        elif path.name == "work":  # as the first servers had it
            yield 0, path


def _link(source: Path, to: Path) -> None:
    # Renaming over either name later leaves the other one's content alone.
    try:
        os.link(source, to)
    except FileExistsError:
        pass
    except OSError:
        shutil.copy2(source, to.with_suffix(".writing"))
        to.with_suffix(".writing").replace(to)
