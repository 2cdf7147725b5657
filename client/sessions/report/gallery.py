"""Pictures of a session: thumbnails for its page, and one sheet."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ....charts.lettering import Fonts, write
from ....charts.pictures import pixels
from ....charts.style import INK, LIGHT_COLORS, MUTED, PAPER, line_style

_SIDE, _GAP, _TEXT, _MARGIN = 128, 14, 20, 28


@dataclass(frozen=True)
class Cell:
    """A stimulus and what is written below it; ``strong`` sets the first line off."""

    stimulus: NDArray[Any]
    lines: Sequence[str]
    strong: bool = False


def picture(stimulus: NDArray[Any], low: float, high: float) -> Image.Image:
    """A stimulus as a picture: of 1 or 3 channels as it is, other channels in a table of grey ones, a series as its lines.

    Parameters
    ----------
    stimulus : ndarray
        (channels, height, width) or (channels, time), in [low, high].
    low, high : float
        Value range.
    """
    return _series(stimulus, low, high) if stimulus.ndim == 2 else Image.fromarray(pixels(stimulus, low, high))


def sheet(title: str, groups: Mapping[str, Sequence[Cell]], low: float, high: float, columns: int = 6) -> Image.Image:
    """All groups of stimuli, one below the other, each with its name above and words below its pictures."""
    used = {name: cells for name, cells in groups.items() if cells}
    lines = max((len(cell.lines) for cells in used.values() for cell in cells), default=0)
    cell_height = _SIDE + 8 + lines * _TEXT + _GAP
    columns = min(columns, max((len(cells) for cells in used.values()), default=1))
    width = max(2 * _MARGIN + columns * (_SIDE + _GAP) - _GAP, 560)
    height = 2 * _MARGIN + 36 + sum(40 + math.ceil(len(cells) / columns) * cell_height for cells in used.values())
    image = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(image)
    heading, plain, small = (Fonts.of(size).plain for size in (20, 15, 12))
    write(draw, (_MARGIN, _MARGIN - 6), title, heading, INK, width - 2 * _MARGIN)
    down = _MARGIN + 36
    for name, cells in used.items():
        write(draw, (_MARGIN, down + 6), name, plain, INK, width - 2 * _MARGIN)
        down += 40
        for at, cell in enumerate(cells):
            x = _MARGIN + at % columns * (_SIDE + _GAP)
            y = down + at // columns * cell_height
            made = picture(cell.stimulus, low, high).convert("RGB")
            scale = min(_SIDE / made.width, _SIDE / made.height)
            size = (max(round(made.width * scale), 1), max(round(made.height * scale), 1))
            image.paste(made.resize(size, Image.Resampling.NEAREST if scale > 1 else Image.Resampling.LANCZOS), (x, y))
            if cell.strong:
                draw.rectangle((x - 3, y - 3, x + size[0] + 2, y + size[1] + 2), outline=LIGHT_COLORS["c2"], width=2)
            for line, text in enumerate(cell.lines):
                write(draw, (x, y + _SIDE + 6 + line * _TEXT), text, small, INK if line == 0 else MUTED, _SIDE + _GAP - 4)
        down += math.ceil(len(cells) / columns) * cell_height
    return image


def _series(stimulus: NDArray[Any], low: float, high: float) -> Image.Image:
    scaled = ((np.asarray(stimulus, np.float64) - low) / (high - low)).clip(0, 1)
    wide, tall, fine = 256, 128, 3
    image = Image.new("RGB", (wide * fine, tall * fine), PAPER)
    draw = ImageDraw.Draw(image)
    across = np.linspace(4, wide - 4, scaled.shape[1]) * fine
    for channel, values in enumerate(scaled):
        up = (tall - 6 - values * (tall - 12)) * fine
        draw.line(list(zip(across.tolist(), up.tolist(), strict=True)), line_style(channel).color, width=2 * fine, joint="curve")
    return image.resize((wide, tall), Image.Resampling.LANCZOS)
