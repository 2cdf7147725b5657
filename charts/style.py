"""Colours, dashes and fonts of every chart and picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

# c0 to c5 are Okabe and Ito's palette (https://jfly.uni-koeln.de/color/), darker or lighter where white or black paper needs it.
LIGHT_COLORS = {
    "ink": "#1d2126",
    "muted": "#586069",
    "line": "#dfe3e7",
    "card": "#ffffff",
    "c0": "#0072b2",
    "c1": "#d55e00",
    "c2": "#008a66",
    "c3": "#b0508a",
    "c4": "#8a6d00",
    "c5": "#444a52",
}
"""Colours on light paper, by their name in style sheets."""
DARK_COLORS = {
    "ink": "#eceff2",
    "muted": "#a4adb6",
    "line": "#363c43",
    "card": "#1d2125",
    "c0": "#56b4e9",
    "c1": "#f08a3c",
    "c2": "#2fc99b",
    "c3": "#dd93bd",
    "c4": "#e3c23a",
    "c5": "#c3c9d0",
}
"""The same colours on dark paper."""
INK, MUTED, GRID, PAPER = LIGHT_COLORS["ink"], LIGHT_COLORS["muted"], LIGHT_COLORS["line"], LIGHT_COLORS["card"]

FONT = Path(__file__).with_name("fonts") / "DejaVuSans.ttf"
FONT_BOLD = FONT.with_name("DejaVuSans-Bold.ttf")

_COLORS = 6
LINE_COLORS = (*(f"c{number}" for number in range(_COLORS)), "muted")
"""Names of the colours that lines have."""
_DASHES: list[tuple[float, ...]] = [(), (5, 1.6), (1.4, 1.4), (6, 1.6, 1.4, 1.6)]


@dataclass(frozen=True)
class LineStyle:
    """The look of a line.

    Attributes
    ----------
    name : str
        Key of its colour in ``LIGHT_COLORS`` and ``DARK_COLORS``, and its class in style sheets.
    dashes : tuple of float
        Lengths of dashes and gaps, in widths of the line; empty for a solid line.
    """

    name: str
    dashes: tuple[float, ...] = ()

    @property
    def color(self) -> str:
        """The colour on light paper, ``#rrggbb``."""
        return LIGHT_COLORS[self.name]


LEVEL = LineStyle("muted", (3, 1.5))
"""A value to compare with, such as the best natural response."""


def line_style(column: int) -> LineStyle:
    """Return the style of a table's ``column``: 24 different ones, then the first again."""
    return LineStyle(f"c{column % _COLORS}", _DASHES[(column + column // _COLORS) % len(_DASHES)])


def css_variables(colors: dict[str, str]) -> str:
    """Return ``LIGHT_COLORS`` or ``DARK_COLORS`` as declarations of CSS variables."""
    return " ".join(f"--{name}: {color};" for name, color in colors.items())
