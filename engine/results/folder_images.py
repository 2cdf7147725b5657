"""Which pictures of a folder drive each unit the most."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...models.pictures.folder import FolderReading


@dataclass(frozen=True)
class FolderImage:
    """A picture of a folder: its ``name`` below it, a unit's ``response`` to it, and the ``stimulus`` that the target saw, float32."""

    name: str
    response: float
    stimulus: NDArray[np.float32]


@dataclass(frozen=True)
class FolderImages:
    """Which pictures of a folder drive each unit the most.

    Attributes
    ----------
    folder : str
        As the job names it.
    shown : int
        How many pictures the target saw.
    reading : FolderReading
        Which pictures were read, which weren't and why, and what was passed over.
    of : mapping of str to list of FolderImage
        Those of each unit, the strongest first.
    """

    folder: str
    shown: int
    reading: FolderReading
    of: Mapping[str, list[FolderImage]]

    @property
    def unread(self) -> list[str]:
        """Names of the pictures that couldn't be read."""
        return list(self.reading.unread)

    @property
    def left_out(self) -> int:
        """How many pictures were beyond the limit."""
        return self.reading.left_out
