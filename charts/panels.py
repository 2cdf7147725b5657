"""Several charts on one sheet, with a title and a legend."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from .chart import text_element
from .document import Key, document, legend, placed
from .words import shortened

_MARGIN, _TITLE = 12, 24
"""Margin between and around panels, and height of a title, in pixels."""
_LETTER = 7.5
"""Approximate width of a letter of a title, in pixels."""


@dataclass(frozen=True)
class Panel:
    """One chart of a sheet.

    Attributes
    ----------
    title : str
        Line above the chart; a title that is too long is shortened in its middle.
    body : str
        SVG elements, such as :meth:`actmax.charts.chart.Chart.body` returns.
    size : tuple of int
        Width and height, in pixels.
    """

    title: str
    body: str
    size: tuple[int, int]


def panel_sheet(title: str, panels: Sequence[Panel], columns: int, keys: Sequence[Key] = ()) -> str:
    """Return panels as an SVG document, row by row, below a title and a legend.

    Parameters
    ----------
    title : str
        The heading.
    panels : sequence of Panel
        At least one.
    columns : int
        Most panels of a row.
    keys : sequence of Key
        Entries of the legend; empty for no legend.
    """
    columns = min(columns, len(panels))
    wide, high = (max(panel.size[side] for panel in panels) for side in (0, 1))
    pitch = wide + _MARGIN
    width = columns * pitch + _MARGIN
    parts, top = [_heading(title, _MARGIN, 20, width)], 32.0
    if keys:
        body, rows = legend(keys, width - 2 * _MARGIN)
        parts.append(placed(body, _MARGIN, top))
        top += rows + _MARGIN
    for number, panel in enumerate(panels):
        left, down = _MARGIN + number % columns * pitch, top + number // columns * (high + _TITLE + _MARGIN)
        parts += [_heading(panel.title, left, down + 14, wide), placed(panel.body, left, down + _TITLE)]
    height = top + math.ceil(len(panels) / columns) * (high + _TITLE + _MARGIN)
    return document((width, round(height)), parts)


def _heading(text: str, left: float, top: float, room: float) -> str:
    return text_element(left, top, shortened(text, max(4, int(room / _LETTER))), 'class="ink strong"')
