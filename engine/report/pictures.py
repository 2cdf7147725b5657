"""Stimuli as pictures."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...charts.chart import Axes, Chart
from ...charts.document import document, to_png
from ...charts.pictures import data_uri, pixels, png
from ...models.pictures.decoding import decode
from ...models.spaces import StimulusSpec
from ..results.section import StimulusPicture
from .charts import series_chart

ENLARGED_TO = 256
MOST_LINES = 6
"""Most channels of a series that is drawn as lines; one with more is a map of channels × time."""
_SHRUNK = 0.8
"""Factor by which the chart of a series is shrunk."""
_SCALE = "00224e 1a386f 434e6c 61656f 7d7c78 9b9476 bcae6c dec958 fee838"
"""Cividis, a scale of colours for every kind of colour vision, in equal steps (https://doi.org/10.1371/journal.pone.0199239)."""
COLOURS_CLIPPED = 1.0
"""Per cent of values clipped at either end before the colours are stretched to the full range."""
OPAQUE = 80.0
"""Percentile of the weights from which a place is opaque."""


def factor(size: tuple[int, int], to: int) -> int:
    """Return the whole number, at least 1, that scales the longer side of ``size`` nearest to ``to``."""
    return max(1, round(to / max(size)))


def own_size(stimulus: NDArray[np.float32], spec: StimulusSpec) -> Image.Image:
    """Return an image stimulus, pixel for pixel."""
    return Image.fromarray(pixels(stimulus, spec.low, spec.high))


def enlarged(stimulus: NDArray[np.float32], spec: StimulusSpec, to: int = ENLARGED_TO) -> Image.Image:
    """Return a stimulus as a picture.

    Parameters
    ----------
    stimulus : ndarray
        float32, of ``spec``'s shape.
    spec : StimulusSpec
        Shape, range and modality.
    to : int
        Size in pixels: an image's pixels are repeated a whole number of times to about this size; a series is plotted at this height.
    """
    if spec.modality == "series":
        size = (round(1.5 * to / _SHRUNK), round(to / _SHRUNK))
        chart = series_chart(stimulus, spec, size=size) if len(stimulus) <= MOST_LINES else _map(stimulus, spec, size)
        return decode(to_png(document(size, [chart.body()]), _SHRUNK)).image.convert("RGB")
    small = own_size(stimulus, spec)
    times = factor(small.size, to)
    return small.resize((small.width * times, small.height * times), Image.Resampling.NEAREST)


def can_be_faded(spec: StimulusSpec) -> bool:
    """Return whether such a stimulus is an image with one colour for each place."""
    return spec.modality == "image" and spec.shape[0] in (1, 3)


def opacity(weights: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the opacity for weights, (height, width) in [0, 1]: weights ÷ their 80th percentile, at most 1.

    They are divided by their maximum if that percentile is 0; the opacity is 1 everywhere if all are 0.
    """
    clipped = np.minimum(weights, np.percentile(weights, OPAQUE)) if weights.any() else weights
    most = float(clipped.max())
    if most <= 0:  # fewer than a fifth of the places count at all
        most, clipped = float(weights.max()), weights
    return clipped.astype(np.float64) / most if most > 0 else np.ones(weights.shape)


def faded(stimulus: NDArray[np.float32], weights: NDArray[np.float32], spec: StimulusSpec, to: int = ENLARGED_TO) -> Image.Image:
    """Return the image as RGBA, enlarged as other pictures are: opaque where its weights are high, transparent elsewhere.

    As in MACO (Fel et al., 2023; the authors' ``plot_maco``), colours between their 1st and 99th percentile are stretched
    to the full range, and the weights, clipped at their 80th percentile, are the opacity.

    Parameters
    ----------
    stimulus : ndarray
        (1 or 3, height, width).
    weights : ndarray
        (height, width), >= 0.
    spec : StimulusSpec
        The stimulus's spec.
    to : int
        Size in pixels, about.
    """
    low, high = np.percentile(stimulus, (COLOURS_CLIPPED, 100 - COLOURS_CLIPPED))
    stretched = stimulus if high - low < 1e-6 else spec.low + (spec.high - spec.low) * (stimulus - low) / (high - low)
    shown = pixels(stretched.astype(np.float32), spec.low, spec.high)
    colours = shown if shown.ndim == 3 else np.repeat(shown[..., None], 3, -1)
    alpha = np.rint(255 * opacity(weights)).astype(np.uint8)
    small = Image.fromarray(np.concatenate([colours, alpha[..., None]], -1))
    times = factor(small.size, to)
    return small.resize((small.width * times, small.height * times), Image.Resampling.NEAREST)


def _map(stimulus: NDArray[np.float32], spec: StimulusSpec, size: tuple[int, int]) -> Chart:
    """Return a series as a map of channels × time, the first channel at the top."""
    channels, length = stimulus.shape
    share = np.clip(np.nan_to_num((np.asarray(stimulus, np.float64) - spec.low) / (spec.high - spec.low), nan=0.0), 0, 1)
    scale = np.array([list(bytes.fromhex(color)) for color in _SCALE.split()])
    colors = [np.interp(share, np.linspace(0, 1, len(scale)), scale[:, part]) for part in range(3)]
    image = png(Image.fromarray(np.rint(np.stack(colors, -1)).astype(np.uint8)))
    chart = Chart(Axes(size, (0, length), (0, channels), "time step", downwards=True))
    chart.image(data_uri(image), (0, length), (0, channels))
    return chart


def picture_file(picture: StimulusPicture) -> bytes:
    """Return a figure's stimulus as a PNG file: enlarged or plotted, at its own size, or faded where its weights are low."""
    if picture.weights is not None:
        return png(faded(picture.stimulus, picture.weights, picture.spec))
    return png((own_size if picture.own_size else enlarged)(picture.stimulus, picture.spec))
