"""A search as a film: what it had found best, as evaluations went by."""

from __future__ import annotations

import io
import math

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ...models.spaces import StimulusSpec
from ..results.result import SearchResult
from .pictures import ENLARGED_TO, enlarged
from .style import FONT, FONT_BOLD, INK, MUTED, PAPER
from .video import mp4
from .words import count, measured, shortened, shown

MILLISECONDS = 100
"""Of a frame."""
LAST = 20
"""Frames' time for which the last is held."""
_NARROWEST = 224
_MARGIN, _CAPTION = 8, 54


def film(search: SearchResult, spec: StimulusSpec, kind: str) -> bytes:
    """``search.film``, and at its end what was found, as a "gif" or "mp4"; it has at least one frame."""
    frames = film_frames(search, spec)
    if kind == "mp4":
        return mp4((np.asarray(frame) for frame in [*frames, *frames[-1:] * (LAST - 1)]), 1000 // MILLISECONDS)
    buffer = io.BytesIO()
    durations = [MILLISECONDS] * (len(frames) - 1) + [LAST * MILLISECONDS]
    palettes = [frame.quantize(256, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE) for frame in frames]
    palettes[0].save(buffer, "GIF", save_all=True, append_images=palettes[1:], duration=durations, loop=0, disposal=1)
    return buffer.getvalue()


def film_frames(search: SearchResult, spec: StimulusSpec) -> list[Image.Image]:
    """The pictures, all of one size, captioned with evaluations and the response, or the score where the search went by another."""
    what = "response" if search.score is None else "score"
    frames = [
        _frame(moment.stimulus, spec, search, count(moment.evaluations, "evaluation"), f"best {what} {shown(moment.score)}")
        for moment in search.film
    ]
    response = f"response {measured(search.response, search.response_sem)}" if math.isfinite(search.response) else "not measured"
    return [*frames, _frame(search.stimulus, spec, search, f"found after {count(search.evaluations, 'evaluation')}", response)]


def _frame(stimulus: np.ndarray, spec: StimulusSpec, search: SearchResult, when: str, how: str) -> Image.Image:
    picture = enlarged(stimulus, spec, ENLARGED_TO).convert("RGB")
    width = max(picture.width, _NARROWEST)
    frame = Image.new("RGB", (width + 2 * _MARGIN, picture.height + 2 * _MARGIN + _CAPTION), PAPER)
    frame.paste(picture, ((frame.width - picture.width) // 2, _MARGIN))
    draw = ImageDraw.Draw(frame)
    top = picture.height + _MARGIN + 4
    texts = [(f"{search.unit} {search.unit_name}".strip(), FONT_BOLD, INK), (when, FONT, MUTED), (how, FONT, INK)]
    for line, (text, font, color) in enumerate(texts):
        draw.text((_MARGIN, top + 17 * line), shortened(text, 36), fill=color, font=ImageFont.truetype(str(font), 12))
    return frame
