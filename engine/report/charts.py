"""Plots as inline SVG, whose colours follow the page's: what ``report.html`` has in place of ``plots``' pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from ...models.spaces import StimulusSpec
from .comparison import Comparison, best_seen, best_so_far, mean_multiples
from .style import line_style
from .words import shown, tick, times


@dataclass(frozen=True)
class Tick:
    """A mark of an axis: where, and what it says."""

    at: float
    text: str


@dataclass(frozen=True)
class Line:
    """One line: an SVG path, its colour's number and its dashes, and where it ends in a dot."""

    path: str
    color: int
    dashes: str
    dot: tuple[float, float] | None = None


@dataclass(frozen=True)
class Chart:
    """A plot in an area of ``width`` × ``height``, laid out; the template draws it."""

    width: int
    height: int
    left: int
    right: int
    top: int
    bottom: int
    x_ticks: Sequence[Tick]
    y_ticks: Sequence[Tick]
    lines: Sequence[Line]
    natural: float | None
    x_label: str
    y_label: str
    says: str


class _Plane:
    """Data coordinates to the chart's, over a range that is never empty."""

    def __init__(self, width: int, height: int, xs: tuple[float, float], ys: Sequence[float]) -> None:
        self.width, self.height = width, height
        self.left, self.right, self.top, self.bottom = 48, width - 10, 12, height - 38
        self.x0, self.x1 = xs if xs[1] > xs[0] else (xs[0], xs[0] + 1)
        low, high = min(ys, default=0.0), max(ys, default=1.0)
        room = 0.05 * (high - low) or 0.05 * abs(high) or 0.5
        self.y0, self.y1 = low - room, high + room

    def x(self, value: float) -> float:
        return round(self.left + (value - self.x0) / (self.x1 - self.x0) * (self.right - self.left), 1)

    def y(self, value: float) -> float:
        return round(self.bottom - (value - self.y0) / (self.y1 - self.y0) * (self.bottom - self.top), 1)

    def chart(self, lines: Sequence[Line], natural: float | None, x_label: str, y_label: str, says: str) -> Chart:
        x_ticks = [Tick(self.x(value), tick(value)) for value in _round_values(self.x0, self.x1, 4)]
        y_ticks = [Tick(self.y(value), tick(value)) for value in _round_values(self.y0, self.y1, 5)]
        drawn = None if natural is None else self.y(natural)
        return Chart(
            self.width, self.height, self.left, self.right, self.top, self.bottom, x_ticks, y_ticks, lines, drawn, x_label, y_label, says
        )

    def steps(self, x: NDArray[np.int64], y: NDArray[np.float64], end: int) -> str:
        """A line that keeps each value until the next; steps too small to be seen are left out."""
        if not x.size:
            return ""
        here = self.y(float(y[0]))
        path = [f"M{self.x(int(x[0]))} {here}"]
        for across, up in zip(x[1:].tolist(), y[1:].tolist(), strict=True):
            there = self.y(up)
            if abs(there - here) >= 0.3:
                path.append(f"H{self.x(across)}V{there}")
                here = there
        return "".join([*path, f"H{self.x(end)}"])


def convergence_chart(comparison: Comparison, unit: str) -> Chart:
    """One unit: the best response or score so far against evaluations, a line an optimizer, a dot for what was measured again."""
    row = comparison.row(unit)
    natural = comparison.natural_line(unit)
    curves = {search.optimizer: best_so_far(search) for search in row}
    ends = [search.sought for search in row if math.isfinite(search.sought)]
    known = [curve[~np.isnan(curve)] for curve in curves.values()]
    ys = [*ends, *([] if natural is None else [natural]), *(float(part[at]) for part in known if part.size for at in (0, -1))]
    plane = _Plane(360, 220, (0, max((curve.size for curve in curves.values()), default=1)), ys)
    what = comparison.measure([unit])
    lines: list[Line] = []
    says: list[str] = []
    for column, optimizer in enumerate(comparison.optimizers):
        search = comparison.at(unit, optimizer)
        if search is None:
            continue
        curve = curves[optimizer]
        at = np.flatnonzero(~np.isnan(curve) & (np.diff(curve, prepend=np.nan) != 0))
        dot = (plane.x(curve.size), plane.y(search.sought)) if math.isfinite(search.sought) else None
        lines.append(_line(column, plane.steps(at + 1, curve[at], curve.size), dot))
        says.append(f"{optimizer} reached {shown(best_seen(search))}")
    if natural is not None:
        says.append(f"the best natural response is {shown(natural)}")
    return plane.chart(
        lines, natural, "evaluations", f"best {what} so far", f"Best {what} so far of {unit} against evaluations: {', '.join(says)}."
    )


def mean_chart(comparison: Comparison) -> Chart | None:
    """All units: the mean of best so far ÷ best natural response; None where no unit can be compared."""
    means = {optimizer: mean_multiples(comparison, optimizer) for optimizer in comparison.optimizers}
    known = {optimizer: mean for optimizer, mean in means.items() if mean[0].size}
    if not known:
        return None
    ys = [1.0, *(float(y[at]) for _, y in known.values() for at in (0, -1))]
    plane = _Plane(560, 290, (0, max(int(x[-1]) for x, _ in known.values())), ys)
    lines = [
        _line(column, plane.steps(*known[optimizer], int(known[optimizer][0][-1])))
        for column, optimizer in enumerate(comparison.optimizers)
        if optimizer in known
    ]
    says = [f"{optimizer} ends at {times(float(y[-1]))}" for optimizer, (_, y) in known.items()]
    return plane.chart(
        lines, 1.0, "evaluations", "mean multiple of best natural", f"Mean multiple of the best natural response: {', '.join(says)}."
    )


def series_chart(stimulus: NDArray[np.float32], spec: StimulusSpec, says: str) -> Chart:
    """A found series over time, a line a channel."""
    values = np.clip(np.nan_to_num(np.asarray(stimulus, np.float64), nan=spec.low), spec.low, spec.high)
    plane = _Plane(360, 170, (0, values.shape[1] - 1), (spec.low, spec.high))
    lines = [
        _line(channel, "M" + "L".join(f"{plane.x(at)} {plane.y(value)}" for at, value in enumerate(line.tolist())))
        for channel, line in enumerate(values)
    ]
    return plane.chart(lines, None, "time step", "", says)


def _line(column: int, path: str, dot: tuple[float, float] | None = None) -> Line:
    style = line_style(column)
    return Line(path, style.number, " ".join(f"{2 * dash:g}" for dash in style.dashes), dot)


def _round_values(low: float, high: float, most: int) -> list[float]:
    return [float(value) for value in MaxNLocator(most, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high) if low <= value <= high]
