"""How lines are told apart, in every plot alike: by colour, and by dashes where colours are not seen."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import matplotlib

INK, MUTED, GRID, PAPER = "#1d2126", "#5f6770", "#e4e7ea", "#ffffff"

FONT = Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")
FONT_BOLD = FONT.with_name("DejaVuSans-Bold.ttf")


@dataclass(frozen=True)
class LineStyle:
    """One optimizer's line: ``number`` is its colour's in the style sheet, ``dashes`` in widths of the line."""

    number: int
    color: str
    dark_color: str
    dashes: tuple[float, ...]


# Okabe and Ito's palette (https://jfly.uni-koeln.de/color/), darker or lighter where white or black paper needs it.
_COLORS = [
    ("#0072b2", "#56b4e9"),
    ("#d55e00", "#f08a3c"),
    ("#008a66", "#2fc99b"),
    ("#b0508a", "#dd93bd"),
    ("#8a6d00", "#e3c23a"),
    ("#444a52", "#c3c9d0"),
]
_DASHES: list[tuple[float, ...]] = [(), (5, 1.6), (1.4, 1.4), (6, 1.6, 1.4, 1.6)]


def line_style(column: int) -> LineStyle:
    """The style of the table's ``column``; 24 different ones, then again from the first."""
    number = column % len(_COLORS)
    return LineStyle(number, *_COLORS[number], _DASHES[(column + column // len(_COLORS)) % len(_DASHES)])
