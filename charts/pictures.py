"""Stimuli as pixels, and pictures as files and as parts of pages."""

from __future__ import annotations

import base64
import io
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_GAP = 128
"""Grey of the one-pixel gap between channels shown side by side."""


def pixels(stimulus: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    """Return an image stimulus as 8-bit pixels.

    Parameters
    ----------
    stimulus : ndarray
        (channels, height, width); NaN is black.
    low, high : float
        Values of black and of white, or of full colour; values outside are clipped.

    Returns
    -------
    ndarray
        uint8: (height, width, 3) for three channels; grey (height, width) for one; for any other number the channels as
        grey pictures side by side, in rows of a near-square table with gaps of one pixel.
    """
    scaled = (np.asarray(stimulus, np.float64) - low) / (high - low)
    levels = np.rint(np.clip(np.nan_to_num(scaled, nan=0.0, posinf=1.0, neginf=0.0), 0, 1) * 255).astype(np.uint8)
    if levels.shape[0] == 3:
        return levels.transpose(1, 2, 0)
    if levels.shape[0] == 1:
        return levels[0]
    channels, height, width = levels.shape
    columns = math.ceil(math.sqrt(channels))
    rows = math.ceil(channels / columns)
    table = np.full((rows * (height + 1) - 1, columns * (width + 1) - 1), _GAP, np.uint8)
    for channel in range(channels):
        top, left = channel // columns * (height + 1), channel % columns * (width + 1)
        table[top : top + height, left : left + width] = levels[channel]
    return table


def png(image: Image.Image) -> bytes:
    """Return a picture as a PNG file."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def from_png(file: bytes) -> Image.Image:
    """Return a chart that was drawn as a PNG file as an image; pictures from outside are read by :mod:`actmax.models.pictures`."""
    return Image.open(io.BytesIO(file))


def data_uri(content: bytes, media_type: str = "image/png") -> str:
    """Return a file as a data URI, which a page can embed."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"
