"""The pictures of a folder that drive each unit the most, beside what was found for it."""

from __future__ import annotations

import math

from PIL import Image, ImageDraw

from ...charts.lettering import Fonts, write
from ...charts.style import GRID, INK, MUTED, PAPER
from ...charts.words import measured, shown, times
from ...models.spaces import StimulusSpec
from ..report.comparison import Comparison
from ..report.pictures import enlarged
from ..results.folder_images import FolderImage, FolderImages
from ..results.result import SearchResult

_TILE, _LARGEST = 128, 192
_MARGIN, _GAP, _CAPTION, _LABEL = 24, 14, 38, 170
MOST_ROWS = 40
"""Units on one sheet."""


def spec_of(image: FolderImage, spec: StimulusSpec) -> StimulusSpec:
    """What the target saw: like the stimuli, though maybe of another size."""
    return StimulusSpec(image.stimulus.shape, spec.low, spec.high)


def multiple_of_best(search: SearchResult, images: FolderImages) -> float | None:
    """The search's response ÷ that to the strongest picture, where both are above zero."""
    best = max((image.response for image in images.of.get(search.unit, [])), default=0.0)
    return search.response / best if best > 0 and math.isfinite(search.response) else None


def pages(comparison: Comparison) -> list[Comparison]:
    """The units of each sheet."""
    units = comparison.units
    return [comparison.of(units[start : start + MOST_ROWS]) for start in range(0, len(units), MOST_ROWS)]


def sheet(comparison: Comparison, images: FolderImages, spec: StimulusSpec) -> Image.Image:
    """A row a unit: what was found for it, the most by any optimizer, then the pictures that drive it the most, with responses."""
    fonts, small = Fonts.of(14), Fonts.of(12)
    rows = [(unit, next(iter(comparison.winners(unit)), None), images.of.get(unit, [])) for unit in comparison.units]
    across = 1 + max((len(found) for _, _, found in rows), default=0)
    found_tiles = {unit: _tile(enlarged(search.stimulus, spec, _TILE)) for unit, search, _ in rows if search is not None}
    tiles = {id(image): _tile(enlarged(image.stimulus, spec_of(image, spec), _TILE)) for _, _, found in rows for image in found}
    every = [*found_tiles.values(), *tiles.values()]
    cell = max(_TILE, *(tile.width for tile in every)) if every else _TILE
    high = max((tile.height for tile in every), default=_TILE)
    row, head = high + _CAPTION + _GAP, 34
    page = Image.new("RGB", (2 * _MARGIN + _LABEL + across * (cell + _GAP) + _GAP, 2 * _MARGIN + head + len(rows) * row), PAPER)
    draw = ImageDraw.Draw(page)
    left = _MARGIN + _LABEL
    write(draw, (left, _MARGIN), "found", fonts.bold, INK, cell)
    write(draw, (left + cell + 2 * _GAP, _MARGIN), "most activating pictures", fonts.bold, INK, (across - 1) * (cell + _GAP))
    for number, (unit, search, found) in enumerate(rows):
        top = _MARGIN + head + number * row
        draw.line([(_MARGIN, top - _GAP // 2), (page.width - _MARGIN, top - _GAP // 2)], GRID)
        write(draw, (_MARGIN, top + high // 2 - 8), unit, fonts.bold, INK, _LABEL - _GAP)
        write(draw, (_MARGIN, top + high // 2 + 10), comparison.name(unit), small.plain, MUTED, _LABEL - _GAP)
        if search is not None:
            page.paste(found_tiles[unit], (left, top))
            write(draw, (left, top + high + 5), measured(search.response, search.response_sem), small.bold, INK, cell)
            multiple = multiple_of_best(search, images)
            if multiple is not None:
                write(draw, (left, top + high + 21), f"{times(multiple)} best picture", small.plain, MUTED, cell)
        for column, image in enumerate(found):
            x = left + (column + 1) * (cell + _GAP) + _GAP
            page.paste(tiles[id(image)], (x, top))
            write(draw, (x, top + high + 5), shown(image.response), small.plain, INK, cell)
            write(draw, (x, top + high + 21), image.name, small.plain, MUTED, cell)
    return page


def _tile(picture: Image.Image) -> Image.Image:
    tile = picture.convert("RGB")
    tile.thumbnail((_LARGEST, _LARGEST))
    return tile
