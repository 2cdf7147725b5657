"""A picture as a small PNG or JPEG file, as it is sent inside a job."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from .decoding import decode
from .errors import UnreadablePicture

_STEP = 0.8
_SMALLEST = 16


@dataclass(frozen=True)
class PortablePicture:
    """A small file: its ``media`` type (``image/png`` or ``image/jpeg``), its ``content``, and remarks on the picture."""

    media: str
    content: bytes
    remarks: tuple[str, ...] = ()


def portable(path: Path, most_bytes: int) -> PortablePicture:
    """Return a displayed picture as a file of at most ``most_bytes``.

    Parameters
    ----------
    path : Path
        A picture of any supported format.
    most_bytes : int
        Most bytes of the new file. A picture that is larger as PNG becomes a JPEG of quality 95, in the largest size that fits.

    Returns
    -------
    PortablePicture

    Raises
    ------
    UnreadablePicture
        The picture can't be read, or can't be made that small.
    """
    picture = decode(path)
    image = picture.image
    if image.mode == "F":
        image = Image.fromarray((np.asarray(image) * 257).round().astype(np.uint16))
    data = _file(image, "PNG")
    if len(data) <= most_bytes:
        return PortablePicture("image/png", data, picture.remarks)
    if image.mode == "I;16":
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    while min(image.size) >= _SMALLEST:
        data = _file(image, "JPEG", quality=95, subsampling=0)
        if len(data) <= most_bytes:
            return PortablePicture("image/jpeg", data, picture.remarks)
        image = image.resize((round(image.width * _STEP), round(image.height * _STEP)), Image.Resampling.BICUBIC)
    raise UnreadablePicture(f"it can't be made smaller than {most_bytes >> 20} MiB; scale it down")


def _file(image: Image.Image, kind: str, **options: int) -> bytes:
    made = io.BytesIO()
    image.save(made, kind, **options)
    return made.getvalue()
