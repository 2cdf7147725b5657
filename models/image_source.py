"""Pictures as options: data URIs from anywhere, paths only from callers who may read files here."""

from __future__ import annotations

import base64
import binascii
import io
import struct
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
from PIL import Image
from pydantic import AfterValidator, Field
from torch import Tensor

from .file_access import permitted_image
from .options import InvalidOption
from .spaces import StimulusSpec

MAX_PIXELS = 4096 * 4096
"""Of a picture before it is resized; one that unpacks to more is refused from its header."""
MAX_BYTES = 64 << 20
"""Of a file; what comes with a job is held to :data:`actmax.models.file_access.MAX_URI_BYTES`."""
LUMA = (0.299, 0.587, 0.114)
"""Of red, green and blue in grey (ITU-R BT.601)."""
SUFFIXES = frozenset({".png", ".jpg", ".jpeg"})

Fit = Literal["exact", "crop", "stretch"]
"""What to do about another size: refuse it, take the largest centred part of the right proportions, or distort it; both are resized."""

ImageSource = Annotated[str, Field(min_length=1), AfterValidator(permitted_image)]
"""Option type of a PNG or JPEG picture: a data URI, or a path where the caller may read files; a ``.npy`` file is a stimulus as it is."""


def image_stimulus(source: str, stimulus: StimulusSpec, option: str = "image", *, fit: Fit = "exact") -> Tensor:
    """The picture of ``source`` as one stimulus.

    Parameters
    ----------
    source : str
        See :data:`ImageSource`. Black is the lowest value of the range, white the highest.
    stimulus : StimulusSpec
        What it has to be. A grey picture becomes three equal channels where three are wanted. A series can only come from a ``.npy`` file.
    option : str
        The option it came from, which errors name.
    fit : {"exact", "crop", "stretch"}
        What to do about another size. Resizing is bicubic, antialiased.

    Returns
    -------
    Tensor
        float32, of the stimulus's shape and within its range.

    Raises
    ------
    InvalidOption
        There is no such file; it is too large, damaged, of another kind, size or mode.
    """
    data = _bytes(source, option)
    if data[:6] == b"\x93NUMPY" and not source.startswith("data:"):
        return _array(data, stimulus, option)
    if stimulus.modality != "image":
        raise InvalidOption(option, f"a picture is no series; give a .npy file of shape {stimulus.shape}")
    channels, height, width = stimulus.shape
    if channels not in (1, 3):
        raise InvalidOption(
            option, f"a picture has 1 or 3 channels, the target takes {channels}; give a .npy file of shape {stimulus.shape}"
        )
    picture = _picture(data, option)
    if channels == 1 and picture.mode != "L":
        raise InvalidOption(option, "it is in colour, the target takes one channel; convert it to grey first")
    picture = picture.convert("L" if channels == 1 else "RGB")
    if picture.size != (width, height):
        if fit == "exact":
            found = f"it has {picture.width} × {picture.height} pixels (width × height)"
            raise InvalidOption(option, f"{found}, the target takes {width} × {height}; resize it, or set fit to crop or stretch")
        picture = _fitted(picture, width, height, fit)
    return _planes(picture, stimulus)


def folder_stimuli(folder: str, stimulus: StimulusSpec, option: str, most: int = 2000) -> Tensor:
    """The first pictures of a folder and those below it, by name, cropped to the middle and scaled to the stimulus's size.

    Parameters
    ----------
    folder : str
        Its path.
    stimulus : StimulusSpec
        Of an image. With another number of channels than three, all channels are the picture's grey.
    option : str
        The option it came from, which errors name.
    most : int
        Pictures beyond are left out.

    Returns
    -------
    Tensor
        float32, (n, channels, height, width) within the stimulus's range, n ≥ 1.

    Raises
    ------
    InvalidOption
        There is no such folder, no picture in it, or one that can't be read.
    """
    paths = picture_paths(folder, option)
    found: list[Tensor] = []
    for path in paths[:most]:
        try:
            found.append(picture_stimulus(path, stimulus, option))
        except InvalidOption as error:
            raise InvalidOption(option, f"{path.name}: {error}") from None
    return torch.stack(found)


def picture_paths(folder: str, option: str) -> list[Path]:
    """The pictures of a folder and those below it, in the order of their names.

    Raises
    ------
    InvalidOption
        There is no such folder, or no picture in it.
    """
    root = Path(folder)
    paths = sorted(path for path in root.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file()) if root.is_dir() else []
    if not paths:
        raise InvalidOption(option, f"there is no folder {folder[:200]!r} with pictures ({', '.join(sorted(SUFFIXES))})")
    return paths


