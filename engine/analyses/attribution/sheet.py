"""One unit's attributions on a sheet: each stimulus, and below it the map over it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ....charts.chart import Axes, Chart
from ....charts.document import document, to_png
from ....charts.heat import overlaid, scale, strength
from ....charts.lettering import Fonts, write
from ....charts.pictures import data_uri, pixels, png
from ....charts.style import GRID, INK, MUTED, PAPER, line_style
from ....models.pictures.decoding import decode
from ....models.spaces import StimulusSpec
from ...report.pictures import factor

_TILE, _SERIES = 144, (216, 144)
_MARGIN, _GAP, _CAPTION, _HEAD, _FOOT = 16, 12, 40, 26, 18
MOST_COLUMNS = 6
MILLISECONDS = 200
"""Of a time step in a film."""


@dataclass(frozen=True)
class Panel:
    """A stimulus with its map.

    Attributes
    ----------
    stimulus : ndarray
        float32, of a stimulus's shape.
    values : ndarray
        The map, of the stimulus's shape without channels.
    title, caption : str
        Lines below it.
    """

    stimulus: NDArray[np.float32]
    values: NDArray[np.float32]
    title: str
    caption: str


def sheet(title: str, panels: Sequence[Panel], spec: StimulusSpec, *, signed: bool) -> Image.Image:
    """Return the panels from left to right, at most six in a row, with a title above and the colours' scale below."""
    fonts, small = Fonts.of(13), Fonts.of(11)
    tiles = [(plain(panel.stimulus, spec), overlay(panel.stimulus, panel.values, spec)) for panel in panels]
    wide, high = tiles[0][0].size
    columns = min(MOST_COLUMNS, len(panels))
    cell, row = max(wide, 120) + _GAP, 2 * high + 4 + _CAPTION + _GAP
    rows = -(-len(panels) // columns)
    page = Image.new("RGB", (max(2 * _MARGIN + columns * cell - _GAP, 340), 2 * _MARGIN + _HEAD + rows * row + _FOOT), PAPER)
    draw = ImageDraw.Draw(page)
    write(draw, (_MARGIN, _MARGIN - 2), title, fonts.bold, INK, page.width - 2 * _MARGIN)
    for number, (panel, (picture, heat)) in enumerate(zip(panels, tiles, strict=True)):
        left, top = _MARGIN + number % columns * cell, _MARGIN + _HEAD + number // columns * row
        page.paste(picture, (left, top))
        page.paste(heat, (left, top + high + 4))
        draw.rectangle((left, top + high + 4, left + wide - 1, top + 2 * high + 3), outline=GRID)
        write(draw, (left, top + 2 * high + 9), panel.title, fonts.bold, INK, cell - _GAP)
        write(draw, (left, top + 2 * high + 26), panel.caption, small.plain, MUTED, cell - _GAP)
    bar = Image.fromarray(scale(120, 10, signed=signed))
    top = page.height - _MARGIN - 14
    before = "lowers" if signed else "nothing"
    draw.text((_MARGIN, top), before, fill=MUTED, font=small.plain)
    left = _MARGIN + round(small.plain.getlength(before)) + 8
    page.paste(bar, (left, top + 2))
    draw.rectangle((left, top + 2, left + 119, top + 11), outline=GRID)
    draw.text((left + 128, top), "raises the response" if signed else "most", fill=MUTED, font=small.plain)
    return page


def film(stimulus: NDArray[np.float32], frames: NDArray[np.float32], spec: StimulusSpec) -> bytes:
    """Return maps of time steps, (steps, *space), as a GIF; all have the same scale of colours."""
    small, full = Fonts.of(11), float(np.abs(frames).max())
    pictures: list[Image.Image] = []
    for step, values in enumerate(frames):
        heat = overlay(stimulus, values, spec, full)
        page = Image.new("RGB", (heat.width, heat.height + 20), PAPER)
        page.paste(heat, (0, 0))
        ImageDraw.Draw(page).text((2, heat.height + 3), f"time step {step + 1}", fill=INK, font=small.plain)
        pictures.append(page.quantize(256, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE))
    buffer = io.BytesIO()
    pictures[0].save(buffer, "GIF", save_all=True, append_images=pictures[1:], duration=MILLISECONDS, loop=0, disposal=1)
    return buffer.getvalue()


def plain(stimulus: NDArray[np.float32], spec: StimulusSpec) -> Image.Image:
    """Return a stimulus as a tile."""
    if spec.modality == "series":
        return _series(stimulus, None, spec)
    return _tile(Image.fromarray(pixels(_shown(stimulus), spec.low, spec.high)).convert("RGB"))


def overlay(stimulus: NDArray[np.float32], values: NDArray[np.float32], spec: StimulusSpec, full: float = 0.0) -> Image.Image:
    """Return a map over its stimulus as a tile; colours are full at ``full``, or at the map's own 99th percentile where that is zero."""
    if spec.modality == "series":
        return _series(stimulus, strength(values, full), spec)
    grey = pixels(_shown(stimulus).mean(0, keepdims=True), spec.low, spec.high)
    return _tile(Image.fromarray(overlaid(grey, strength(values, full))))


def sheet_file(title: str, panels: Sequence[Panel], spec: StimulusSpec, *, signed: bool) -> bytes:
    """Return :func:`sheet` as a PNG file."""
    return png(sheet(title, panels, spec, signed=signed))


def _shown(stimulus: NDArray[np.float32]) -> NDArray[np.float32]:
    """Channels that a picture can have: one or three; the mean of any other number."""
    return stimulus if stimulus.shape[0] in (1, 3) else stimulus.mean(0, keepdims=True)


def _tile(picture: Image.Image) -> Image.Image:
    """Enlarged pixel by pixel, or made smaller, to fit a square."""
    times = factor(picture.size, _TILE)
    picture = picture.resize((picture.width * times, picture.height * times), Image.Resampling.NEAREST)
    picture.thumbnail((_TILE + 32, _TILE + 32))
    return picture


def _series(stimulus: NDArray[np.float32], values: NDArray[np.float64] | None, spec: StimulusSpec) -> Image.Image:
    """A series as lines over bands of colours."""
    chart = Chart(Axes(_SERIES, (0, stimulus.shape[1] - 1), (spec.low, spec.high)))
    if values is not None:
        bands = overlaid(np.full((1, len(values)), 255, np.uint8), values[None])
        chart.image(data_uri(png(Image.fromarray(bands))), (0, stimulus.shape[1] - 1), (spec.high, spec.low))
    for channel, line in enumerate(np.clip(np.asarray(stimulus, np.float64), spec.low, spec.high).tolist()):
        chart.line(list(enumerate(line)), line_style(channel if values is None else 5))
    return decode(to_png(document(_SERIES, [chart.body()]), 1.0)).image.convert("RGB")
