"""A stimulus as it stands inside the report."""

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
"""Sides from which a picture is worth compressing; of smaller ones every pixel is seen."""


@dataclass(frozen=True)
class Embedded:
    """``picture`` is a data URI, to be shown ``width`` wide, or None where ``chart`` is drawn instead."""

    picture: str | None
    width: int
    chart: Chart | None


def embedded(stimulus: NDArray[np.float32], spec: StimulusSpec, title: str, size: int = 160, *, light: bool = False) -> Embedded:
    """An image enlarged by a whole number to about ``size``; a series as a chart named ``title``, or, where it has many lines, a plot.

    Pictures are PNG; those of a ``light`` report no larger than ``size``, and WebP.
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
    """``image`` as PNG; or, where it has to be light, as WebP of sides of ``at_most``."""
    if at_most is None or max(image.size) < _WORTH:
        return data_uri(png(image))
    small = image.copy()
    small.thumbnail((at_most, at_most), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.convert("RGBA" if small.mode == "RGBA" else "RGB").save(buffer, "WEBP", quality=80, alpha_quality=60)
    return data_uri(buffer.getvalue(), "image/webp")
