"""Charts as SVG, in the colours of the page that holds them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from .style import DARK_COLORS, LEVEL, LIGHT_COLORS, LINE_COLORS, LineStyle, css_variables
from .words import printable, tick

_PAGE = Path(__file__).with_name("page.css")
_LEFT, _TOP, _TOP_LABELLED, _FOOT = 48, 12, 26, 38
_STROKE = 2
"""Width of a line."""
_TICK_WIDTH, _TICK_HEIGHT = 60, 34
"""About how far ticks are apart, in pixels."""
_SMALLEST_STEP = 0.3
"""Change of height below which a step is not drawn."""
_NAME_PITCH = 16
"""Least distance of two names beside each other's lines."""

_RULES = {
    ".chart": "display: block; width: 100%; height: auto; overflow: visible; font-family: system-ui, sans-serif;",
    ".chart text": "font-size: 12px; fill: var(--muted); font-variant-numeric: tabular-nums;",
    ".chart text.ink": "fill: var(--ink);",
    ".chart .strong": "font-weight: bold;",
    ".chart .grid": "fill: none; stroke: var(--line);",
    ".chart .axis": "fill: none; stroke: var(--muted);",
    ".line": f"fill: none; stroke-width: {_STROKE}; stroke-linejoin: round;",
    ".chart .dot": "stroke: var(--card);",
    ".chart .band": "opacity: .2;",
    ".chart .faint": "opacity: .45;",
    **{
        selector: declaration
        for name in LINE_COLORS
        for selector, declaration in (
            (f".line.{name}", f"stroke: var(--{name});{' stroke-width: 1.5;' if name == 'muted' else ''}"),
            (f".fill.{name}", f"fill: var(--{name});"),
            (f".chart text.{name}", f"fill: var(--{name});"),
        )
    },
}


def css_rules(scope: str = "") -> str:
    """Return the style sheet of charts and swatches; its colours are the variables that ``css_variables`` declares.

    Parameters
    ----------
    scope : str
        A selector that limits the rules to what lies within it.
    """
    return "\n".join(f"{scope} {selector} {{ {declarations} }}".strip() for selector, declarations in _RULES.items())


def page_css() -> str:
    """Return the style sheet that the reports of jobs and of sessions share: light and dark colours, text, and charts."""
    light, dark = css_variables(LIGHT_COLORS), css_variables(DARK_COLORS)
    return f"""\
:root {{ color-scheme: light dark; --page: #f6f7f8; {light} }}
@media (prefers-color-scheme: dark) {{ :root {{ --page: #14171a; {dark} }} }}
@media print {{ :root {{ color-scheme: light; --page: #fff; {light} --ink: #000; --muted: #444; --line: #ccc; }} }}
{_PAGE.read_text(encoding="utf-8")}{css_rules()}
"""


@dataclass(frozen=True)
class Axes:
    """The size, ranges and labels that a chart is laid out by.

    Attributes
    ----------
    size : tuple of int
        Width and height, in pixels at zoom 1.
    x : tuple of float
        First and last value of the horizontal axis.
    y : sequence of float
        Values that the vertical axis covers; infinities and NaN are ignored.
    x_label, y_label : str
        Names of the axes.
    places : bool
        Whether ``name_place`` labels the horizontal axis; else it has ticks, at whole numbers.
    right : int
        Room to the right of the horizontal axis, in pixels.
    downwards : bool
        Whether the vertical axis begins at the top.
    """

    size: tuple[int, int]
    x: tuple[float, float]
    y: Sequence[float]
    x_label: str = ""
    y_label: str = ""
    places: bool = False
    right: int = 10
    downwards: bool = False


