"""Maps of numbers laid over pictures: warm colours above zero, cold ones below, clear at zero."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

WARM, COLD = (0xD5, 0x5E, 0x00), (0x00, 0x72, 0xB2)
"""Vermilion and blue of Okabe and Ito, which readers with any colour vision can tell apart."""
PALE = 0.4
"""Contrast of the picture below the map, as a share of its own."""
FULL = 99.0
"""Percentile of the absolute values at which a colour is full."""


def strength(values: NDArray[np.floating], full: float = 0.0) -> NDArray[np.float64]:
    """Return ``values`` as strengths of colours, -1 to 1; zero everywhere for zeros.

    Parameters
    ----------
    values : ndarray
        Any shape, finite.
    full : float
        The value at which a colour is full; 0: the 99th percentile of the absolute ``values``.
    """
    sizes = np.abs(np.asarray(values, np.float64))
    full = full or float(np.percentile(sizes, FULL)) or float(sizes.max(initial=0.0))
    return np.clip(np.asarray(values, np.float64) / full, -1, 1) if full > 0 else np.zeros(values.shape)


def overlaid(picture: NDArray[np.uint8], values: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return a map over a pale grey picture.

    Parameters
    ----------
    picture : ndarray
        uint8, (height, width) or (height, width, 3).
    values : ndarray
        Strengths of colours, (height, width), -1 to 1; see :func:`strength`.

    Returns
    -------
    ndarray
        uint8, (height, width, 3).
    """
    grey = picture.astype(np.float64)
    grey = grey if grey.ndim == 2 else grey @ np.array([0.299, 0.587, 0.114])
    below = (255 - PALE * (255 - grey))[..., None]
    share = values[..., None]
    colour = np.where(share >= 0, np.array(WARM, np.float64), np.array(COLD, np.float64))
    alpha = np.abs(share)
    return np.rint((1 - alpha) * below + alpha * colour).astype(np.uint8)


def scale(width: int, height: int, *, signed: bool) -> NDArray[np.uint8]:
    """Return a colour bar from lowest to highest: uint8, (height, width, 3).

    Parameters
    ----------
    width, height : int
        In pixels.
    signed : bool
        Whether the bar begins at -1; else at 0.
    """
    values = np.linspace(-1 if signed else 0, 1, width)[None].repeat(height, 0)
    return overlaid(np.full((height, width), 255, np.uint8), values)
