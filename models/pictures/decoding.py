"""One picture, of a file or of bytes, as it is displayed: upright, grey or sRGB, within bounded memory."""

from __future__ import annotations

import io
import math
import stat
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
    features,
)

try:
    from PIL import AvifImagePlugin
except ImportError:  # before Pillow 11.3
    AvifImagePlugin = None

from . import kinds
from .colour import WIDE_MODES, Levels, displayed
from .errors import UnreadablePicture
from .jpeg import end_of_jpeg, require_whole
from .levels import bands, check_dark, check_floats, levels_of

MAX_FILE_BYTES = 512 << 20
"""Most bytes of a file; a larger one is refused before it is read."""
MAX_FILE_PIXELS = 100_000_000
"""Most pixels of a file that has to be decoded whole, which takes 4 bytes each, so 400 MB. A larger one is refused by its header."""
MAX_SCALED_PIXELS = 1 << 28
"""Most pixels of a JPEG that is decoded at 1/2, 1/4 or 1/8 of its size. A larger one is refused by its header."""
FULL_PIXELS = 1 << 24
"""Most pixels of a picture that is converted at its own size; a larger one is reduced by a whole factor."""

_COSTS = {"WEBP": 16, "AVIF": 12, "PPM": 24}
"""Bytes of memory for decoding a pixel, of formats that take more than Pillow's four."""
_OPENERS: dict[str, Any] = {
    "PNG": PngImagePlugin.PngImageFile,
    "JPEG": JpegImagePlugin.jpeg_factory,
    "GIF": GifImagePlugin.GifImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
    "AVIF": AvifImagePlugin and AvifImagePlugin.AvifImageFile,
    "PPM": PpmImagePlugin.PpmImageFile,
}
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""Transposes that bring a stored picture upright, by its EXIF orientation."""
_ORIENTATION = 0x0112
_WHOLE_ONLY = threading.Lock()


@dataclass(frozen=True)
class Picture:
    """A picture as it is displayed.

    Attributes
    ----------
    image : Image
        Upright; mode L, RGB (sRGB), or F with 0 to 255 for grey of more than 8 bits. Smaller than the file where that is large.
    width, height : int
        Size of the file's picture, upright.
    remarks : tuple of str
        Decisions where a file leaves a choice, e.g. ``"animated: its first frame"``.
    """

    image: Image.Image
    width: int
    height: int
    remarks: tuple[str, ...] = ()


def decode(source: bytes | Path, *, wanted: tuple[int, int] | None = None, most: int = MAX_FILE_PIXELS) -> Picture:
    """Read one picture.

    Parameters
    ----------
    source : bytes or Path
        The file's content, or its path. The format is read from the content, never from the name.
    wanted : (int, int), optional
        Width and height that the picture will be scaled to. A picture of more than :data:`FULL_PIXELS` is reduced by a whole factor, to
        at least twice this size if possible; None: to at most :data:`FULL_PIXELS`.
    most : int
        Most pixels, of 4 bytes each, to be decoded whole.

    Returns
    -------
    Picture

    Raises
    ------
    UnreadablePicture
        The file has an unsupported format or unknown levels, or is cut short, damaged or too large.
    """
    with _opened(source) as file, _in_words(file) as (kind, head):
        if kind == "JPEG":
            end_of_jpeg(file)
        elif kind == "WEBP" and (size := _webp_size(head)) and size[0] * size[1] > most * 4 // _COSTS["WEBP"]:
            raise _too_large(size, most * 4 // _COSTS["WEBP"])  # opening a WebP allocates the whole canvas
        with _whole_only():
            return _decoded(file, kind, head, wanted, most)


def stored_pixels(source: bytes | Path) -> int:
    """Return the number of pixels of a picture, from its header.

    Parameters
    ----------
    source : bytes or Path
        The file's content, or its path.

    Raises
    ------
    UnreadablePicture
        The format is not supported, or the header is damaged.
    """
    with _opened(source) as file, _in_words(file) as (kind, _):
        width, height = _OPENERS[kind](file, "").size
        return width * height


def _decoded(file: IO[bytes], kind: str, head: bytes, wanted: tuple[int, int] | None, most: int) -> Picture:
    image: Image.Image = _OPENERS[kind](file, "")
    size = image.size
    if not (size[0] and size[1]):
        raise UnreadablePicture("it has no pixels")
    orientation = _orientation(image) if kind == "JPEG" else 1  # other formats have it once they are loaded
    upright = _swapped(size, orientation)
    least = _least(size, wanted, orientation) if kind == "JPEG" and size[0] * size[1] > FULL_PIXELS else None
    _draft(image, size, least)
    _check_size(image, kind, size, most)
    levels = levels_of(image, kind, head)
    if kind != "JPEG" and bool(getattr(image, "is_animated", False)):
        levels.say("of several pages: its first" if kind == "TIFF" else "animated: its first frame")
    image.load()
    if kind == "JPEG":
        require_whole(image, file, lambda again: _loaded_again(again, least))
    else:
        orientation = _orientation(image)
        upright = _swapped(image.size, orientation)  # Pillow turns a TIFF while it loads it
    if levels.mode == "F":
        check_floats(image, levels)
    elif levels.mode in WIDE_MODES or levels.mode == "I":
        check_dark(image, levels)
    shown = _reduced(image, levels, wanted and _swapped(wanted, orientation))
    if orientation in _TURNS:
        shown = shown.transpose(_TURNS[orientation])
    return Picture(shown, upright[0], upright[1], tuple(levels.remarks))


def _loaded_again(file: IO[bytes], least: tuple[int, int] | None) -> Image.Image:
    """Return a JPEG decoded with the draft of :func:`_draft`."""
    image: Image.Image = _OPENERS["JPEG"](file, "")
    _draft(image, image.size, least)
    image.load()
    return image


@contextmanager
def _opened(source: bytes | Path) -> Iterator[IO[bytes]]:
    """Open a regular file; folders, pipes and devices are refused, since reading them may never end."""
    if isinstance(source, bytes):
        yield io.BytesIO(source)
        return
    try:
        status = source.stat()
        if not stat.S_ISREG(status.st_mode):
            raise UnreadablePicture("it is a folder" if stat.S_ISDIR(status.st_mode) else "it is no ordinary file")
        if status.st_size > MAX_FILE_BYTES:
            raise UnreadablePicture(f"it is larger than {MAX_FILE_BYTES >> 20} MiB")
        file = source.open("rb")
    except (OSError, ValueError) as error:
        if isinstance(error, UnreadablePicture):
            raise
        why = "there is no such file" if isinstance(error, FileNotFoundError) else getattr(error, "strerror", None) or str(error)
        raise UnreadablePicture(why) from None
    with file:
        yield file


@contextmanager
def _in_words(file: IO[bytes]) -> Iterator[tuple[str, bytes]]:
    """Yield the format of a file and its first bytes; any error of its plugin inside the block becomes an UnreadablePicture."""
    head = file.read(kinds.HEAD)
    file.seek(0)
    kind = kinds.kind_of(head)
    if kind is None:
        raise UnreadablePicture(kinds.why_not(head))
    name = kinds.NAMES.get(kind, kind)
    if _OPENERS[kind] is None or (kind in ("WEBP", "AVIF") and not features.check(kind.lower())):
        raise UnreadablePicture(f"{name} isn't in this machine's Pillow; save it as PNG or JPEG")
    try:
        yield kind, head
    except UnreadablePicture:
        raise
    except MemoryError:
        raise UnreadablePicture("there is too little memory for it") from None
    except Exception as error:  # plugins raise any class for damaged files
        raise UnreadablePicture(f"it is no whole {name} picture: {_brief(error)}") from None


@contextmanager
def _whole_only() -> Iterator[None]:
    """Let Pillow refuse truncated files, even if a program has set it to fill them up with grey."""
    if not ImageFile.LOAD_TRUNCATED_IMAGES:
        yield
        return
    with _WHOLE_ONLY:
        ImageFile.LOAD_TRUNCATED_IMAGES = False
        try:
            yield
        finally:
            ImageFile.LOAD_TRUNCATED_IMAGES = True


def _orientation(image: Image.Image) -> int:
    try:
        found = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # a damaged EXIF block counts as none
        return 1
    return found if found in _TURNS else 1


def _least(size: tuple[int, int], wanted: tuple[int, int] | None, orientation: int) -> tuple[int, int]:
    """Return the least stored size that suffices for scaling to ``wanted``."""
    if wanted is None:
        share = math.sqrt(FULL_PIXELS / (size[0] * size[1]))
        return math.ceil(size[0] * share), math.ceil(size[1] * share)
    return _swapped((2 * wanted[0], 2 * wanted[1]), orientation)


def _swapped(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    """Return a size with sides swapped if the EXIF orientation includes a quarter turn."""
    return (size[1], size[0]) if orientation >= 5 else size


def _draft(image: Image.Image, size: tuple[int, int], least: tuple[int, int] | None) -> None:
    """Set a JPEG to be decoded at the smallest of 1, 1/2, 1/4 and 1/8 of its size that isn't below ``least``; None: at its own."""
    if least and size[0] >= least[0] and size[1] >= least[1]:
        image.draft(None, least)


