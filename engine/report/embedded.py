"""A stimulus as it stands inside the report."""

from __future__ import annotations

import base64
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...models.spaces import StimulusSpec
from .charts import Chart, series_chart
from .pictures import enlarged, factor, own_size, png

_MOST_LINES_OF_SERIES = 6
_WIDEST = 256


@dataclass(frozen=True)
class Embedded:
    """``picture`` is a PNG in base64, to be shown ``width`` wide, or None where ``chart`` is drawn instead."""

    picture: str | None
    width: int
    chart: Chart | None


def embedded(stimulus: NDArray[np.float32], spec: StimulusSpec, title: str, size: int = 160) -> Embedded:
    """An image enlarged by a whole number to about ``size``; a series as a chart named ``title``, or, where it has many lines, a plot."""
    if spec.modality == "series" and spec.shape[0] <= _MOST_LINES_OF_SERIES:
        return Embedded(None, 0, series_chart(stimulus, spec, title))
    if spec.modality == "series":
        image = enlarged(stimulus, spec)
        width = image.width // 2
    else:
        image = own_size(stimulus, spec)
        width = image.width * factor(image.size, size)
    return Embedded(base64.b64encode(png(image)).decode("ascii"), min(width, _WIDEST), None)
