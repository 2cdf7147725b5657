"""A session's stimuli as files in a rig's folder, nothing seen before it is whole."""

from __future__ import annotations

import csv
import io
import shutil
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from actmax.v1 import session_pb2

from ...wire.arrays import to_array
from ...wire.errors import InvalidInput
from ..sessions.protocol import Generation
from ..whole_files import WRITING, write
from .options import Format

MANIFEST, LEFT = "trials.csv", "left.csv"


class StimulusFiles:
    """The files of generations, ``generation-000001`` and so on, each with a table of its trials and of those that are left.

    Parameters
    ----------
    folder : Path
        The rig's.
    format : Format
        Of each stimulus.
    """

    def __init__(self, folder: Path, format: Format) -> None:
        self._folder, self._format = folder, format

    def clean(self) -> None:
        """Remove what a process that was killed has left half written."""
        for left in self._folder.glob(f"{WRITING}*"):
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink(missing_ok=True)

    def place(self, generation: Generation) -> Path:
        """Return the folder of a generation."""
        return self._folder / f"generation-{generation.number:06d}"

    def show(self, generation: Generation, session: session_pb2.Session) -> None:
        """Write a generation, unless it lies there whole; its folder appears with all that is in it."""
        files, place = self._names(generation), self.place(generation)
        contents = [self._content(generation, row, session) for row in range(len(generation))]
        if all(_holds(place / file, content) for file, content in zip(files, contents, strict=True)):
            return
        writing = self._folder / f"{WRITING}{place.name}"
        writing.mkdir()
        for file, content in zip(files, contents, strict=True):
            (writing / file).write_bytes(content)
        for manifest in (MANIFEST, LEFT):
            (writing / manifest).write_text(_table(generation, files))
        if place.exists():  # cut short by a power failure
            place.replace(self._folder / f"{WRITING}old-{uuid.uuid4().hex}")
        writing.replace(place)

    def left(self, generation: Generation) -> None:
        """Write which trials of a generation are left."""
        write(self.place(generation) / LEFT, _table(generation, self._names(generation)))

    def recommended(self, session: session_pb2.Session) -> None:
        """Write the recommended stimulus, where there is one."""
        if session.recommendation.HasField("stimulus"):
            content = self._encoded(to_array(session.recommendation.stimulus), session)
            write(self._folder / f"recommended.{self._format}", content)

    def _names(self, generation: Generation) -> list[str]:
        return [f"{trial:07d}.{self._format}" for trial in generation.trials]

    def _content(self, generation: Generation, row: int, session: session_pb2.Session) -> bytes:
        if self._format is Format.PNG and generation.png:
            return generation.png[row]
        stimulus = _levels(generation.png[row]) if generation.png else generation.stimuli[row]
        return self._encoded(stimulus, session, compress_level=1)

    def _encoded(self, stimulus: NDArray[Any], session: session_pb2.Session, **options: int) -> bytes:
        made = io.BytesIO()
        if self._format is Format.NPY:
            np.save(made, stimulus)
        else:
            as_image(stimulus, session.stimulus_low, session.stimulus_high).save(made, "PNG", **options)
        return made.getvalue()


def as_image(stimulus: NDArray[Any], low: float, high: float) -> Image.Image:
    """A stimulus, (1 or 3, height, width) in [low, high] or uint8, as a picture.

    Raises
    ------
    InvalidInput
        It is no picture.
    """
    if stimulus.ndim != 3 or stimulus.shape[0] not in (1, 3):
        shape = " × ".join(str(size) for size in stimulus.shape)
        raise InvalidInput(f"stimuli of {shape} are no pictures of 1 or 3 channels; use the format npy")
    values = stimulus
    if values.dtype != np.uint8:
        values = ((values.astype(np.float64) - low) / ((high - low) or 1.0) * 255).round().clip(0, 255).astype(np.uint8)
    return Image.fromarray(values[0] if len(values) == 1 else np.ascontiguousarray(values.transpose(1, 2, 0)))


def csv_text(rows: Sequence[Sequence[Any]]) -> str:
    """Return rows as the text of a ``.csv`` file."""
    made = io.StringIO()
    csv.writer(made, lineterminator="\n").writerows(rows)
    return made.getvalue()


def _levels(png: bytes) -> NDArray[np.uint8]:
    """The levels of a stimulus that travelled as PNG, (height, width) or (height, width, 3)."""
    from actmax.models.pictures.decoding import decode  # Pillow

    return np.asarray(decode(png).image)


def _holds(path: Path, content: bytes) -> bool:
    try:
        return path.read_bytes() == content
    except OSError:
        return False


def _table(generation: Generation, files: Sequence[str]) -> str:
    return csv_text([("trial", "file", "kind"), *zip(generation.trials, files, generation.kinds, strict=True)])
