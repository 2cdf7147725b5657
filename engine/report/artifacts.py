"""Writes all of a job's artifacts into one folder: numbers first, then every picture that can be drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ...models.spaces import StimulusSpec
from ..results.result import JobResult
from .drawings import groups_of_drawings
from .folder import replaced_folder
from .html import report_html
from .results import Written, arrays_npz, result_json

MARKER = "result.json"
"""The file that identifies a folder as one of artifacts."""
MOST_UNITS_DRAWN = 200
"""Units that get a convergence plot and a place in ``report.html``; pictures and numbers are written for every unit."""
_MOST_NAMED = 3


def write_artifacts(result: JobResult, folder: Path, stimulus: StimulusSpec, on_drawn: Callable[[int], None] = lambda _: None) -> JobResult:
    """Write a job's artifacts, replacing an earlier set; return the result with a notice about failed drawings.

    ``arrays.npz`` and ``result.json`` are written before anything is drawn. A picture or page that can't be drawn, or for which there is no
    room, is left out and named in ``notices``, and in the ``warnings`` of ``result.json``.

    Parameters
    ----------
    result : JobResult
        The result; it may have no search at all.
    folder : Path
        Folder of the artifacts: ``report.html``, ``montage.png`` (and ``montage-2.png`` … for many units), ``convergence.png``,
        ``convergence/<unit>.png``, ``stimuli/<unit>--<optimizer>.png`` (enlarged), ``stimuli/raw/…`` (an image at its own size),
        ``result.json``, ``arrays.npz``, and the files of the sections' figures. It appears, or changes, at once when everything has been
        written.
    stimulus : StimulusSpec
        Shape, range and modality of ``result``'s stimuli.
    on_drawn : callable
        Called after each picture with the number of pictures drawn so far.

    Raises
    ------
    FileExistsError
        ``folder`` holds something other than artifacts, which would be lost.
    OSError
        The numbers can't be written; an earlier set of artifacts is unchanged.
    """
    job = Written.of(result, stimulus, MOST_UNITS_DRAWN)
    with replaced_folder(folder, marker=MARKER) as fresh:
        for part in ("stimuli/raw", "convergence"):
            (fresh / part).mkdir(parents=True)
        (fresh / "arrays.npz").write_bytes(arrays_npz(result, stimulus))
        (fresh / MARKER).write_text(result_json(job, frozenset()), encoding="utf-8")
        pictures = Pictures(fresh)
        for called, lay_out in groups_of_drawings(job):
            try:
                for name, draw in lay_out():
                    pictures.draw(name, draw)
                    on_drawn(len(pictures.written))
            except Exception as error:  # raised by the layout
                pictures.leave_out(called, error)
        told = replace(job, result=replace(result, notices=(*result.notices, *pictures.notices())))
        pictures.draw("report.html", lambda: report_html(told, pictures.written).encode())
        while True:
            told = replace(job, result=replace(result, notices=(*result.notices, *pictures.notices())))
            text = result_json(told, pictures.written)
            try:
                overwrite(fresh / MARKER, text.encode())
                return told.result
            except OSError as error:
                if not pictures.drop_last(error):
                    return told.result  # the first result.json stays, which lists no picture


class Pictures:
    """The pictures in a folder: those that were written, and why others could not be."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._written: dict[str, None] = {}
        self._reasons: dict[str, list[str]] = {}

    @property
    def written(self) -> frozenset[str]:
        """Names of the written files."""
        return frozenset(self._written)

    def draw(self, name: str, make: Callable[[], bytes]) -> None:
        """Write what ``make`` returns as ``name``, or record the reason why that failed."""
        path = self._folder / name
        try:
            content = make()
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            self._written[name] = None
        except Exception as error:  # an error of a drawing library or a disk must not lose the numbers
            path.unlink(missing_ok=True)
            self.leave_out(name, error)

    def leave_out(self, name: str, error: Exception) -> None:
        """Record why ``name`` is missing."""
        told = error.strerror if isinstance(error, OSError) and error.strerror else f"{type(error).__name__}: {error}"
        self._reasons.setdefault(told, []).append(name)

    def drop_last(self, error: Exception) -> bool:
        """Remove the last picture to make room; return whether there was one."""
        if not self._written:
            return False
        name, _ = self._written.popitem()
        (self._folder / name).unlink(missing_ok=True)
        self.leave_out(name, error)
        return True

    def notices(self) -> tuple[str, ...]:
        """Return a line for each reason, with the names of the missing files."""
        return tuple(
            f"{_listed(names)} could not be drawn: {reason}; the numbers are in arrays.npz" for reason, names in self._reasons.items()
        )


def _listed(names: list[str]) -> str:
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def overwrite(path: Path, content: bytes) -> None:
    """Replace a file as a whole; on a full disk the former file stays.

    Raises
    ------
    OSError
        The file can't be written.
    """
    beside = path.with_name(path.name + ".writing")
    try:
        beside.write_bytes(content)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