def _check_size(image: Image.Image, kind: str, size: tuple[int, int], most: int) -> None:
    pixels = size[0] * size[1]
    cost, scaled = _COSTS.get(kind, 4), False
    if "progressive" in image.info:
        cost = max(4, _progressive_cost(image))
    elif kind == "JPEG":
        scaled = 2 * image.size[0] * image.size[1] <= pixels
    allowed = MAX_SCALED_PIXELS if scaled else max(min(most, FULL_PIXELS), most * 4 // cost)
    if pixels > allowed or image.size[0] * image.size[1] > most:
        raise _too_large(size, allowed)


def _progressive_cost(image: Image.Image) -> int:
    """Return the bytes a pixel of a progressive JPEG's coefficients, two each, all of which are kept until its last scan."""
    layers: list[tuple[int, int, int, int]] = getattr(image, "layer", [])
    across, down = max(layer[1] for layer in layers), max(layer[2] for layer in layers)
    return math.ceil(sum(2 * layer[1] * layer[2] for layer in layers) / (across * down))


def _too_large(size: tuple[int, int], allowed: int) -> UnreadablePicture:
    return UnreadablePicture(f"it has {size[0]} × {size[1]} pixels; at most {allowed / 1e6:.0f} million are read, so scale it down")


def _webp_size(head: bytes) -> tuple[int, int] | None:
    """Return width and height in the header of a WebP file; None for an unknown header."""
    little = int.from_bytes
    if head[12:16] == b"VP8X":
        return 1 + little(head[24:27], "little"), 1 + little(head[27:30], "little")
    if head[12:16] == b"VP8L":
        bits = little(head[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if head[12:16] == b"VP8 ":
        return little(head[26:28], "little") & 0x3FFF, little(head[28:30], "little") & 0x3FFF
    return None


def _reduced(image: Image.Image, levels: Levels, wanted: tuple[int, int] | None) -> Image.Image:
    """Return the displayed picture; a large one is reduced by a whole factor, in bands, so that no second whole copy is needed."""
    width, height = image.size
    if width * height <= FULL_PIXELS:
        return displayed(image, levels)
    least = wanted and (2 * wanted[0], 2 * wanted[1])
    factor = min(width // least[0], height // least[1]) if least else math.ceil(math.sqrt(width * height / FULL_PIXELS))
    factor = max(1, factor)
    made: Image.Image | None = None
    top = 0
    for band in bands(image, factor):
        part = displayed(band, levels)
        part = part.reduce(factor) if factor > 1 else part
        if made is None:
            made = Image.new(part.mode, (part.width, -(-height // factor)))
        made.paste(part, (0, top))
        top += part.height
    assert made is not None
    return made


def _brief(error: Exception) -> str:
    text = str(error).strip().splitlines()
    if isinstance(error, struct.error) or (text and "unpack" in text[0]):
        return "its header is damaged"
    return (text[0] if text else type(error).__name__)[:200]
