"""A search as a film: what it had found best, as evaluations went by."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from functools import partial
from typing import Annotated, Literal

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from pydantic import BaseModel, ConfigDict, Field

from ...charts.style import FONT, FONT_BOLD, INK, MUTED, PAPER
from ...charts.words import count, measured, shortened, shown
from ...models.spaces import StimulusSpec
from ...models.targets.target import Target
from ..report.pictures import ENLARGED_TO, enlarged
from ..results.result import SearchResult
from ..results.section import Figure, Layout, Section
from ..search.recorder import SearchPlan
from .analysis import AnalysisContext
from .film_recorder import Film, room
from .video import check_encoder, mp4

MILLISECONDS = 100
"""Of a frame."""
LAST = 20
"""Frames' time for which the last is held."""
_NARROWEST = 224
_MARGIN, _CAPTION = 8, 54


class FilmAnalysis:
    """What each search had found best on the way, as a film."""

    class Options(BaseModel):
        """Options of the analysis."""

        model_config = ConfigDict(extra="forbid")
        format: Annotated[Literal["none", "gif", "mp4"], Field(description="MP4 needs actmax[video]; 'none' makes no film.")] = "gif"

    name = "film"
    needs: tuple[type, ...] = ()
    instant = True

    def __init__(self, format: str = "gif") -> None:
        self.format = format

    @classmethod
    def from_options(cls, options: Options) -> FilmAnalysis:
        """Made by a job."""
        return cls(options.format)

    def check(self, target: Target) -> None:
        """Refuse a format without an encoder."""
        check_encoder(self.format, "format")

    def recorder(self, plan: SearchPlan) -> Film | None:
        """Keeps frames of the search; of many searches with large stimuli the last have none."""
        if self.format == "none":
            return None
        filmed, moments = room(plan.searches, max(plan.latent.size, math.prod(plan.stimulus.shape)))
        return Film(plan.evaluations, moments) if plan.number < filmed else None

    def empty(self, context: AnalysisContext) -> Sequence[Section]:
        """Return no film."""
        return [Section("Films", layout=Layout(search_files={"film": self._file}))]

    @property
    def _file(self) -> str:
        return f"film/{{search}}.{self.format}"

    def run(self, context: AnalysisContext) -> Sequence[Section]:
        """Return a film of each search that has one."""
        spec = context.generator.stimulus
        figures = [
            Figure(
                "film",
                f"What {search.optimizer} had found best for {search.unit}, from its first evaluation to its last",
                partial(film, search, spec, self.format),
                media_type="video/mp4" if self.format == "mp4" else "image/gif",
                unit=search.unit,
                optimizer=search.optimizer,
                place="link",
                file=self._file,
            )
            for search in context.searches
            if search.film
        ]
        if not figures:
            return self.empty(context)
        note = "The films, beside this file, show what had been found best as evaluations went by."
        return [Section("Films", (note,), figures=figures, files="film the films", layout=Layout(search_files={"film": self._file}))]


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
