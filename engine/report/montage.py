"""All found stimuli on one sheet."""

from __future__ import annotations

import math

from PIL import Image, ImageDraw

from ...charts.lettering import Fonts, write
from ...charts.style import GRID, INK, MUTED, PAPER
from ...charts.words import count, shortened, shown, times
from ...models.spaces import StimulusSpec
from ..results.reference import REFERENCE
from ..results.result import SearchResult
from .comparison import Comparison, reference_multiple, reference_response
from .pictures import enlarged

MOST_CELLS = 120
"""Most stimuli on one sheet; further units are on further sheets."""
MOST_SHEETS = 100
_TILE, _LARGEST_TILE, _NARROWEST = 128, 256, 144
_MARGIN, _GAP, _CAPTION = 24, 14, 38
_FEW = 24
"""Most pictures on a sheet for which large pictures keep their size."""


def sheets(comparison: Comparison) -> tuple[list[Comparison], int]:
    """Return the units in parts of about equal size that fit on a sheet each, and the number of units left out."""
    most = max(1, MOST_CELLS // len(comparison.optimizers))
    units = comparison.units[: most * MOST_SHEETS]
    pages = math.ceil(len(units) / most)
    size = math.ceil(len(units) / max(1, pages))
    return [comparison.of(units[start : start + size]) for start in range(0, len(units), size or 1)], len(comparison.units) - len(units)


def montage(comparison: Comparison, spec: StimulusSpec, left_out: int = 0) -> Image.Image:
    """Return a sheet of stimuli: a row for each unit, a column for each optimizer, response and multiple of the reference below.

    The highest response of a unit is bold. Many rows are set in several blocks beside each other, so that the sheet is
    about as wide as high. With a single optimizer the units run from left to right instead.

    Parameters
    ----------
    comparison : Comparison
        The searches.
    spec : StimulusSpec
        Shape, range and modality of the stimuli.
    left_out : int
        Number of further units, which the sheet mentions.
    """
    fonts, small = Fonts.of(14), Fonts.of(12)
    largest = _LARGEST_TILE if len(comparison.searches) <= _FEW else _TILE
    tiles = {id(search): _tile(search, spec, largest) for search in comparison.searches}
    cell = max(_NARROWEST, *(tile.width for tile in tiles.values()))
    tile_height = max(tile.height for tile in tiles.values())
    single = len(comparison.optimizers) == 1
    label = 0 if single else min(260, math.ceil(max(fonts.bold.getlength(shortened(unit, 30)) for unit in comparison.units)) + _GAP)
    block = label + len(comparison.optimizers) * (cell + _GAP)
    row = tile_height + _CAPTION + _GAP + (20 if single else 0)
    blocks = _blocks(len(comparison.units), block, row)
    rows = math.ceil(len(comparison.units) / blocks)
    head, foot = (34 if single else 30), (26 if left_out else 0)
    width = 2 * _MARGIN + blocks * block - _GAP + (blocks - 1) * (0 if single else _MARGIN)
    sheet = Image.new("RGB", (max(width, 300), 2 * _MARGIN + head + rows * row - _GAP + foot), PAPER)
    draw = ImageDraw.Draw(sheet)
    if single:
        write(draw, (_MARGIN, _MARGIN), f"found by {comparison.optimizers[0]}", fonts.bold, INK, width - 2 * _MARGIN)
    for number, unit in enumerate(comparison.units):
        # A table is read down each block, a run of pictures from left to right.
        across, down = (number % blocks, number // blocks) if single else divmod(number, rows)
        left = _MARGIN + across * (block + (0 if single else _MARGIN))
        top = _MARGIN + head + down * row
        if not single and down == 0:
            for column, optimizer in enumerate(comparison.optimizers):
                write(draw, (left + label + column * (cell + _GAP), _MARGIN), optimizer, fonts.bold, INK, cell)
        if single:
            write(draw, (left, top), f"{unit} {comparison.name(unit)}".strip(), small.bold, INK, cell)
            top += 20
        else:
            draw.line([(left, top - _GAP // 2), (left + block - _GAP, top - _GAP // 2)], GRID)
            write(draw, (left, top + tile_height // 2 - 8), unit, fonts.bold, INK, label - _GAP)
            write(draw, (left, top + tile_height // 2 + 10), comparison.name(unit), small.plain, MUTED, label - _GAP)
        best = comparison.winners(unit)
        for column, optimizer in enumerate(comparison.optimizers):
            x = left + label + column * (cell + _GAP)
            search = comparison.at(unit, optimizer)
            if search is None:
                write(draw, (x, top + tile_height // 2 - 8), "not searched", small.plain, MUTED, cell)
                continue
            sheet.paste(tiles[id(search)], (x, top))
            response, relation = _captions(search)
            wins = not single and search in best
            write(draw, (x, top + tile_height + 5), response, small.bold if wins else small.plain, INK, cell)
            write(draw, (x, top + tile_height + 21), relation, small.bold if wins else small.plain, INK if wins else MUTED, cell)
    if left_out:
        write(draw, (_MARGIN, sheet.height - _MARGIN - 14), f"{count(left_out, 'further unit')} not shown", small.plain, MUTED, width)
    return sheet


def _captions(search: SearchResult) -> tuple[str, str]:
    response = search.measured if math.isfinite(search.response) else "not measured"
    multiple = reference_multiple(search)
    if multiple is not None:
        return response, f"{times(multiple)} {REFERENCE.best}"
    best = reference_response(search)
    return response, "" if best is None else f"{REFERENCE.kind} {shown(best)}"


def _tile(search: SearchResult, spec: StimulusSpec, largest: int) -> Image.Image:
    tile = enlarged(search.stimulus, spec, _TILE).convert("RGB")
    tile.thumbnail((largest, largest))
    return tile


def _blocks(units: int, block: int, row: int) -> int:
    """Return the number of blocks beside each other that makes the sheet's shape nearest to 4 : 3."""
    return min(range(1, units + 1), key=lambda blocks: abs(math.log(blocks * block * 3 / (math.ceil(units / blocks) * row * 4))))
