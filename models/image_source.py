"""Pictures as options: data URIs from every caller, paths only from callers who may read files."""

from __future__ import annotations

import base64
import binascii
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
from PIL import Image
from pydantic import AfterValidator, Field
from torch import Tensor

from .options import InvalidOption
from .permissions import permitted_image
from .pictures import log
from .pictures.decoding import MAX_FILE_PIXELS, decode
from .pictures.errors import UnreadablePicture
from .pictures.folder import FolderReading, picture_files, shown_name
from .spaces import StimulusSpec

MAX_PIXELS = 4096 * 4096
"""Most pixels of a picture in a data URI that has to be decoded whole; a larger one is refused by its header."""
MAX_BYTES = 64 << 20
"""Most bytes of a ``.npy`` file or a data URI; for a job's data URIs :data:`actmax.models.permissions.MAX_PICTURE_BYTES` holds."""
LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in grey (ITU-R BT.601)."""

Fit = Literal["exact", "crop", "stretch"]
"""Treatment of another size: refuse it, crop to the largest centred part of the right proportions, or distort it; then resize."""

ImageSource = Annotated[str, Field(min_length=1), AfterValidator(permitted_image)]
"""Option type of a picture: a data URI, or a path where the caller may read files; a ``.npy`` file holds the stimulus itself."""


@dataclass(frozen=True)
class FolderStimuli:
    """Pictures of a folder, float32 (n, channels, height, width), and the account of reading them."""

    stimuli: Tensor
    reading: FolderReading


def image_stimulus(source: str, stimulus: StimulusSpec, option: str = "image", *, fit: Fit = "exact") -> Tensor:
    """Return the picture of ``source`` as one stimulus.

    Parameters
    ----------
    source : str
        See :data:`ImageSource`. Black becomes the lowest value of the range, white the highest.
    stimulus : StimulusSpec
        The wanted stimulus. A grey picture becomes three equal channels for three channels. A series can only come from a ``.npy`` file.
    option : str
        The option with the picture; errors name it.
    fit : {"exact", "crop", "stretch"}
        Treatment of another size. Resizing is bicubic, antialiased.

    Returns
    -------
    Tensor
        float32, of the stimulus's shape and within its range. Remarks on the picture are noted in
        :func:`actmax.models.pictures.log.readings`.

    Raises
    ------
    InvalidOption
        The file is missing, too large, damaged, or of another kind or size.
    """
    data = _content(source, option)
    if isinstance(data, Path) and _is_array(data):
        return _array(data, stimulus, option)
    if stimulus.modality != "image":
        raise InvalidOption(option, f"a picture is no series; give a .npy file of shape {stimulus.shape}")
    channels, height, width = stimulus.shape
    if channels not in (1, 3):
        raise InvalidOption(
            option, f"a picture has 1 or 3 channels, the target takes {channels}; give a .npy file of shape {stimulus.shape}"
        )
    most = MAX_FILE_PIXELS if isinstance(data, Path) else MAX_PIXELS
    try:
        picture = decode(data, wanted=(width, height), most=most)
    except UnreadablePicture as error:
        where = f"{shown_name(source)[:200]!r} can't be read: " if isinstance(data, Path) else ""
        raise InvalidOption(option, f"{where}{error}") from None
    if (picture.width, picture.height) != (width, height) and fit == "exact":
        found = f"it has {picture.width} × {picture.height} pixels (width × height)"
        raise InvalidOption(option, f"{found}, the target takes {width} × {height}; resize it, or set fit to crop or stretch")
    image = picture.image
    if channels == 1 and image.mode == "RGB":
        image = _grey(image)
        if image is None:
            raise InvalidOption(option, "it is in colour, the target takes one channel; convert it to grey first")
    if picture.remarks:
        log.note(log.PictureReading(option, shown_name(source)[:200] if isinstance(data, Path) else "the picture", picture.remarks))
    if image.size != (width, height):
        image = _fitted(image, width, height, fit)
    return _planes(image, stimulus).expand(channels, -1, -1).contiguous()


def folder_stimuli(folder: str, stimulus: StimulusSpec, option: str, most: int = 2000) -> Tensor:
    """Return the first pictures of a folder and those below it, by name, cropped to the middle and scaled to the stimulus's size.

    Parameters
    ----------
    folder : str
        Path of the folder.
    stimulus : StimulusSpec
        The wanted image stimuli. With other than three channels, all channels are the picture's grey.
    option : str
        The option with the folder; errors name it.
    most : int
        Most pictures; the rest is counted and left out.

    Returns
    -------
    Tensor
        float32, (n, channels, height, width) within the stimulus's range, n ≥ 1. Unreadable pictures are left out. They and all skipped
        files are noted in :func:`actmax.models.pictures.log.readings`.

    Raises
    ------
    InvalidOption
        The folder doesn't exist, or holds no readable picture.
    """
    return read_folder(folder, stimulus, option, most).stimuli


def read_folder(folder: str, stimulus: StimulusSpec, option: str, most: int = 2000) -> FolderStimuli:
    """Return the stimuli of :func:`folder_stimuli`, with an account of the files that were read, left out and skipped.

    Parameters are those of :func:`folder_stimuli`.

    Raises
    ------
    InvalidOption
        The folder doesn't exist, or holds no readable picture.
    """
    paths, reading = picture_paths(folder, option, most)
    found: list[Tensor] = []
    for path in paths:
        stimuli = try_picture(path, Path(folder), stimulus, reading)
        if stimuli is not None:
            found.append(stimuli)
    if not found:
        raise InvalidOption(option, f"no picture of {shown_name(folder)[:200]!r} can be used: {reading.sentence()[:1000]}")
    log.note(reading)
    return FolderStimuli(torch.stack(found), reading)


def picture_paths(folder: str, option: str, most: int) -> tuple[list[Path], FolderReading]:
    """Return the first pictures of a folder and those below it, sorted by path, and an account of the other files.

    Parameters
    ----------
    folder : str
        Path of the folder.
    option : str
        The option with the folder; errors name it.
    most : int
        Most pictures.

    Raises
    ------
    InvalidOption
        The folder doesn't exist, or holds no picture.
    """
    root, reading = Path(folder), FolderReading(shown_name(folder), option)
    try:
        known = root.is_dir()
    except (OSError, ValueError):
        known = False
    if not known:
        raise InvalidOption(option, f"there is no folder {reading.folder[:200]!r}")
    paths = picture_files(root, reading)
    if not paths:
        said = reading.sentence()
        raise InvalidOption(option, f"there is no folder {reading.folder[:200]!r} with pictures in it{f': {said[:1000]}' if said else ''}")
    if len(paths) > most:
        reading.left_out, reading.most = len(paths) - most, most
    return paths[:most], reading


def try_picture(path: Path, root: Path, stimulus: StimulusSpec, reading: FolderReading) -> Tensor | None:
    """Return one picture of a folder, or None where it can't be read.

    Parameters
    ----------
    path : Path
        The picture's file.
    root : Path
        The folder; file names are shown relative to it.
    stimulus : StimulusSpec
        The wanted image stimulus.
    reading : FolderReading
        Receives remarks, or the reason why the picture can't be read.

    Returns
    -------
    Tensor or None
        float32, (channels, height, width).
    """
    name = shown_name(path.relative_to(root))
    try:
        picture, remarks = picture_stimulus(path, stimulus)
    except UnreadablePicture as error:
        reading.unread[name] = str(error)
        return None
    reading.used += 1
    for remark in remarks:
        reading.remark(remark, name)
    return picture


def picture_stimulus(path: Path, stimulus: StimulusSpec) -> tuple[Tensor, tuple[str, ...]]:
    """Return one picture, cropped to the middle, and remarks on it.

    Parameters
    ----------
    path : Path
        The picture's file.
    stimulus : StimulusSpec
        The wanted image stimulus, as for :func:`folder_stimuli`.

    Returns
    -------
    stimulus : Tensor
        float32, (channels, height, width).
    remarks : tuple of str
        Decisions about the picture, such as its colours' conversion.

    Raises
    ------
    UnreadablePicture
        The picture can't be read.
    """
    channels, height, width = stimulus.shape
    found = decode(path, wanted=(width, height))
    planes = _planes(_fitted(found.image.convert("RGB") if found.image.mode == "L" else found.image, width, height, "crop"), stimulus)
    if planes.shape[0] == 1:
        return planes.expand(channels, -1, -1).contiguous(), found.remarks
    if channels == 3:
        return planes, found.remarks
    return torch.einsum("chw,c->hw", planes, planes.new_tensor(LUMA)).expand(channels, -1, -1), found.remarks


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


def _content(source: str, option: str) -> bytes | Path:
    """Return the bytes of a data URI, or the path."""
    if not source.startswith("data:"):
        return Path(source)
    try:
        data = base64.b64decode(source.partition(",")[2], validate=True)
    except (binascii.Error, ValueError):
        raise InvalidOption(option, "the data URI is damaged: it is not base64") from None
    if len(data) > MAX_BYTES:
        raise InvalidOption(option, f"it is larger than {MAX_BYTES >> 20} MiB")
    return data


def _is_array(path: Path) -> bool:
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return file.read(6) == b"\x93NUMPY"
    except (OSError, ValueError):
        return False


def _grey(picture: Image.Image) -> Image.Image | None:
    """Return the grey of a picture with equal red, green and blue, as formats without grey store it; None for a picture in colour."""
    levels = np.asarray(picture)
    return picture.getchannel(1) if bool((levels == levels[..., 1:2]).all()) else None


def _array(path: Path, stimulus: StimulusSpec, option: str) -> Tensor:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InvalidOption(option, f"the .npy file is larger than {MAX_BYTES >> 20} MiB")
        found = np.load(io.BytesIO(path.read_bytes()), allow_pickle=False)
    except InvalidOption:
        raise
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
