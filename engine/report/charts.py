"""Charts of a job: curves of convergence and series, for its pages and as PNG files."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ...charts.chart import Axes, Chart, text_element
from ...charts.document import Key, document, legend, placed, to_png
from ...charts.style import LEVEL, LineStyle, line_style
from ...charts.words import shortened, shown, times
from ...models.spaces import StimulusSpec
from ..results.reference import REFERENCE
from .comparison import Comparison, best_seen, best_so_far, mean_multiples

MOST_PANELS = 60
"""Most units that have a panel in the overview."""
_ZOOM = 1.5
"""Pixels of a PNG file for each pixel of its chart."""
_MARGIN = 24


def convergence_chart(comparison: Comparison, unit: str, size: tuple[int, int] = (360, 220), *, labelled: bool = False) -> Chart:
    """Return a chart of a unit's best response or score so far: a line for each optimizer, a dot for the final measurement.

    Parameters
    ----------
    comparison : Comparison
        The searches; an optimizer that did not search ``unit`` has no line.
    unit : str
        The unit's address.
    size : tuple of int
        Width and height, in pixels.
    labelled : bool
        Whether the vertical axis has its name; a page says it beside the chart.
    """
    reference = comparison.reference_line(unit)
    curves = {search.optimizer: best_so_far(search) for search in comparison.row(unit)}
    ends = [search.sought for search in comparison.row(unit)]
    known = [curve[~np.isnan(curve)] for curve in curves.values()]
    ys = [*ends, *([] if reference is None else [reference]), *(float(part[at]) for part in known if part.size for at in (0, -1))]
    what = f"best {comparison.measure([unit])} so far"
    longest = max((curve.size for curve in curves.values()), default=1)
    chart = Chart(Axes(size, (0, longest), ys, "evaluations", what if labelled else ""))
    if reference is not None:
        chart.level(reference)
    for column, optimizer in enumerate(comparison.optimizers):
        if optimizer in curves:
            curve = curves[optimizer]
            at = np.flatnonzero(~np.isnan(curve) & (np.diff(curve, prepend=np.nan) != 0))
            points = list(zip((at + 1).tolist(), curve[at].tolist(), strict=True))
            chart.steps([*points, *((curve.size, y) for _, y in points[-1:])], line_style(column))
    says: list[str] = []
    for column, optimizer in enumerate(comparison.optimizers):
        search = comparison.at(unit, optimizer)
        if search is not None:
            says.append(f"{optimizer} reached {shown(best_seen(search))}")
            if math.isfinite(search.sought):
                chart.dot(curves[optimizer].size, search.sought, line_style(column).name)
    if reference is not None:
        says.append(f"the {REFERENCE.best} response is {shown(reference)}")
    chart.says = f"B{what[1:]} of {unit} against evaluations: {', '.join(says)}."
    return chart


def mean_chart(comparison: Comparison, size: tuple[int, int] = (560, 290)) -> Chart | None:
    """Return a chart of the mean over all units of best so far ÷ reference response; None if no unit can be compared."""
    means = {optimizer: mean_multiples(comparison, optimizer) for optimizer in comparison.optimizers}
    known = {optimizer: mean for optimizer, mean in means.items() if mean[0].size}
    if not known:
        return None
    ys = [1.0, *(float(y[at]) for _, y in known.values() for at in (0, -1))]
    says = [f"{optimizer} ends at {times(float(y[-1]))}" for optimizer, (_, y) in known.items()]
    axes = Axes(size, (0, max(int(x[-1]) for x, _ in known.values())), ys, "evaluations", f"× {REFERENCE.best}")
    chart = Chart(axes, f"Mean multiple of the {REFERENCE.best} response: {', '.join(says)}.")
    chart.level(1.0)
    for column, optimizer in enumerate(comparison.optimizers):
        if optimizer in known:
            x, y = known[optimizer]
            chart.steps(list(zip(x.tolist(), y.tolist(), strict=True)), line_style(column))
    return chart


def series_chart(stimulus: NDArray[np.float32], spec: StimulusSpec, says: str = "", size: tuple[int, int] = (360, 170)) -> Chart:
    """Return a chart of a series over time, a line for each channel.

    Parameters
    ----------
    stimulus : ndarray
        (channels, time) float32.
    spec : StimulusSpec
        Its range.
    says : str
        Alternative text of the chart.
    size : tuple of int
        Width and height, in pixels.
    """
    values = np.clip(np.nan_to_num(np.asarray(stimulus, np.float64), nan=spec.low), spec.low, spec.high)
    chart = Chart(Axes(size, (0, values.shape[1] - 1), (spec.low, spec.high), "time step"), says)
    for channel, line in enumerate(values.tolist()):
        chart.line(list(enumerate(line)), line_style(channel))
    return chart


def convergence_plot(comparison: Comparison, unit: str) -> bytes:
    """Return a unit's ``convergence_chart`` as a PNG file, with a title and a legend."""
    width, height = 640, 340
    keys, rows = legend(_keys(comparison, [unit]), width - _MARGIN)
    chart = convergence_chart(comparison, unit, (width, height), labelled=True)
    top = 30 + rows + 12
    parts = [_title(unit, 60), placed(keys, 0, 30), placed(chart.body(), 0, top)]
    return _file((width, top + height), parts)


def convergence_overview(comparison: Comparison) -> bytes:
    """Return all units in small panels as a PNG file, below their mean if reference responses are known."""
    units = comparison.units[:MOST_PANELS]
    columns = min(5, len(units))
    pitch, high = (250, 190) if columns > 2 else (640 // columns, 220)
    width = columns * pitch
    keys, rows = legend(_keys(comparison, units), width)
    parts, top = [placed(keys, 0, _MARGIN)], _MARGIN + rows + _MARGIN
    mean = mean_chart(comparison, (width, 300))
    if mean is not None:
        parts += [placed(_title(f"Mean over the units, as a multiple of {REFERENCE.best}"), 0, top), placed(mean.body(), 0, top + _MARGIN)]
        top += 300 + 2 * _MARGIN
    for number, unit in enumerate(units):
        panel = convergence_chart(comparison, unit, (pitch - _MARGIN // 2, high - 30))
        left, down = number % columns * pitch, top + number // columns * high
        parts += [placed(_title(unit, 26), left, down), placed(panel.body(), left, down + 10)]
    top += math.ceil(len(units) / columns) * high
    further = len(comparison.units) - len(units)
    note = f"; {further:,} further units not shown" if further > 0 else ""
    parts.append(text_element(0, top + 8, f"Panels: best {comparison.measure(units)} so far against evaluations{note}"))
    return _file((width, top + _MARGIN), parts)


def _title(text: str, longest: int = 200) -> str:
    return text_element(0, 14, shortened(text, longest), 'class="ink strong"')


def _keys(comparison: Comparison, units: Sequence[str]) -> list[Key]:
    """Return the legend of the charts of ``units``."""
    keys = [Key(shortened(optimizer, 40), line_style(column)) for column, optimizer in enumerate(comparison.optimizers)]
    if any(comparison.reference_line(unit) is not None for unit in units):
        keys.append(Key(REFERENCE.best, LEVEL))
    return [*keys, Key("found, measured again", LineStyle("muted"), dot=True)]


def _file(size: tuple[int, int], parts: Sequence[str]) -> bytes:
    """Return SVG elements as a PNG file, with a margin around them."""
    width, height = size
    return to_png(document((width + 2 * _MARGIN, height + _MARGIN), [placed("".join(parts), _MARGIN, _MARGIN / 2)]), _ZOOM)
