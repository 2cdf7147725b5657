"""Colours, dashes and fonts of every chart and picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_PALETTE = {
    "ink": ("#1d2126", "#eceff2"),
    "muted": ("#586069", "#a4adb6"),
    "line": ("#dfe3e7", "#363c43"),
    "card": ("#ffffff", "#1d2125"),
    # Okabe and Ito's (https://jfly.uni-koeln.de/color/), darker or lighter where white or black paper needs it.
    "c0": ("#0072b2", "#56b4e9"),
    "c1": ("#d55e00", "#f08a3c"),
    "c2": ("#008a66", "#2fc99b"),
    "c3": ("#b0508a", "#dd93bd"),
    "c4": ("#8a6d00", "#e3c23a"),
    "c5": ("#444a52", "#c3c9d0"),
}
LIGHT_COLORS = {name: light for name, (light, _) in _PALETTE.items()}
"""Colours on light paper, by their name in style sheets."""
DARK_COLORS = {name: dark for name, (_, dark) in _PALETTE.items()}
"""The same colours on dark paper."""
INK, MUTED, GRID, PAPER = LIGHT_COLORS["ink"], LIGHT_COLORS["muted"], LIGHT_COLORS["line"], LIGHT_COLORS["card"]

FONT = Path(__file__).with_name("fonts") / "DejaVuSans.ttf"
FONT_BOLD = FONT.with_name("DejaVuSans-Bold.ttf")

_COLORS = 6
LINE_COLORS = (*(f"c{number}" for number in range(_COLORS)), "muted")
"""Names of the colours of lines."""
_DASHES: list[tuple[float, ...]] = [(), (5, 1.6), (1.4, 1.4), (6, 1.6, 1.4, 1.6)]


@dataclass(frozen=True)
class LineStyle:
    """The look of a line.

    Attributes
    ----------
    name : str
        Key of its colour in ``LIGHT_COLORS`` and ``DARK_COLORS``; also its class in style sheets.
    dashes : tuple of float
        Lengths of dashes and gaps, in multiples of the line's width; empty for a solid line.
    """

    name: str
    dashes: tuple[float, ...] = ()

    @property
    def color(self) -> str:
        """The colour on light paper, ``#rrggbb``."""
        return LIGHT_COLORS[self.name]


LEVEL = LineStyle("muted", (3, 1.5))
"""Style of a value to compare with, such as the best natural response."""


def line_style(column: int) -> LineStyle:
    """Return the style of a table's ``column``: 24 different styles, repeated from the 25th column on."""
    return LineStyle(f"c{column % _COLORS}", _DASHES[(column + column // _COLORS) % len(_DASHES)])


def css_variables(colors: dict[str, str]) -> str:
    """Return ``LIGHT_COLORS`` or ``DARK_COLORS`` as declarations of CSS variables."""
    return " ".join(f"--{name}: {color};" for name, color in colors.items())
