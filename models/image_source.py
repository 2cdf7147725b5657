"""Images as options: data URIs from anywhere, paths only from callers who may read files here."""

from __future__ import annotations

import base64
import binascii
import io
import re
import struct
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from PIL import Image
from pydantic import AfterValidator, Field, ValidationInfo
from torch import Tensor

from .options import InvalidOption
from .spaces import StimulusSpec

MAX_BYTES = 2 << 20
"""Of an encoded image in a data URI: it travels with its job, and is kept with it."""
MAX_PIXELS = 2048 * 2048
MAX_FILE_BYTES = 64 << 20
FILES = "files"
"""Key of the validation context that says whether paths may be read; without a context, which only the library can do, they may."""

_URI = re.compile(r"data:image/(?:png|jpeg);base64,")
_SUFFIXES = {".png", ".jpg", ".jpeg"}


def _permitted_image(value: str, info: ValidationInfo) -> str:
    if value.startswith("data:"):
        if not _URI.match(value):
            raise ValueError("a data URI of an image begins with data:image/png;base64, or data:image/jpeg;base64,")
        if len(value) > MAX_BYTES * 4 // 3 + 64:
            raise ValueError(f"the image is larger than {MAX_BYTES >> 20} MiB")
        return value
    if value.startswith("file:"):
        raise ValueError("file: is for job files, which are sent with the image in them; here give a data URI, or a path where one may")
    return _permitted_path(value, info)


def _permitted_path(value: str, info: ValidationInfo) -> str:
    if info.context is not None and not info.context.get(FILES, False):
        raise ValueError("a job may not read files here; an image is given as data:image/png;base64,…, in a job file as file:picture.png")
    return value


ImageSource = Annotated[str, Field(min_length=1), AfterValidator(_permitted_image)]
"""A PNG or JPEG image as a data URI, or as a path where the caller may read files."""

FolderSource = Annotated[str, Field(min_length=1, max_length=4096), AfterValidator(_permitted_path)]
"""A folder of images, where the caller may read files."""


def read_pixels(source: str, option: str = "image") -> np.ndarray:
    """The pixels that ``source``, a data URI or path, holds: uint8, (height, width) if grey, (height, width, 3) if in colour.

    Raises
    ------
    InvalidOption
        There is no such file, it is too large, damaged, no PNG or JPEG, or neither grey nor RGB of 8 bits.
    """
    if source.startswith("data:"):
        try:
            data = base64.b64decode(source.partition(",")[2], validate=True)
        except (binascii.Error, ValueError):
            raise InvalidOption(option, "the data URI is damaged: it is not base64") from None
        most = MAX_BYTES
    else:
        path = Path(source)
        if not path.is_file():
            raise InvalidOption(option, f"there is no file {source!r}")
        most = MAX_FILE_BYTES
        with path.open("rb") as file:
            data = file.read(most + 1)
    if len(data) > most:
        raise InvalidOption(option, f"the image is larger than {most >> 20} MiB")
    return _decoded(data, option)


def _decoded(data: bytes, option: str) -> np.ndarray:
    try:
        # opened without decoding, so that its size is known before anything of that size is made
        with Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as image:
            if image.width * image.height > MAX_PIXELS:
                raise InvalidOption(option, f"the image has {image.width} × {image.height} pixels, more than {MAX_PIXELS}")
            if "transparency" in image.info or image.mode not in ("L", "RGB", "P"):
                raise InvalidOption(option, f"the image's mode is {_mode(image)}; give it as grey (L) or RGB, 8 bits, without transparency")
            return np.array(image.convert("RGB") if image.mode == "P" else image)
    except InvalidOption:
        raise
    except Image.DecompressionBombError:
        raise InvalidOption(option, f"the image has more than {MAX_PIXELS} pixels") from None
    except (OSError, ValueError, SyntaxError, EOFError, struct.error) as error:
        raise InvalidOption(option, f"it is no whole PNG or JPEG image ({type(error).__name__})") from None


def _mode(image: Image.Image) -> str:
    return f"{image.mode} with transparency" if "transparency" in image.info else image.mode


def image_stimulus(source: str, stimulus: StimulusSpec, option: str = "image") -> Tensor:
    """The image of ``source`` as one stimulus.

    Parameters
    ----------
    source : str
        A data URI or path.
    stimulus : StimulusSpec
        Of an image; its range is from black to white.
    option : str
        Which option it came from.

    Returns
    -------
    Tensor
        float32, (channels, height, width).

    Raises
    ------
    InvalidOption
        As :func:`read_pixels`, and where size or number of channels is not the stimulus's.
    """
    channels, height, width = stimulus.shape
    pixels = read_pixels(source, option)
    if pixels.shape[:2] != (height, width):
        found = f"{pixels.shape[1]} × {pixels.shape[0]}"
        raise InvalidOption(option, f"the image has {found} pixels (width × height), the target takes {width} × {height}")
    found = 1 if pixels.ndim == 2 else 3
    if found != channels:
        kind = "grey" if found == 1 else "in colour"
        raise InvalidOption(option, f"the image is {kind} ({found} channel{'s' * (found > 1)}), the target takes {channels}")
    planes = torch.from_numpy(pixels).view(height, width, found).permute(2, 0, 1).float() / 255
    return (stimulus.low + (stimulus.high - stimulus.low) * planes).clamp(stimulus.low, stimulus.high)


def folder_stimuli(folder: str, stimulus: StimulusSpec, option: str, most: int = 2000) -> Tensor:
    """PNG and JPEG images of a folder, in the order of their names, cropped to the middle and scaled to the stimulus's size.

    Returns
    -------
    Tensor
        float32 (n, channels, height, width) in the stimulus's range, 1 ≤ n ≤ ``most``; grey where the stimulus has not three channels.

    Raises
    ------
    InvalidOption
        There is no such folder, or no image in it; or one that can't be read.
    """
    root = Path(folder)
    paths = sorted(path for path in root.rglob("*") if path.suffix.lower() in _SUFFIXES and path.is_file()) if root.is_dir() else []
    if not paths:
        raise InvalidOption(option, f"there is no folder {folder!r} with PNG or JPEG images")
    channels, height, width = stimulus.shape
    found: list[Tensor] = []
    for path in paths[:most]:
        try:
            pixels = read_pixels(str(path), option)
        except InvalidOption as error:
            raise InvalidOption(option, f"{path.name}: {error}") from None
        image = Image.fromarray(pixels).convert("RGB" if channels == 3 else "L")
        scale = min(image.width / width, image.height / height)
        left, top = (image.width - scale * width) / 2, (image.height - scale * height) / 2
        box = (left, top, left + scale * width, top + scale * height)
        fitted = np.array(image.resize((width, height), Image.Resampling.LANCZOS, box=box))
        found.append(torch.from_numpy(fitted).view(height, width, -1).permute(2, 0, 1))
    planes = torch.stack(found).float() / 255
    if planes.shape[1] != channels:
        planes = planes.expand(-1, channels, -1, -1)
    return stimulus.low + (stimulus.high - stimulus.low) * planes
