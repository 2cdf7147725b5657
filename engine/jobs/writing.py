"""Writes a finished job: tests its folder before the search, and keeps the numbers if writing fails."""

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
    """A job has ended, and its result can't be written; ``result`` holds it.

    Parameters
    ----------
    result : JobResult
        The result.
    folder : Path
        Folder that it was to be written to.
    stimulus : StimulusSpec
        Shape, range and modality of its stimuli.
    cause : Exception
        Why it can't be written.
    """

    def __init__(self, result: JobResult, folder: Path, stimulus: StimulusSpec, cause: Exception) -> None:
        number = cause.errno if isinstance(cause, OSError) else None
        why = cause.strerror if isinstance(cause, OSError) else None
        super().__init__(number or errno.EIO, why or f"{type(cause).__name__}: {cause}", str(folder))
        self.result = result
        self.stimulus = stimulus


def prepare(folder: Path) -> None:
    """Create a job's folder, and validate that a file can be written into it.

    Raises
    ------
    FileExistsError
        The artifacts' folder exists and holds other files.
    OSError
        The folder can't be created or written to.
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
    """Save the searches' final state, write the artifacts, and return the result with notices about failed drawings.

    Parameters
    ----------
    result : JobResult
        The result.
    folder : Path
        The job's folder.
    stimulus : StimulusSpec
        Shape, range and modality of the stimuli.
    saver : Checkpointer
        The job's checkpointer: a process that is killed while drawing resumes with the ended searches.
    searches : sequence of Search
        All searches of the job.
    keep_checkpoint : bool
        Whether the checkpoint stays.
    on_drawn : callable
        Called after each picture with the number of pictures drawn so far.

    Raises
    ------
    NotWritten
        The numbers can't be written; the checkpoint stays.
    """
    with suppress(OSError):  # on a full disk there may still be room for the artifacts, which are smaller
        saver.save(searches, result.seconds)
    try:
        result = write_artifacts(result, folder / ARTIFACTS, stimulus, on_drawn)
    except Exception as error:
        raise NotWritten(result, folder / ARTIFACTS, stimulus, error) from error
    if not keep_checkpoint:
        saver.path.unlink(missing_ok=True)
    return result
