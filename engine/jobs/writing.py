"""Brings a finished job to disk: its folder is tried before the work, its numbers are never lost to a fault while writing."""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from ...models.spaces import StimulusSpec
from ..report import write_artifacts
from ..report.artifacts import MARKER
from ..report.folder import check_replaceable
from ..results.result import JobResult
from ..search.search import Search
from .observers import Checkpointer

ARTIFACTS = "artifacts"
"""Folder of the artifacts, below a job's own."""


class NotWritten(OSError):
    """A job has ended, and what it found can't be written; ``result`` holds it.

    Parameters
    ----------
    result : JobResult
        What was found.
    folder : Path
        Where it was to be written.
    stimulus : StimulusSpec
        What its stimuli are.
    cause : Exception
        Why it can't be.
    """

    def __init__(self, result: JobResult, folder: Path, stimulus: StimulusSpec, cause: Exception) -> None:
        number = cause.errno if isinstance(cause, OSError) else None
        why = cause.strerror if isinstance(cause, OSError) else None
        super().__init__(number or errno.EIO, why or f"{type(cause).__name__}: {cause}", str(folder))
        self.result = result
        self.stimulus = stimulus


def prepare(folder: Path) -> None:
    """Make a job's folder, and validate that a file can be written into it.

    Raises
    ------
    FileExistsError
        Its artifacts' place holds other things.
    OSError
        It can't be made or written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        pass
    check_replaceable(folder / ARTIFACTS, marker=MARKER)


def write(
    result: JobResult,
    folder: Path,
    stimulus: StimulusSpec,
    saver: Checkpointer,
    searches: Sequence[Search],
    *,
    keep_checkpoint: bool,
    on_drawn: Callable[[int], None] = lambda _: None,
) -> JobResult:
    """Save the searches as they ended, write the artifacts, and return the result with notices of what could not be drawn.

    Parameters
    ----------
    result : JobResult
        What was found.
    folder : Path
        The job's.
    stimulus : StimulusSpec
        What the stimuli are.
    saver : Checkpointer
        Of the job: a process that is killed while it draws goes on from the ended searches.
    searches : sequence of Search
        All of the job.
    keep_checkpoint : bool
        Whether the checkpoint stays.
    on_drawn : callable
        Called after each picture with how many have been drawn.

    Raises
    ------
    NotWritten
        The numbers can't be written; the checkpoint stays.
    """
    with suppress(OSError):  # with no room for it there may be room for the artifacts, which are smaller
        saver.save(searches, result.seconds)
    try:
        result = write_artifacts(result, folder / ARTIFACTS, stimulus, on_drawn)
    except Exception as error:
        raise NotWritten(result, folder / ARTIFACTS, stimulus, error) from error
    if not keep_checkpoint:
        saver.path.unlink(missing_ok=True)
    return result
