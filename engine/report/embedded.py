"""Stimuli embedded in a page."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...charts.chart import Chart
from ...charts.pictures import data_uri, png
from ...models.spaces import StimulusSpec
from .charts import series_chart
from .pictures import MOST_LINES, enlarged, factor, own_size

_WIDEST = 256
_WORTH = 64
"""Least side of a picture that is compressed; in smaller ones every pixel is visible."""


@dataclass(frozen=True)
class Embedded:
    """A stimulus in a page: ``picture`` is a data URI, shown ``width`` pixels wide, or None if ``chart`` is drawn instead."""

    picture: str | None
    width: int
    chart: Chart | None


def embedded(stimulus: NDArray[np.float32], spec: StimulusSpec, title: str, size: int = 160, *, light: bool = False) -> Embedded:
    """Return a stimulus for a page: an image enlarged by a whole number, a series as a chart, or as a map if it has many channels.

    Parameters
    ----------
    stimulus : ndarray
        float32, of ``spec``'s shape.
    spec : StimulusSpec
        Shape, range and modality.
    title : str
        Alternative text of a chart.
    size : int
        Pixels to which the longer side of an image is enlarged, about.
    light : bool
        Whether pictures are WebP no larger than ``size``; else PNG.
    """
    if spec.modality == "series" and spec.shape[0] <= MOST_LINES:
        return Embedded(None, 0, series_chart(stimulus, spec, title))
    if spec.modality == "series":
        image = enlarged(stimulus, spec)
        width = image.width // 2
    else:
        image = own_size(stimulus, spec)
        width = image.width * factor(image.size, size)
    return Embedded(picture_uri(image, size if light else None), min(width, size if light else _WIDEST), None)


def picture_uri(image: Image.Image, at_most: int | None = None) -> str:
    """Return ``image`` as a data URI: PNG, or WebP with sides of at most ``at_most`` pixels if that is given."""
    if at_most is None or max(image.size) < _WORTH:
        return data_uri(png(image))
    small = image.copy()
    small.thumbnail((at_most, at_most), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.convert("RGBA" if small.mode == "RGBA" else "RGB").save(buffer, "WEBP", quality=80, alpha_quality=60)
    return data_uri(buffer.getvalue(), "image/webp")
