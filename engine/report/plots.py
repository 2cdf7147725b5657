"""Plots as PNG files and pixels, drawn by matplotlib without its global state."""

from __future__ import annotations

import io
import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from ...models.spaces import StimulusSpec
from .comparison import Comparison, best_so_far, mean_multiples
from .style import GRID, INK, MUTED, PAPER, line_style
from .words import shortened, tick

DPI = 144
MOST_PANELS = 60
"""Units of which the overview has a panel."""
_MOST_LINES = 6


def convergence_plot(comparison: Comparison, unit: str) -> bytes:
    """One unit: the best response or score so far against evaluations, a line an optimizer."""
    legend = _legend_rows(comparison, 5.4, natural=comparison.natural_line(unit) is not None)
    height = 3.9 + len(legend) * _LEGEND_PITCH
    figure = _figure(6.4, height)
    axes = _axes(figure, (0.85, 0.6, 5.35, 2.7))
    _draw_unit(axes, comparison, unit)
    axes.set_xlabel("evaluations", color=MUTED)
    axes.set_ylabel(f"best {comparison.measure([unit])} so far", color=MUTED)
    figure.text(0.85 / 6.4, 1 - 0.36 / height, shortened(unit, 60), color=INK, fontsize=12, fontweight="bold", parse_math=False)
    _draw_legend(figure, legend, 0.85, height - 0.52)
    return _png(figure)


def convergence_overview(comparison: Comparison) -> bytes:
    """All units in small panels, above them their mean as a multiple of the best natural response where that is known."""
    units = comparison.units[:MOST_PANELS]
    columns = min(5, len(units))
    rows = math.ceil(len(units) / columns)
    pitch_x, pitch_y, left = 2.55, 1.95, 0.75
    width = max(6.4, left + columns * pitch_x + 0.1)
    if columns < 3:
        pitch_x = (width - left - 0.1) / columns
    means = {optimizer: mean_multiples(comparison, optimizer) for optimizer in comparison.optimizers}
    natural = any(x.size for x, _ in means.values())
    top_panel = 3.3 if natural else 0.0
    legend = _legend_rows(comparison, width - left, natural=any(comparison.natural_line(unit) is not None for unit in units))
    head = 0.35 + len(legend) * _LEGEND_PITCH
    height = head + top_panel + rows * pitch_y + 0.45
    figure = _figure(width, height)
    _draw_legend(figure, legend, left, height - 0.15)
    if natural:
        axes = _axes(figure, (left, height - head - top_panel + 0.75, width - left - 0.35, 2.3))
        for column, optimizer in enumerate(comparison.optimizers):
            x, y = means[optimizer]
            _draw_line(axes, column, np.append(x, x[-1:]), np.append(y, y[-1:]))
        axes.axhline(1, color=MUTED, linewidth=1.2, linestyle=(0, (4, 2)), zorder=1.5)
        axes.set_title("Mean over the units, as a multiple of best natural", loc="left", color=INK, fontsize=11, fontweight="bold")
        axes.set_xlim(0, max(int(x[-1]) for x, _ in means.values() if x.size))
        axes.set_xlabel("evaluations", color=MUTED)
        axes.set_ylabel("× best natural", color=MUTED)
    for number, unit in enumerate(units):
        column, row = number % columns, number // columns
        bottom = height - head - top_panel - (row + 1) * pitch_y + 0.42
        axes = _axes(figure, (left + column * pitch_x, bottom, pitch_x - 0.55, pitch_y - 0.75), ticks=4)
        _draw_unit(axes, comparison, unit)
        axes.tick_params(labelsize=7.5)
        axes.set_title(shortened(unit, 26), loc="left", color=INK, fontsize=9, fontweight="bold", parse_math=False)
    further = len(comparison.units) - len(units)
    note = f"; {further:,} further units not shown" if further > 0 else ""
    said = f"Panels: best {comparison.measure(units)} so far against evaluations{note}"
    figure.text(left / width, 0.14 / height, said, color=MUTED, fontsize=8.5)
    return _png(figure)


def series_plot(stimulus: NDArray[np.float32], spec: StimulusSpec, width: int, height: int) -> NDArray[np.uint8]:
    """A series over time, (height, width, 3) uint8: a line a channel, or a map of channels × time where they are many."""
    values = np.clip(np.nan_to_num(np.asarray(stimulus, np.float64), nan=spec.low), spec.low, spec.high)
    figure = _figure(width / DPI, height / DPI)
    axes = _axes(figure, (0.34, 0.17, width / DPI - 0.42, height / DPI - 0.22), ticks=4)
    axes.tick_params(labelsize=5, length=2, pad=1.5)
    if values.shape[0] > _MOST_LINES:
        axes.imshow(values, cmap="cividis", vmin=spec.low, vmax=spec.high, aspect="auto", interpolation="nearest")
        axes.grid(visible=False)
    else:
        for channel, line in enumerate(values):
            axes.plot(np.arange(line.size), line, color=line_style(channel).color, linewidth=0.9)
        margin = 0.04 * (spec.high - spec.low)
        axes.set_ylim(spec.low - margin, spec.high + margin)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _figure(width: float, height: float) -> Figure:
    return Figure(figsize=(width, height), dpi=DPI, facecolor=PAPER)


