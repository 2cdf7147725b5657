"""The pictures of a folder, in batches, as a target takes them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...models.image_source import picture_paths, picture_stimulus, try_picture
from ...models.options import InvalidOption
from ...models.pictures.errors import UnreadablePicture
from ...models.pictures.folder import shown_name
from ...models.spaces import StimulusSpec

TRIED = 100
"""Pictures of a folder up to which all are tried before a job begins."""


class ImageStream:
    """Reads the pictures of a folder and those below it by name, each cropped to the middle and scaled; what can't be read is left out.

    Parameters
    ----------
    folder : str
        Its path.
    stimulus : StimulusSpec
        Of images.
    option : str
        What named the folder, for errors.
    most : int
        Pictures beyond are left out, and counted.

    Attributes
    ----------
    reading : FolderReading
        Which pictures were read so far, which weren't and why, and what was passed over.

    Raises
    ------
    InvalidOption
        There is no such folder, or no picture in it.
    """

    def __init__(self, folder: str, stimulus: StimulusSpec, option: str, most: int = 50_000) -> None:
        self.paths, self.reading = picture_paths(folder, option, most)
        self._root, self._stimulus = Path(folder), stimulus

    def batches(self, size: int) -> Iterator[tuple[list[Path], Tensor]]:
        """Paths and stimuli, (n, *stimulus) float32, of at most ``size`` pictures at a time."""
        pictures = ((path, found) for path in self.paths if (found := self._read(path)) is not None)
        while read := list(islice(pictures, size)):
            yield [path for path, _ in read], torch.stack([picture for _, picture in read])

    def require_usable(self, option: str) -> None:
        """Raise InvalidOption where no picture of a small folder can be read; of a large one the first :data:`TRIED` are tried."""
        if len(self.paths) <= TRIED and not any(self._read(path) is not None for path in self.paths):
            raise InvalidOption(option, f"no picture of {self.reading.folder[:200]!r} can be used: {self.reading.sentence()[:1000]}")

    def again(self, paths: Sequence[Path]) -> dict[Path, NDArray[np.float32]]:
        """The stimuli of some pictures once more; one that has gone since is noted in ``reading``."""
        found: dict[Path, NDArray[np.float32]] = {}
        for path in paths:
            try:
                found[path] = picture_stimulus(path, self._stimulus)[0].numpy()
            except UnreadablePicture as error:
                self.reading.unread[self.name(path)] = f"shown, and gone since: {error}"
        return found

    def name(self, path: Path) -> str:
        """A picture's name below the folder, fit to be written."""
        return shown_name(path.relative_to(self._root))

    def _read(self, path: Path) -> Tensor | None:
        return try_picture(path, self._root, self._stimulus, self.reading)
