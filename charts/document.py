"""Charts as standalone files: SVG in light colours, and PNG drawn from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .chart import css_rules, path_element, text_element
from .lettering import Fonts
from .style import FONT, FONT_BOLD, LIGHT_COLORS, PAPER, LineStyle

_HANDLE, _PITCH, _SIZE = 28, 20, 12
"""Sizes of a legend in pixels: width of its lines, height of its rows, and size of its text."""


@dataclass(frozen=True)
class Key:
    """An entry of a legend: the text beside a line or a dot."""

    text: str
    style: LineStyle
    dot: bool = False


def document(size: tuple[int, int], bodies: Sequence[str]) -> str:
    """Return SVG elements as one file that every viewer shows in light colours.

    Parameters
    ----------
    size : tuple of int
        Width and height, in pixels.
    bodies : sequence of str
        SVG elements, as ``placed`` and ``legend`` return them.

    Returns
    -------
    str
        The file's text, with its style sheet inside.
    """
    width, height = size
    style = css_rules()
    for name, color in LIGHT_COLORS.items():  # not every viewer knows variables
        style = style.replace(f"var(--{name})", color)
    opened = f'<svg class="chart" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
    paper = f'<rect width="{width}" height="{height}" fill="{PAPER}"/>'
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{opened}<style>{style}</style>{paper}{"".join(bodies)}</svg>\n'


def to_png(svg: str, zoom: float = 1.0) -> bytes:
    """Return a ``document`` as a PNG file; the same bytes on every machine, since no system font is used.

    Parameters
    ----------
    svg : str
        The document.
    zoom : float
        Pixels of the file per pixel of the document.
    """
    import resvg_py  # the server's; a client that writes SVG alone does without

    fonts = [str(FONT), str(FONT_BOLD)]
    return resvg_py.svg_to_bytes(svg_string=svg, zoom=zoom, skip_system_fonts=True, font_files=fonts, sans_serif_family="DejaVu Sans")


def placed(body: str, left: float, top: float) -> str:
    """Return SVG elements moved by ``left`` and ``top`` pixels."""
    return f'<g transform="translate({left:g} {top:g})">{body}</g>'


def legend(keys: Sequence[Key], width: float) -> tuple[str, int]:
    """Return a legend as SVG elements, and its height in pixels.

    Parameters
    ----------
    keys : sequence of Key
        Its entries, in order.
    width : float
        Width of the legend in pixels; entries that don't fit start a new row.
    """
    font = Fonts.of(_SIZE).plain
    parts: list[str] = []
    left, row = 0.0, 0
    for key in keys:
        wide = _HANDLE + 8 + font.getlength(key.text)
        if left and left + wide > width:
            left, row = 0.0, row + 1
        middle = row * _PITCH + _PITCH / 2
        dot = f'<circle class="fill {key.style.name}" cx="{left + _HANDLE / 2:g}" cy="{middle:g}" r="4"/>'
        parts.append(dot if key.dot else path_element(f"M{left:g} {middle:g}h{_HANDLE}", key.style))
        parts.append(text_element(left + _HANDLE + 8, middle + 4, key.text, 'class="ink"'))
        left += wide + 20
    return "".join(parts), (row + 1) * _PITCH