def _axes(figure: Figure, inches: tuple[float, float, float, float], ticks: int = 7) -> Axes:
    """Axes with left, bottom, width and height in inches."""
    width, height = figure.get_size_inches()
    axes = figure.add_axes((inches[0] / width, inches[1] / height, inches[2] / width, inches[3] / height))
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(MUTED)
    axes.grid(visible=True, axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=MUTED, labelsize=9, length=0)
    axes.tick_params(axis="x", length=3)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(ticks, steps=[1, 2, 2.5, 5, 10]))
        axis.set_major_formatter(FuncFormatter(lambda value, _: tick(value)))
    return axes


def _draw_unit(axes: Axes, comparison: Comparison, unit: str) -> None:
    for column, optimizer in enumerate(comparison.optimizers):
        search = comparison.at(unit, optimizer)
        if search is None:
            continue
        curve = best_so_far(search)
        changes = np.flatnonzero(~np.isnan(curve) & (np.diff(curve, prepend=np.nan) != 0))
        if changes.size:
            _draw_line(axes, column, np.append(changes + 1, curve.size), np.append(curve[changes], curve[-1]))
        if math.isfinite(search.sought):
            color = line_style(column).color
            axes.plot([search.evaluations], [search.sought], "o", color=color, markersize=5, markeredgecolor=PAPER, clip_on=False, zorder=3)
    best = comparison.natural_line(unit)
    if best is not None:
        axes.axhline(best, color=MUTED, linewidth=1.2, linestyle=(0, (4, 2)), zorder=1.5)
    axes.set_xlim(0, max((search.evaluations for search in comparison.row(unit)), default=1) or 1)


def _draw_line(axes: Axes, column: int, x: NDArray[np.int64], y: NDArray[np.float64]) -> None:
    style = line_style(column)
    line = axes.plot(x, y, color=style.color, linewidth=1.8, drawstyle="steps-post", zorder=2)[0]
    if style.dashes:
        line.set_dashes(style.dashes)


_Legend = list[list[tuple[Line2D, str]]]
_LEGEND_PITCH = 0.24


def _legend_rows(comparison: Comparison, room: float, *, natural: bool) -> _Legend:
    """What the lines are, in as many rows as ``room``, in inches, needs."""
    entries: list[tuple[Line2D, str]] = []
    for column, optimizer in enumerate(comparison.optimizers):
        style = line_style(column)
        line = Line2D([], [], color=style.color, linewidth=1.8)
        if style.dashes:
            line.set_dashes(style.dashes)
        entries.append((line, shortened(optimizer, 40)))
    if natural:
        entries.append((Line2D([], [], color=MUTED, linewidth=1.2, linestyle=(0, (4, 2))), "best natural"))
    entries.append((Line2D([], [], color=MUTED, linestyle="none", marker="o", markersize=5), "found, measured again"))
    rows: _Legend = [[]]
    used = 0.0
    for entry in entries:
        width = 0.6 + 0.085 * len(entry[1])
        if rows[-1] and used + width > room:
            rows.append([])
            used = 0.0
        rows[-1].append(entry)
        used += width
    return rows


def _draw_legend(figure: Figure, rows: _Legend, left: float, top: float) -> None:
    """``rows`` from their upper left corner, in inches, downwards."""
    width, height = figure.get_size_inches()
    for number, row in enumerate(rows):
        legend = figure.legend(
            [line for line, _ in row],
            [str(column) for column in range(len(row))],
            loc="upper left",
            bbox_to_anchor=(left / width, (top - number * _LEGEND_PITCH) / height),
            ncols=len(row),
            frameon=False,
            fontsize=9,
            borderpad=0,
            borderaxespad=0,
            columnspacing=1.4,
            handlelength=2.2,
            handletextpad=0.5,
        )
        # Set here, because a legend drops a label that begins with an underscore and reads dollars as mathematics.
        for text, (_, label) in zip(legend.get_texts(), row, strict=True):
            text.set_parse_math(False)
            text.set_text(label)
            text.set_color(INK)


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})
    return buffer.getvalue()
