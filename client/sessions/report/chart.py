"""Plots as SVG, in the colours of the page that holds them or with their own."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from .figures import Figures, GenerationFigures, Mean
from .words import shown

_WIDTH, _LEFT, _TOP, _FOOT = 720, 52, 14, 42

# Okabe and Ito's palette (https://jfly.uni-koeln.de/color/), as the reports of jobs have it.
LIGHT = {"ink": "#1d2126", "muted": "#586069", "line": "#dfe3e7", "card": "#ffffff", "c0": "#0072b2", "c1": "#d55e00", "c2": "#008a66"}
DARK = {"ink": "#eceff2", "muted": "#a4adb6", "line": "#363c43", "card": "#1d2125", "c0": "#56b4e9", "c1": "#f08a3c", "c2": "#2fc99b"}

RULES = """\
.chart { display: block; width: 100%; height: auto; overflow: visible; font-family: system-ui, sans-serif; }
.chart text { font-size: 13px; fill: var(--muted); font-variant-numeric: tabular-nums; }
.chart text.c0 { fill: var(--c0); } .chart text.c1 { fill: var(--c1); } .chart text.c2 { fill: var(--c2); }
.chart .grid { stroke: var(--line); fill: none; } .chart .axis { stroke: var(--muted); fill: none; }
.chart .line { fill: none; stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }
.chart .band { stroke: none; opacity: .2; }
.chart .faint { opacity: .45; } .chart .dash { stroke-dasharray: 6 4; }
.chart .s0 { stroke: var(--c0); } .chart .s1 { stroke: var(--c1); } .chart .s2 { stroke: var(--c2); } .chart .sm { stroke: var(--muted); }
.chart .f0 { fill: var(--c0); } .chart .f1 { fill: var(--c1); } .chart .f2 { fill: var(--c2); } .chart .fm { fill: var(--muted); }
.chart circle { stroke: var(--card); stroke-width: 1; }
"""


def variables(colors: dict[str, str]) -> str:
    """Colours as a style sheet's."""
    return " ".join(f"--{name}: {color};" for name, color in colors.items())


class _Plane:
    """Data coordinates to the chart's."""

    def __init__(self, height: int, xs: tuple[float, float], ys: Sequence[float], right: int) -> None:
        self.height, self.right, self.bottom = height, _WIDTH - right, height - _FOOT
        self.x0, self.x1 = xs if xs[1] > xs[0] else (xs[0] - 0.5, xs[0] + 0.5)
        known = [value for value in ys if math.isfinite(value)] or [0.0, 1.0]
        room = 0.06 * (max(known) - min(known)) or 0.05 * abs(known[0]) or 0.5
        self.y0, self.y1 = min(known) - room, max(known) + room
        if min(known) >= 0 > self.y0:
            self.y0 = 0.0 if min(known) > 0.02 * max(known) else -0.02 * (max(known) or 1.0)

    def x(self, value: float) -> float:
        return round(_LEFT + (value - self.x0) / (self.x1 - self.x0) * (self.right - _LEFT), 1)

    def y(self, value: float) -> float:
        return round(self.bottom - (value - self.y0) / (self.y1 - self.y0) * (self.bottom - _TOP), 1)

    def frame(self, x_label: str, y_label: str, x_whole: bool = True) -> list[str]:
        parts = []
        for value in ticks(self.y0, self.y1, 5):
            at = self.y(value)
            parts.append(f'<path class="grid" d="M{_LEFT} {at}H{self.right}"/>')
            parts.append(f'<text x="{_LEFT - 8}" y="{at + 4.5}" text-anchor="end">{shown(value)}</text>')
        parts.append(f'<path class="axis" d="M{_LEFT} {self.bottom}H{self.right}"/>')
        for value in ticks(self.x0, self.x1, 8):
            if not x_whole or value == round(value):
                at = self.x(value)
                parts.append(f'<path class="axis" d="M{at} {self.bottom}v4"/>')
                parts.append(f'<text x="{at}" y="{self.bottom + 18}" text-anchor="middle">{shown(value)}</text>')
        parts.append(f'<text x="{self.right}" y="{self.height - 4}" text-anchor="end">{escape(x_label)}</text>')
        parts.append(f'<text x="0" y="{self.height - 4}">{escape(y_label)}</text>')
        return parts


