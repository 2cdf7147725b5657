"""Detection of incomplete JPEGs, whose missing data decoders silently replace by grey."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import IO

from PIL import Image, ImageChops

from .errors import UnreadablePicture

_END = b"\xff\xd9"
_FILL = range(126, 131)
_CORNER = 16
_MORE = bytes(1 + 37 * place % 254 for place in range(4096))


def end_of_jpeg(file: IO[bytes]) -> int:
    """Return the offset of the end of a JPEG's picture; ends of thumbnails in its header don't count.

    Parameters
    ----------
    file : file
        The file, seekable; it is at its beginning afterwards.

    Raises
    ------
    UnreadablePicture
        The file has no end: decoders would fill the rest with grey.
    """
    at = 2
    while True:
        file.seek(at)
        marker = file.read(4)
        if len(marker) < 4 or marker[0] != 0xFF:
            break
        if marker[1] == 0xFF:  # padding
            at += 1
            continue
        if marker[1] == 0xDA:
            searched, before = at + 4, b""
            while block := file.read(1 << 20):
                if (found := (before + block).find(_END)) >= 0:
                    file.seek(0)
                    return searched - len(before) + found
                searched, before = searched + len(block), block[-1:]
            break
        at += 2 if 0xD0 <= marker[1] <= 0xD8 or marker[1] == 0x01 else 2 + int.from_bytes(marker[2:4], "big")
    raise UnreadablePicture("it is cut short: a JPEG whose picture has no end")


def require_whole(image: Image.Image, file: IO[bytes], load: Callable[[IO[bytes]], Image.Image]) -> None:
    """Raise UnreadablePicture for a decoded JPEG with missing data before its end, as cameras and recovery tools leave it.

    Decoders replace missing data by mid-grey, up to the last pixel. Where that pixel is mid-grey, and for progressive files, the picture
    is decoded once more with other data before its end: a complete picture ignores them, an incomplete one changes.

    Parameters
    ----------
    image : Image
        The decoded picture.
    file : file
        Its file, seekable.
    load : callable
        Decodes another file at the same size.

    Raises
    ------
    UnreadablePicture
        Data are missing. A progressive file without its last scans passes as one of lower quality.
    """
    width, height = image.size
    box = (0, 0, width, height) if "progressive" in image.info else (max(0, width - _CORNER), max(0, height - _CORNER), width, height)
    last = image.crop((width - 1, height - 1, width, height)).convert("L").getextrema()[0]
    if "progressive" not in image.info and (image.mode not in ("L", "RGB") or last not in _FILL):
        return
    end = end_of_jpeg(file)
    again = load(io.BytesIO(file.read(end) + _MORE + _END))
    assert again.size == image.size
    if ImageChops.difference(again.crop(box), image.crop(box)).getbbox() is not None:
        raise UnreadablePicture("it is cut short: a JPEG of which data are missing before its end")
