"""Whether a JPEG is whole: decoders fill what is missing with grey and say nothing."""

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
    """Return where the picture of a JPEG ends; ends of thumbnails in its header don't count. The file is at its beginning afterwards.

    Raises
    ------
    UnreadablePicture
        It has no end: decoders would fill the rest with grey.
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
    """Refuse a decoded JPEG of which data are missing before an end that was put there, as cameras and recovery tools do.

    What is missing becomes mid-grey, up to the last pixel. Where that one is mid-grey, and where the file is progressive, the picture is
    decoded once more with other data before its end: a whole one has no use for them, one that lacks some takes them for its own.

    Parameters
    ----------
    image : Image
        As it was decoded.
    file : file
        Its file.
    load : callable
        Decodes another file at the same size.

    Raises
    ------
    UnreadablePicture
        Data are missing. A progressive file that lacks whole scans is taken for one of lower quality.
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