def evolution(figures: Figures, recommended: tuple[float, float, float]) -> str:
    """Scores against generations: candidates and references with their standard errors, leaders, and what is recommended.

    Parameters
    ----------
    figures : Figures
    recommended : tuple of float
        Response, and its 95 % interval.
    """
    rows = figures.generations
    highs = [part for row in rows for part in (row.best, row.candidates.value, row.references.value, row.leaders.value)]
    lows = [row.references.value - _size(row.references.sem) for row in rows] + [row.candidates.value for row in rows]
    plane = _Plane(340, (min((row.number for row in rows), default=0), max((row.number for row in rows), default=1)), [*highs, *lows], 128)
    drawn = plane.frame("generation", "response, drift corrected")
    response, low, high = recommended
    if math.isfinite(low) and math.isfinite(high):
        top, foot = plane.y(min(high, plane.y1)), plane.y(max(low, plane.y0))
        drawn.append(f'<rect class="band f2" x="{_LEFT}" y="{top}" width="{plane.right - _LEFT}" height="{max(foot - top, 1):.1f}"/>')
    ends: list[tuple[float, str, str]] = []
    if math.isfinite(response):
        drawn.append(f'<path class="line s2 dash" d="M{_LEFT} {plane.y(response)}H{plane.right}"/>')
        ends.append((plane.y(response), "c2", "recommended"))
    drawn += [f'<circle class="f0 faint" cx="{plane.x(row.number)}" cy="{plane.y(row.best)}" r="2.5"/>' for row in rows if _is(row.best)]
    drawn += [
        f'<circle class="f2" cx="{plane.x(row.number)}" cy="{plane.y(row.leaders.value)}" r="3"/>' for row in rows if _is(row.leaders.value)
    ]
    for color, name, pick in (("1", "references", lambda row: row.references), ("0", "candidates", lambda row: row.candidates)):
        made, end = _curve(plane, rows, pick, color)
        drawn += made
        if end is not None:
            ends.append((end, f"c{color}", name))
    drawn += _labels(plane, ends)
    says = f"Mean response of each of {len(rows)} generations' candidates and references; the recommended stimulus has {shown(response)}."
    return _svg(plane.height, says, drawn)


def gain(figures: Figures) -> str:
    """The units' gain against generations; empty where it was never estimated."""
    rows = [row for row in figures.generations if _is(row.gain)]
    if len(rows) < 2 or all(row.gain == 1 for row in rows):
        return ""
    plane = _Plane(170, (rows[0].number, rows[-1].number), [1.0, *(row.gain for row in rows)], 128)
    drawn = plane.frame("generation", "gain, 1 at the beginning")
    drawn.append(f'<path class="line sm dash" d="M{_LEFT} {plane.y(1.0)}H{plane.right}"/>')
    drawn.append(f'<path class="line s1" d="{_path(plane, [(row.number, row.gain) for row in rows])}"/>')
    says = f"Gain of the units, as references tell it, ends at {shown(rows[-1].gain)}."
    return _svg(plane.height, says, drawn)


