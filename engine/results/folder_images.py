"""The pictures of a folder that activate each unit most."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...models.pictures.folder import FolderReading


@dataclass(frozen=True)
class FolderImage:
    """A picture of a folder: its ``name`` below it, a unit's ``response``, and the ``stimulus`` that the target saw, float32."""

    name: str
    response: float
    stimulus: NDArray[np.float32]


@dataclass(frozen=True)
class FolderImages:
    """The pictures of a folder that activate each unit most.

    Attributes
    ----------
    folder : str
        The folder as the job names it.
    shown : int
        Number of pictures that the target saw.
    reading : FolderReading
        Pictures that were read, that could not be read and why, and that were skipped.
    of : mapping of str to list of FolderImage
        Pictures by unit, highest response first.
    """

    folder: str
    shown: int
    reading: FolderReading
    of: Mapping[str, list[FolderImage]]

    @property
    def unread(self) -> list[str]:
        """Names of the pictures that could not be read."""
        return list(self.reading.unread)

    @property
    def left_out(self) -> int:
        """Number of pictures beyond the limit."""
        return self.reading.left_out
