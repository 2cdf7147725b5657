"""Stimuli as pictures."""

from __future__ import annotations

import io
import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...models.spaces import StimulusSpec
from .plots import series_plot

ENLARGED_TO = 256
_GAP = 128
"""Grey of the one-pixel gap between channels shown side by side."""


def pixels(stimulus: NDArray[np.float32], spec: StimulusSpec) -> NDArray[np.uint8]:
    """An image stimulus as 8-bit pixels.

    Parameters
    ----------
    stimulus : ndarray
        (channels, height, width); ``spec.low`` is shown black, ``spec.high`` white (or full colour), values outside are
        clipped, and what is no number is black.

    Returns
    -------
    ndarray
        uint8: (height, width, 3) for three channels; grey (height, width) for one; for any other number the channels as
        grey pictures side by side, in rows of a near-square table with gaps of one pixel.
    """
    scaled = (np.asarray(stimulus, np.float64) - spec.low) / (spec.high - spec.low)
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


def factor(size: tuple[int, int], to: int) -> int:
    """The whole number that brings the longer side of ``size`` nearest to ``to``, at least 1."""
    return max(1, round(to / max(size)))


def own_size(stimulus: NDArray[np.float32], spec: StimulusSpec) -> Image.Image:
    """An image stimulus, pixel for pixel."""
    return Image.fromarray(pixels(stimulus, spec))


def enlarged(stimulus: NDArray[np.float32], spec: StimulusSpec, to: int = ENLARGED_TO) -> Image.Image:
    """An image with each pixel repeated a whole number of times, to about ``to``; a series as a line plot of that height."""
    if spec.modality == "series":
        return Image.fromarray(series_plot(stimulus, spec, width=round(1.5 * to), height=to))
    small = own_size(stimulus, spec)
    times = factor(small.size, to)
    return small.resize((small.width * times, small.height * times), Image.Resampling.NEAREST)


def png(image: Image.Image) -> bytes:
    """The image as a PNG file."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