def side_by_side(figures: Figures) -> str:
    """What was shown side by side at the end: each measurement a dot, with mean and standard error; empty before that."""
    groups = {name: values for name, values in figures.side_by_side.items() if values.size}
    if not groups:
        return ""
    plane = _Plane(260, (0, len(groups)), [0.0, *np.concatenate(list(groups.values())).tolist()], 20)
    drawn = [part for part in plane.frame("", "response, drift corrected") if 'text-anchor="middle"' not in part and "v4" not in part]
    for at, (name, values) in enumerate(groups.items()):
        color = {"recommended": "2", "references": "1"}.get(name, "0")
        middle, mean = at + 0.5, Mean.of(values)
        for value, across in zip(values.tolist(), _spread(values), strict=True):
            drawn.append(f'<circle class="f{color} faint" cx="{plane.x(middle) + across:.1f}" cy="{plane.y(value)}" r="4"/>')
        left, right, here = plane.x(middle) - 46, plane.x(middle) + 46, plane.y(mean.value)
        drawn.append(f'<path class="line s{color}" d="M{left} {here}H{right}"/>')
        if _is(mean.sem):
            drawn.append(
                f'<path class="line s{color}" d="M{plane.x(middle)} {plane.y(mean.value - mean.sem)}V{plane.y(mean.value + mean.sem)}"/>'
            )
        label = f"{name}, n = {mean.n}"
        drawn.append(f'<text class="c{color}" x="{plane.x(middle)}" y="{plane.bottom + 18}" text-anchor="middle">{escape(label)}</text>')
    says = "; ".join(f"{name}: mean {shown(Mean.of(values).value)} of {values.size}" for name, values in groups.items())
    return _svg(plane.height, f"Shown side by side at the end: {says}.", drawn)


def standalone(svg: str) -> str:
    """A chart as a file of its own, in light colours."""
    style = f"<style>svg {{ {variables(LIGHT)} background: {LIGHT['card']}; }}\n{RULES}</style>"
    head, rest = svg.replace('viewBox="0 0 ', 'viewBox="-12 -6 ').replace(f'"-12 -6 {_WIDTH} ', f'"-12 -6 {_WIDTH + 24} ').split(">", 1)
    for name, color in LIGHT.items():  # not every viewer knows variables
        style = style.replace(f"var(--{name})", color)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{head} xmlns="http://www.w3.org/2000/svg">{style}{rest}\n'


def ticks(low: float, high: float, most: int) -> list[float]:
    """At most about ``most`` round values between ``low`` and ``high``."""
    if not high > low:
        return [low]
    rough = (high - low) / most
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * size for factor in (1, 2, 2.5, 5, 10) if factor * size >= rough)
    return [round(step * at, 12) + 0.0 for at in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def _svg(height: int, says: str, parts: Sequence[str]) -> str:
    return f'<svg class="chart" viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(says)}">{"".join(parts)}</svg>'


def _curve(
    plane: _Plane, rows: Sequence[GenerationFigures], pick: Callable[[GenerationFigures], Mean], color: str
) -> tuple[list[str], float | None]:
    known = [(row.number, pick(row)) for row in rows if _is(pick(row).value)]
    if not known:
        return [], None
    upper = [(x, mean.value + _size(mean.sem)) for x, mean in known]
    lower = [(x, mean.value - _size(mean.sem)) for x, mean in reversed(known)]
    band = f'<path class="band f{color}" d="{_path(plane, [*upper, *lower])}Z"/>'
    line = f'<path class="line s{color}" d="{_path(plane, [(x, mean.value) for x, mean in known])}"/>'
    return [band, line], plane.y(known[-1][1].value)


def _path(plane: _Plane, points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{plane.x(x)} {plane.y(min(max(y, plane.y0), plane.y1))}" for x, y in points)


def _labels(plane: _Plane, ends: Sequence[tuple[float, str, str]]) -> list[str]:
    """Names at the lines' right ends, moved apart where they would touch."""
    placed: list[tuple[float, str, str]] = []
    for at, color, name in sorted(ends):
        placed.append((max(at, placed[-1][0] + 16 if placed else at), color, name))
    return [f'<text class="{color}" x="{plane.right + 10}" y="{at + 4.5:.1f}">{name}</text>' for at, color, name in placed]


def _spread(values: NDArray[np.float64], step: float = 8.0) -> list[float]:
    """Sideways places of dots of the same height, so that each is seen."""
    count: dict[float, int] = {}
    places = []
    for value in values.tolist():
        at = count[value] = count.get(value, -1) + 1
        places.append((at + 1) // 2 * step * (1 if at % 2 else -1))
    return places


def _is(value: float) -> bool:
    return math.isfinite(value)


def _size(value: float) -> float:
    return value if math.isfinite(value) else 0.0
