"""Pictures in rows, with words above, beside and below."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw

from actmax.charts.lettering import Fonts, write
from actmax.charts.style import INK, MUTED, PAPER
from actmax.engine.report.pictures import enlarged
from benchmarks.seeing.jobs import Found

_MARGIN, _GAP, _LINE = 12, 8, 14


@dataclass(frozen=True)
class Tile:
    """A picture and the lines below it; ``image`` None leaves its place empty."""

    image: Image.Image | None
    lines: tuple[str, ...] = ()


@dataclass(frozen=True)
class Row:
    """Pictures side by side, with ``lines`` to their left."""

    lines: tuple[str, ...]
    tiles: Sequence[Tile]


def tile(found: Found, side: int, *lines: str) -> Tile:
    """What was found, with its response, and its multiple of the best natural one where that is known, unless other ``lines`` are given."""
    words = lines or (f"{found.response:.3g}" + ("" if found.multiple is None else f" · {found.multiple:.1f}×"),)
    return Tile(enlarged(found.stimulus, found.spec, side).convert("RGB"), words)


def sheet(rows: Sequence[Row], path: Path, *, side: int = 96, heads: Sequence[str] = (), label: int = 104) -> None:
    """Write the rows below each other, a picture about ``side`` high, as a PNG of few colours.

    Parameters
    ----------
    heads : sequence of str
        Above the columns.
    label : int
        Pixels kept for the words to the left; 0 leaves them out.
    """
    fonts, small = Fonts.of(11), Fonts.of(10)
    columns = max(len(row.tiles) for row in rows)
    cell = max(tile.image.width for row in rows for tile in row.tiles if tile.image)
    head = 2 * _LINE if heads else 0
    heights = [max((tile.image.height if tile.image else 0) + _LINE * len(tile.lines) for tile in row.tiles) + _GAP for row in rows]
    canvas = Image.new("RGB", (2 * _MARGIN + label + columns * (cell + _GAP) - _GAP, 2 * _MARGIN + head + sum(heights) - _GAP), PAPER)
    draw = ImageDraw.Draw(canvas)
    for column, words in enumerate(heads):
        for line, text in enumerate(words.split("\n")):
            at = (_MARGIN + label + column * (cell + _GAP), _MARGIN + line * 13 - 3)
            write(draw, at, text, fonts.plain if line else fonts.bold, MUTED if line else INK, cell + _GAP - 2)
    top = _MARGIN + head
    for row, height in zip(rows, heights, strict=True):
        for line, text in enumerate(row.lines if label else ()):
            write(
                draw,
                (_MARGIN, top + side // 3 + line * _LINE),
                text,
                small.plain if line else fonts.bold,
                MUTED if line else INK,
                label - 4,
            )
        for column, one in enumerate(row.tiles):
            left = _MARGIN + label + column * (cell + _GAP)
            if one.image is not None:
                canvas.paste(one.image, (left, top))
            for line, text in enumerate(one.lines):
                y = top + (one.image.height if one.image else side) + 2 + line * _LINE
                write(draw, (left, y), text, small.plain, INK if not line else MUTED, cell + _GAP - 2)
        top += height
    path.parent.mkdir(parents=True, exist_ok=True)
    canvas.quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
