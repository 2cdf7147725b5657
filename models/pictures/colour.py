"""Conversion of stored levels to grey or sRGB: colour profiles, alpha, palettes, 16 bits, floats."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image, ImageChops, ImageCms

from .errors import UnreadablePicture

BACKGROUND = 128
"""Grey, of 0 to 255, behind transparent parts: the middle of every range, where pixel searches begin."""
TRANSPARENT = f"transparent parts laid on mid-grey ({BACKGROUND})"
WIDE_MODES = frozenset({"I;16", "I;16B", "I;16L", "I;16N"})
_GRID = 5


@dataclass
class Levels:
    """The way a file stores its levels, and remarks on their conversion.

    Attributes
    ----------
    mode : str
        Pillow's mode.
    white : float
        The stored value that is white in grey of 16 bits or floats.
    inverted : bool
        Whether black is the highest value.
    key : int, tuple of int or None
        The stored value that is transparent; None without one.
    profile : bytes
        ICC profile, empty for none.
    remarks : dict
        The remarks as keys, in order; filled as parts are converted.
    """

    mode: str
    white: float = 255.0
    inverted: bool = False
    key: Any = None
    profile: bytes = b""
    remarks: dict[str, None] = field(default_factory=dict[str, None])

    def say(self, remark: str) -> None:
        """Add a remark once."""
        self.remarks[remark] = None


def displayed(part: Image.Image, levels: Levels) -> Image.Image:
    """Return a part of a picture as it is displayed: mode L, RGB (sRGB), or F with 0 to 255 for grey of more than 8 bits.

    Raises
    ------
    UnreadablePicture
        The mode has no known display.
    """
    if levels.mode in WIDE_MODES or levels.mode in ("I", "F"):
        return _wide(part, levels)
    colours, alpha = _split(part, levels)
    colours = _coloured(colours, levels)
    if alpha is None or alpha.getextrema()[0] == 255:
        return colours
    levels.say(TRANSPARENT)
    return Image.composite(colours, Image.new(colours.mode, colours.size, (BACKGROUND,) * len(colours.getbands())), alpha)


def _split(part: Image.Image, levels: Levels) -> tuple[Image.Image, Image.Image | None]:
    """Return the colours of a part, in a mode without alpha, and its alpha."""
    mode = levels.mode
    if mode == "1":
        part = part.convert("L")
    elif mode in ("La", "RGBa"):
        part = part.convert({"La": "LA", "RGBa": "RGBA"}[mode])
    elif mode == "PA" or (mode == "P" and levels.key is not None):
        part = part.convert("RGBA")
    elif mode == "P":
        part = part.convert("RGB")
    if part.mode in ("LA", "RGBA"):
        alpha = part.getchannel("A")
        return (part.getchannel(0) if part.mode == "LA" else part.convert("RGB")), alpha
    if mode in ("1", "L", "RGB") and levels.key is not None:
        key = np.atleast_1d(np.asarray(levels.key))
        opaque = (np.asarray(part).reshape(*part.size[::-1], -1) != key).any(-1)
        return part, Image.fromarray(opaque.astype(np.uint8) * 255)
    return part, None


def _coloured(part: Image.Image, levels: Levels) -> Image.Image:
    """Return a part without alpha in grey or sRGB, by its profile if it has one."""
    if part.mode == "CMYK" and levels.inverted:
        part = ImageChops.invert(part)
    if part.mode == "YCbCr":
        part = part.convert("RGB")
    if part.mode not in ("L", "RGB", "CMYK", "LAB"):
        raise UnreadablePicture(f"colours of mode {part.mode} aren't read; save it as 8-bit grey or RGB")
    if part.mode == "LAB":
        return _applied(_from_lab(), part)
    if levels.profile:
        try:
            transform = _to_srgb(levels.profile, part.mode)
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            levels.say("a damaged or unfit colour profile that isn't applied")
        else:
            if transform is None:
                return part
            converted = _applied(transform, part)
            return converted.getchannel(1) if part.mode == "L" else converted
    if part.mode == "CMYK":
        levels.say("inks (CMYK) without a profile, turned into colours by the plain formula")
        return part.convert("RGB")
    return part


def _wide(part: Image.Image, levels: Levels) -> Image.Image:
    """Return grey of 16 bits or floats as floats of 0 to 255."""
    stored = np.asarray(part)
    values = stored.astype(np.float32) * np.float32(255.0 / levels.white)
    if levels.inverted:
        values = 255 - values
    values = values.clip(0, 255)
    if levels.key is not None and bool((stored == levels.key).any()):
        levels.say(TRANSPARENT)
        values = np.where(stored == levels.key, np.float32(BACKGROUND), values)
    if levels.profile:
        levels.say("a colour profile that isn't applied to 16-bit grey")
    return Image.fromarray(values)


def _applied(transform: Any, part: Image.Image) -> Image.Image:
    made = ImageCms.applyTransform(part, transform)
    assert made is not None  # None is returned only for a change in place
    return made


@lru_cache(maxsize=8)
def _to_srgb(profile: bytes, mode: str) -> Any:
    """Return the transform of a profile's colours into sRGB; None where it changes no level by more than one."""
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    core: Any = source.profile
    space = str(core.xcolor_space).strip()
    if space != {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}[mode]:
        raise ValueError(f"a profile of {space} in a picture of {mode}")
    made = ImageCms.buildTransform(
        source, ImageCms.createProfile("sRGB"), mode, "RGB", ImageCms.Intent.RELATIVE_COLORIMETRIC, ImageCms.Flags.BLACKPOINTCOMPENSATION
    )
    if mode == "CMYK":
        return made
    steps = np.linspace(0, 255, _GRID if mode == "RGB" else 256).round().astype(np.uint8)
    grid = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(1, -1, 3) if mode == "RGB" else steps[None]
    there = np.asarray(_applied(made, Image.fromarray(grid))).astype(np.int16)
    moved = np.abs(there - (grid if mode == "RGB" else grid[..., None]))
    return None if moved.max() <= 1 else made


@lru_cache(maxsize=1)
def _from_lab() -> Any:
    return ImageCms.buildTransform(ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB")