class Chart:
    """A chart over one pair of axes; a mark covers the marks that are added before it.

    Parameters
    ----------
    axes : Axes
        Size, ranges and labels.
    says : str
        Description of the chart for screen readers.
    """

    def __init__(self, axes: Axes, says: str = "") -> None:
        self.axes, self.says = axes, says
        self.left, self.right = _LEFT, axes.size[0] - axes.right
        self.top, self.bottom = _TOP_LABELLED if axes.y_label else _TOP, axes.size[1] - _FOOT
        first, last = axes.x
        self._x = (first, last) if last > first else (first - 0.5, first + 0.5)
        self._y = _padded([value for value in axes.y if math.isfinite(value)] or [0.0, 1.0])
        self._parts: list[str] = []
        self._names: list[tuple[float, str, str]] = []
        self._draw_axes()

    @property
    def ends(self) -> tuple[float, float]:
        """First and last value of the horizontal axis."""
        return self._x

    def x(self, value: float) -> float:
        """Return the position of a value of the horizontal axis, in pixels from the left."""
        first, last = self._x
        return round(self.left + (value - first) / (last - first) * (self.right - self.left), 1)

    def y(self, value: float) -> float:
        """Return the position of a value of the vertical axis, in pixels from the top, clamped to the axis."""
        low, high = self._y
        share = (min(max(value, low), high) - low) / (high - low)
        return round(self.bottom - (1 - share if self.axes.downwards else share) * (self.bottom - self.top), 1)

    def line(self, points: Sequence[tuple[float, float]], style: LineStyle) -> None:
        """Add a line through ``points``."""
        self._line("M" + "L".join(f"{self.x(x)} {self.y(y)}" for x, y in points), style)

    def steps(self, points: Sequence[tuple[float, float]], style: LineStyle) -> None:
        """Add a line that keeps each value until the next; steps of less than 0.3 pixels are left out."""
        if not points:
            return
        here = self.y(points[0][1])
        path = [f"M{self.x(points[0][0])} {here}"]
        for x, y in points[1:]:
            there = self.y(y)
            if abs(there - here) >= _SMALLEST_STEP:
                path.append(f"H{self.x(x)}V{there}")
                here = there
        self._line("".join([*path, f"H{self.x(points[-1][0])}"]), style)

    def level(self, value: float, style: LineStyle = LEVEL) -> None:
        """Add a horizontal line over the whole width."""
        self._line(f"M{self.left} {self.y(value)}H{self.right}", style)

    def band(self, points: Sequence[tuple[float, float, float]], color: str) -> None:
        """Add an area between two curves.

        Parameters
        ----------
        points : sequence of (x, low, high)
            Both curves, in values of the axes.
        color : str
            Name of a colour, one of :data:`actmax.charts.style.LINE_COLORS`.
        """
        edge = [(x, low) for x, low, _ in points] + [(x, high) for x, _, high in reversed(points)]
        self._parts.append(f'<path class="band fill {color}" d="M{"L".join(f"{self.x(x)} {self.y(y)}" for x, y in edge)}Z"/>')

    def dot(self, x: float, y: float, color: str, radius: float = 4, *, shift: float = 0, faint: bool = False) -> None:
        """Add a dot.

        Parameters
        ----------
        x, y : float
            Its centre, in values of the axes.
        color : str
            Name of a colour, one of :data:`actmax.charts.style.LINE_COLORS`.
        radius : float
            In pixels.
        shift : float
            Pixels that the dot lies to the right of ``x``.
        faint : bool
            Whether the dot is half transparent.
        """
        at = f'cx="{self.x(x) + shift:g}" cy="{self.y(y)}" r="{radius:g}"'
        self._parts.append(f'<circle class="dot fill {color}{" faint" if faint else ""}" {at}/>')

    def cross(self, x: float, y: float, error: float, color: str, width: float = 46) -> None:
        """Add a horizontal line with a vertical error bar.

        Parameters
        ----------
        x, y : float
            Centre of the line, in values of the axes.
        error : float
            Length of the bar to either side of ``y``; a NaN or infinite error leaves the bar out.
        color : str
            Name of a colour, one of :data:`actmax.charts.style.LINE_COLORS`.
        width : float
            Half the length of the horizontal line, in pixels.
        """
        middle, here = self.x(x), self.y(y)
        upright = f"M{middle} {self.y(y - error)}V{self.y(y + error)}" if math.isfinite(error) else ""
        self._line(f"M{middle - width:g} {here}H{middle + width:g}{upright}", LineStyle(color))

    def name_line(self, y: float, text: str, color: str) -> None:
        """Write a line's name to the right of the axes at the height ``y``; names that would overlap are moved apart."""
        self._names.append((self.y(y), text, color))

    def name_place(self, x: float, text: str, color: str) -> None:
        """Write a label below the horizontal axis at ``x``."""
        self._parts.append(text_element(self.x(x), self.bottom + 18, text, f'class="{color}" text-anchor="middle"'))

    def image(self, uri: str, x: tuple[float, float], y: tuple[float, float]) -> None:
        """Add a picture, whose pixels are drawn as rectangles.

        Parameters
        ----------
        uri : str
            The picture as a data URI.
        x : tuple of float
            Its left and right edges, in values of the axis.
        y : tuple of float
            Its top and bottom edges, in values of the axis.
        """
        left, top = self.x(x[0]), self.y(y[0])
        place = f'x="{left}" y="{top}" width="{self.x(x[1]) - left:g}" height="{self.y(y[1]) - top:g}"'
        self._parts.append(f'<image {place} preserveAspectRatio="none" image-rendering="optimizeSpeed" href="{uri}"/>')

    def body(self) -> str:
        """Return the marks as SVG elements, without an ``svg`` around them."""
        names, lowest = [], -math.inf
        for at, text, color in sorted(self._names):
            lowest = max(at, lowest + _NAME_PITCH)
            names.append(text_element(self.right + 10, lowest + 4.5, text, f'class="{color}"'))
        return "".join([*self._parts, *names])

    def __html__(self) -> str:
        """Return ``svg()``, which templates insert without escaping."""
        return self.svg()

    def svg(self) -> str:
        """Return the chart as an ``svg`` element for a page that has ``css_rules``."""
        width, height = self.axes.size
        return f'<svg class="chart" viewBox="0 0 {width} {height}" role="img" aria-label="{_escaped(self.says)}">{self.body()}</svg>'

    def _line(self, path: str, style: LineStyle) -> None:
        self._parts.append(path_element(path, style))

    def _draw_axes(self) -> None:
        ups = ticks(*self._y, (self.bottom - self.top) // _TICK_HEIGHT)
        acrosses = [] if self.axes.places else ticks(*self._x, (self.right - self.left) // _TICK_WIDTH)
        acrosses = [value for value in acrosses if value == round(value)]
        for value, text in zip(ups, _tick_texts(ups), strict=True):
            at = self.y(value)
            self._parts.append(f'<path class="grid" d="M{self.left} {at}H{self.right}"/>')
            self._parts.append(text_element(self.left - 6, at + 4, text, 'text-anchor="end"'))
        self._parts.append(f'<path class="axis" d="M{self.left} {self.bottom}H{self.right}"/>')
        for value, text in zip(acrosses, _tick_texts(acrosses), strict=True):
            at = self.x(value)
            anchor = "end" if self.axes.size[0] - at < 18 else "middle"
            self._parts.append(f'<path class="axis" d="M{at} {self.bottom}v4"/>')
            self._parts.append(text_element(at, self.bottom + 16, text, f'text-anchor="{anchor}"'))
        if self.axes.x_label:
            self._parts.append(text_element(self.right, self.axes.size[1] - 4, self.axes.x_label, 'text-anchor="end"'))
        if self.axes.y_label:
            self._parts.append(text_element(0, 11, self.axes.y_label))


def swatch(style: LineStyle) -> str:
    """Return a piece of a line as an ``svg`` element, for legends and tables of a page that has ``css_rules``."""
    return f'<svg class="swatch" viewBox="0 0 28 10" width="28" height="10" aria-hidden="true">{path_element("M1 5H27", style)}</svg>'


def ticks(low: float, high: float, most: int) -> list[float]:
    """Return about ``most`` round values between ``low`` and ``high``, both included; ``low`` alone where ``high`` is not above it."""
    if not high > low:
        return [low]
    rough = (high - low) / max(most, 1)
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * size for factor in (1, 2, 2.5, 5, 10) if factor * size >= rough)
    whole = range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)
    return [min(max(step * at, low), high) + 0.0 for at in whole]


