"""The levels of a file: which value is white, which is transparent, and what is unknown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image

from .colour import WIDE_MODES, Levels
from .errors import UnreadablePicture

_RAW_PHOTOMETRIC = (32803, 34892)


def levels_of(image: Image.Image, kind: str, head: bytes) -> Levels:
    """Return the levels of a file.

    Parameters
    ----------
    image : Image
        The opened picture.
    kind : str
        Its format.
    head : bytes
        The file's first bytes.

    Raises
    ------
    UnreadablePicture
        The levels' display is unknown, as for a camera's raw file or signed numbers.
    """
    levels = Levels(image.mode, profile=image.info.get("icc_profile") or b"", key=image.info.get("transparency"))
    if kind == "PNG":
        _png_levels(image, head, levels)
    elif kind == "TIFF":
        _tiff_levels(image, head, levels)
    elif image.mode in WIDE_MODES or image.mode == "I":
        levels.white = 65535.0
    if image.mode == "CMYK" and kind == "JPEG" and "adobe" not in image.info:
        levels.inverted = True  # Pillow assumes Adobe's CMYK, which is stored inverted (libjpeg.txt, "Special color spaces")
        levels.say("inks (CMYK) without Adobe's marker, taken as not turned round")
    return levels


def _png_levels(image: Image.Image, head: bytes, levels: Levels) -> None:
    bits, colour_type = head[24], head[25]
    if image.mode in WIDE_MODES or image.mode == "I":
        levels.white = 65535.0
    if levels.key is not None and bits < 8 and colour_type == 0:  # the key has the file's bits, Pillow's levels have eight
        levels.key = 255 * bool(levels.key) if bits == 1 else levels.key * 255 // ((1 << bits) - 1)
    if levels.key is not None and bits == 16 and colour_type == 2:
        raise UnreadablePicture("it has a transparent colour of 16 bits; save it with an alpha channel, or in 8 bits")
    gamma = image.info.get("gamma")
    if gamma and abs(gamma - 1 / 2.2) > 0.05 and not levels.profile and "srgb" not in image.info:
        levels.say("a gamma of its own that isn't applied")


def _tiff_levels(image: Image.Image, head: bytes, levels: Levels) -> None:
    tags: Any = getattr(image, "tag_v2", {})
    if head[8:10] == b"CR" or 50706 in tags or int(tags.get(254, 0)) & 1 or tags.get(262) in _RAW_PHOTOMETRIC:
        raise UnreadablePicture("a camera's raw file isn't read (only its preview could be); save it as PNG or JPEG")
    signed = 2 in np.atleast_1d(tags.get(339, 1))
    if image.mode == "I" or (signed and image.mode != "F"):
        raise UnreadablePicture("its whole numbers are signed or of 32 bits, of which white isn't known; save it as 16 bits without sign")
    if image.mode in WIDE_MODES:
        levels.white = float((1 << int(np.atleast_1d(tags.get(258, 16))[0])) - 1)
        levels.inverted = tags.get(262) == 0
    elif image.mode == "F":
        levels.inverted = tags.get(262) == 0


def check_floats(image: Image.Image, levels: Levels) -> None:
    """Set the levels of floats within [0, 1] to black to white; raise UnreadablePicture for others, whose white is unknown."""
    ends = np.array([(np.asarray(part).min(), np.asarray(part).max()) for part in bands(image, 1)])
    low, high = float(ends[:, 0].min()), float(ends[:, 1].max())
    if not (low >= 0 and high <= 1):  # NaN is refused too
        raise UnreadablePicture(f"its values are floats from {low:g} to {high:g}, of which white isn't known; scale them to 0 to 1")
    levels.white = 1.0
    levels.say("floats, taken as 0 for black and 1 for white")


def check_dark(image: Image.Image, levels: Levels) -> None:
    """Add a remark where a picture uses few of its 16 bits, as those of cameras of 10 or 12 bits do; it is read as dark as it is."""
    highest = max(int(np.asarray(part).max()) for part in bands(image, 1))
    if 0 < highest < levels.white / 8 and not levels.inverted:
        levels.say("grey of 16 bits of which no level is above an eighth of white")


def bands(image: Image.Image, factor: int) -> Iterator[Image.Image]:
    """Yield a picture from the top down in bands of about 4 Mi pixels, whose heights except the last are multiples of ``factor``."""
    width, height = image.size
    rows = max(1, (1 << 22) // (width * factor)) * factor
    for top in range(0, height, rows):
        yield image.crop((0, top, width, min(height, top + rows)))
