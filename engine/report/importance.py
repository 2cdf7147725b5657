"""A found image that shows where it matters."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...models.spaces import StimulusSpec
from .pictures import ENLARGED_TO, factor, pixels

COLOURS_CLIPPED = 1.0
"""Per cent of values clipped at either end before the colours are stretched to the full range."""
OPAQUE = 80.0
"""Percentile of importance from which a place is opaque."""


def shows_importance(spec: StimulusSpec) -> bool:
    """Whether such a stimulus has a picture with one colour a place."""
    return spec.modality == "image" and spec.shape[0] in (1, 3)


def opacity(importance: NDArray[np.float32]) -> NDArray[np.float64]:
    """Importance, (height, width) >= 0, clipped at its 80th percentile, as a share of it; 1 everywhere where nothing matters."""
    clipped = np.minimum(importance, np.percentile(importance, OPAQUE)) if importance.any() else importance
    most = float(clipped.max())
    if most <= 0:  # fewer than a fifth of the places matter at all
        most, clipped = float(importance.max()), importance
    return clipped.astype(np.float64) / most if most > 0 else np.ones(importance.shape)


def faded(stimulus: NDArray[np.float32], importance: NDArray[np.float32], spec: StimulusSpec, to: int = ENLARGED_TO) -> Image.Image:
    """The image as RGBA, enlarged as other pictures are: opaque where its score hung on it, transparent elsewhere.

    As MACO shows its pictures (Fel et al., 2023; the authors' ``plot_maco``): colours between their 1st and 99th percentile are stretched
    to the full range, and the importance map, clipped at its 80th percentile, is the opacity.

    Parameters
    ----------
    stimulus : ndarray
        (1 or 3, height, width).
    importance : ndarray
        (height, width), >= 0.
    spec : StimulusSpec
        The stimulus's.
    """
    low, high = np.percentile(stimulus, (COLOURS_CLIPPED, 100 - COLOURS_CLIPPED))
    stretched = stimulus if high - low < 1e-6 else spec.low + (spec.high - spec.low) * (stimulus - low) / (high - low)
    shown = pixels(stretched.astype(np.float32), spec)
    colours = shown if shown.ndim == 3 else np.repeat(shown[..., None], 3, -1)
    alpha = np.rint(255 * opacity(importance)).astype(np.uint8)
    small = Image.fromarray(np.concatenate([colours, alpha[..., None]], -1))
    times = factor(small.size, to)
    return small.resize((small.width * times, small.height * times), Image.Resampling.NEAREST)