def _tick_texts(values: Sequence[float]) -> list[str]:
    """Return the labels of ticks at ``values``; more digits where neighbours would read the same."""
    texts = [tick(value) for value in values]
    return texts if len(set(texts)) == len(texts) else [f"{value:.12g}".replace("-", "−") for value in values]


def _padded(values: Sequence[float]) -> tuple[float, float]:
    """Return the range of ``values`` with a margin of 5 % at both ends; the margin doesn't reach below zero where no value does."""
    low, high = min(values), max(values)
    room = 0.05 * (high - low) or 0.05 * abs(high) or 0.5
    if 0 <= low < room:
        return (0.0 if low > 0.02 * high else -0.02 * (high or 1.0)), high + room
    return low - room, high + room


def path_element(path: str, style: LineStyle) -> str:
    """Return an SVG path, given by its commands, as an element."""
    dashes = " ".join(f"{_STROKE * dash:g}" for dash in style.dashes)
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    return f'<path class="line {style.name}" d="{path}"{dashed}/>'


def text_element(x: float, y: float, text: str, attributes: str = "") -> str:
    """Return a text as an SVG element, escaped; ``x`` is its left end, or the anchor in ``attributes``, ``y`` its base line, in pixels."""
    return f'<text x="{x:g}" y="{y:g}" {attributes}>{_escaped(text)}</text>'


def _escaped(text: str) -> str:
    return escape(printable(text))