def picture_stimulus(path: Path, stimulus: StimulusSpec, option: str) -> Tensor:
    """One picture of a folder, (channels, height, width); see :func:`folder_stimuli`.

    Raises
    ------
    InvalidOption
        It can't be read.
    """
    channels, height, width = stimulus.shape
    picture = _planes(_fitted(_picture(_bytes(str(path), option), option).convert("RGB"), width, height, "crop"), stimulus)
    if channels == 3:
        return picture
    return torch.einsum("chw,c->hw", picture, picture.new_tensor(LUMA)).expand(channels, -1, -1)


def _bytes(source: str, option: str) -> bytes:
    if source.startswith("data:"):
        try:
            data = base64.b64decode(source.partition(",")[2], validate=True)
        except (binascii.Error, ValueError):
            raise InvalidOption(option, "the data URI is damaged: it is not base64") from None
    else:
        try:
            with Path(source).open("rb") as file:
                data = file.read(MAX_BYTES + 1)
        except (OSError, ValueError) as error:
            why = "there is no such file" if isinstance(error, FileNotFoundError) else getattr(error, "strerror", None) or str(error)
            raise InvalidOption(option, f"{source[:200]!r} can't be read: {why}") from None
    if len(data) > MAX_BYTES:
        raise InvalidOption(option, f"it is larger than {MAX_BYTES >> 20} MiB")
    return data


def _picture(data: bytes, option: str) -> Image.Image:
    """A grey (L) or RGB picture."""
    try:
        # its size is in the header, and is known before anything of that size is made
        with Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as image:
            if image.width * image.height > MAX_PIXELS:
                raise InvalidOption(option, f"it has {image.width} × {image.height} pixels; at most {MAX_PIXELS >> 20} Mi are read")
            image.load()
            transparent = "A" in image.getbands() or "transparency" in image.info
            if transparent and image.convert("RGBA").getchannel("A").getextrema() != (255, 255):
                raise InvalidOption(option, f"it has transparent parts (mode {image.mode}); flatten it first")
            if image.mode not in ("1", "L", "LA", "P", "RGB", "RGBA"):
                raise InvalidOption(option, f"mode {image.mode} is not read; convert it to grey (L) or RGB of 8 bits first")
            return image.convert("L" if image.mode in ("1", "L", "LA") else "RGB")
    except InvalidOption:
        raise
    except Image.DecompressionBombError:
        raise InvalidOption(option, f"it has too many pixels; at most {MAX_PIXELS >> 20} Mi are read") from None
    except (OSError, ValueError, SyntaxError, EOFError, struct.error) as error:
        raise InvalidOption(option, f"it is no whole PNG or JPEG picture ({type(error).__name__})") from None


def _fitted(picture: Image.Image, width: int, height: int, fit: Fit) -> Image.Image:
    box = None
    if fit == "crop":
        share = min(picture.width / width, picture.height / height)
        left, top = (picture.width - share * width) / 2, (picture.height - share * height) / 2
        box = (left, top, left + share * width, top + share * height)
    return picture.resize((width, height), Image.Resampling.BICUBIC, box=box)


def _planes(picture: Image.Image, stimulus: StimulusSpec) -> Tensor:
    values = torch.from_numpy(np.array(picture)).float() / 255
    values = values[None] if values.ndim == 2 else values.permute(2, 0, 1).contiguous()
    return (stimulus.low + (stimulus.high - stimulus.low) * values).clamp(stimulus.low, stimulus.high)


def _array(data: bytes, stimulus: StimulusSpec, option: str) -> Tensor:
    try:
        found = np.load(io.BytesIO(data), allow_pickle=False)
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        raise InvalidOption(option, f"the .npy file is damaged: {error}") from None
    if found.shape != stimulus.shape or found.dtype.kind not in "fiu":
        raise InvalidOption(
            option, f"the .npy file holds {found.dtype} of shape {found.shape}, the target takes numbers of {stimulus.shape}"
        )
    values = torch.from_numpy(np.ascontiguousarray(found, dtype=np.float32))
    if not bool(((values >= stimulus.low) & (values <= stimulus.high)).all()):
        raise InvalidOption(option, f"its values do not all lie in [{stimulus.low:g}, {stimulus.high:g}]")
    return values
