"""MP4 files, where an encoder is installed: ``pip install 'actmax[video]'``."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...models.options import InvalidOption

_MACROBLOCK = 16
"""Width and height are made a multiple of it by adding paper."""


def check_encoder(format: str, option: str) -> None:
    """Refuse films that can't be written here.

    Raises
    ------
    InvalidOption
        At ``option``.
    """
    if format == "mp4" and find_spec("imageio_ffmpeg") is None:
        raise InvalidOption(option, "there is no encoder for MP4 here: pip install 'actmax[video]', or take gif")


def mp4(frames: Iterable[NDArray[np.uint8]], fps: int) -> bytes:
    """``frames``, (height, width, 3) and all of one size, as H.264 in an MP4 file that browsers play.

    Raises
    ------
    OSError
        The encoder failed.
    """
    import imageio_ffmpeg

    frames = [_padded(frame) for frame in frames]
    height, width = frames[0].shape[:2]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film.mp4"
        writer = imageio_ffmpeg.write_frames(
            str(path), (width, height), fps=fps, codec="libx264", quality=8, macro_block_size=_MACROBLOCK, ffmpeg_log_level="error"
        )
        writer.send(None)
        for frame in frames:
            writer.send(np.ascontiguousarray(frame))
        writer.close()
        data = path.read_bytes() if path.exists() else b""
    if not data:
        raise OSError("the MP4 encoder wrote nothing")
    return data


def _padded(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = (-size % _MACROBLOCK for size in frame.shape[:2])
    return np.pad(frame, ((0, height), (0, width), (0, 0)), constant_values=255)
