"""The files of jobs below one folder: a work folder for each attempt, and the artifacts of jobs that have ended."""

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

    Each attempt has its own work folder, which receives the newest checkpoint of earlier attempts. A worker that was wrongly taken for dead
    therefore writes where nothing reads. Published artifacts are whole, and no later attempt changes them.

    Artifacts are published in editions: the job's own edition has the number of its attempt, and each analysis adds another edition.
    """

    def begin(self, job_id: str, attempt: int) -> Path:
        """Create and return the local folder that an attempt's worker writes into, with the newest earlier checkpoint, if any."""
        ...

    def saved(self, job_id: str, attempt: int) -> None:
        """Store the attempt's newest checkpoint where other servers find it; called repeatedly while the attempt runs.

        Raises
        ------
        OSError
            The checkpoint can't be stored.
        """
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
            The analysed job, if ``job_id`` is an analysis: its artifacts are published, as edition ``{job_id}-{attempt}``. Else empty.

        Raises
        ------
        OSError
            The artifacts can't be published.
        """
        ...

    def copy_published(self, job_id: str, edition: str, folder: Path) -> None:
        """Copy the artifacts of an edition into the local ``folder``, which is created.

        Raises
        ------
        FileNotFoundError
            There is no such edition.
        OSError
            The artifacts can't be read, or written.
        """
        ...

    def open_artifact(self, job_id: str, edition: str, path: str) -> BinaryIO:
        """Open a published artifact for reading and seeking.

        Raises
        ------
        FileNotFoundError
            There is no file at ``path``, or it is a link or lies outside the folder.
        """
        ...

    def clear(self, job_id: str, *, keep: int) -> None:
        """Remove checkpoints and the editions of other attempts than ``keep``, which a dead server published without recording.

        Editions of analyses stay.
        """
        ...

    def editions(self, job_id: str) -> list[str]:
        """Return the names of all editions of a job's artifacts, those of analyses too."""
        ...

    def discard(self, job_id: str, edition: str) -> None:
        """Remove an edition of a job's artifacts; files that can't be removed stay."""
        ...

    def remove(self, job_id: str) -> None:
        """Remove all files of a job.

        Raises
        ------
        OSError
            Files can't be removed.
        """
        ...


class JobFolders:
    """``JobFiles`` below the folder ``root``, with one folder per job; servers on several machines may share it."""

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
        """Return the numbers of the attempts that have a work folder."""
        return [number for number, _ in _works(self.root / job_id)]

    def work(self, job_id: str, attempt: int) -> Path:
        """Return the path of an attempt's work folder."""
        return self.root / job_id / f"work-{attempt}"

    def saved(self, job_id: str, attempt: int) -> None:
        """See ``JobFiles``; the checkpoint is already in the shared folder."""

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
    """Return whether the folder ``name`` stays when a job ends with ``attempt``: that attempt's artifacts, and those of analyses."""
    edition = name.removeprefix(_PUBLISHED)
    return edition != name and (edition == str(attempt) or "-" in edition)


def published_as(job_id: str, attempt: int, analysed: str) -> tuple[str, str]:
    """Return the job whose artifacts an attempt publishes, and their edition; parameters are those of ``JobFiles.publish``."""
    return (analysed, f"{job_id}-{attempt}") if analysed else (job_id, str(attempt))


def checkpoints(folder: Path) -> list[Path]:
    """Return the complete checkpoint files in an attempt's folder, sorted; a file that is still being written has another name."""
    return sorted(path for path in folder.glob("checkpoint.*") if path.suffix != ".writing" and path.is_file() and not path.is_symlink())


def artifact_files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield the regular files below ``folder``, each as relative path and path, sorted; links are skipped."""
    for file in sorted(folder.rglob("*")):
        if file.is_file() and not file.is_symlink():
            yield file.relative_to(folder).as_posix(), file


def _works(folder: Path) -> Iterator[tuple[int, Path]]:
    for path in folder.glob("work*"):
        if match := _ATTEMPT.fullmatch(path.name):
            yield int(match[1]), path
        elif path.name == "work":  # the name in data folders of the first version
            yield 0, path


def _link(source: Path, to: Path) -> None:
    # A later rename over one of the two names does not change the file under the other name.
    try:
        os.link(source, to)
    except FileExistsError:
        pass
    except OSError:
        shutil.copy2(source, to.with_suffix(".writing"))
        to.with_suffix(".writing").replace(to)
