"""Which pictures of a folder drive a job's units the most."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from ...charts.pictures import png
from ...charts.words import count, shown
from ...models.options import InvalidOption
from ...models.permissions import permitted_model
from ...models.pictures.folder import FolderReading, shown_name
from ...models.spaces import StimulusSpec
from ...models.targets.target import Target
from ..report.comparison import Comparison
from ..results.folder_images import FolderImage, FolderImages
from ..results.section import Figure, Layout, Section, StimulusPicture
from .analysis import AnalysisContext
from .image_sheets import pages, sheet, spec_of
from .image_stream import ImageStream

MOST_IMAGES = 50_000
"""Of a folder; those beyond, by name, are left out."""
_TITLE = "Most activating pictures"


class MostActivating:
    """The pictures of a folder that drive each unit the most, beside what was found for it."""

    class Options(BaseModel):
        """Options of the analysis."""

        model_config = ConfigDict(extra="forbid")
        images: Annotated[
            str,
            Field(min_length=1, max_length=4096, description="A folder of pictures, where the job runs."),
            AfterValidator(permitted_model),
        ]
        top: Annotated[int, Field(ge=1, le=50, description="How many pictures to show for each unit.")] = 5

    needs: tuple[type, ...] = ()

    def __init__(self, images: str, top: int = 5) -> None:
        self.folder, self.top = images, top

    @classmethod
    def from_options(cls, options: Options) -> MostActivating:
        """Made by a job."""
        return cls(options.images, options.top)

    def check(self, target: Target) -> None:
        """Refuse a folder in which no picture can be, or whose pictures the target can't be shown."""
        if not self.folder:
            return
        if target.stimulus.modality != "image":
            raise InvalidOption("images", "the target takes series; there are no pictures to show it")
        ImageStream(self.folder, target.stimulus, "images", MOST_IMAGES).require_usable("images")

    def empty(self, context: AnalysisContext) -> Sequence[Section]:
        """Return no pictures."""
        return [Section(_TITLE, layout=Layout(job={"images": None}, sheets="images"))]

    def run(self, context: AnalysisContext) -> Sequence[Section]:
        """Show the target every picture once, without transformations, and return the strongest of each unit."""
        if not self.folder:
            return self.empty(context)
        images = self.found(context)
        comparison, spec = Comparison(context.searches), context.generator.stimulus
        sheets = [
            Figure(
                "What was found beside pictures of the folder",
                "Each unit's found stimulus and the pictures that drive it the most",
                lambda units=units: png(sheet(units, images, spec)),
                place="file",
                file=f"images-{number + 1}.png" if number else "images.png",
            )
            for number, units in enumerate(pages(comparison))
        ]
        note = f"Below, the pictures that drive the unit the most, each with the unit's response: {_says(images)}."
        return [
            Section(
                _TITLE,
                (note,),
                rows=[
                    {"unit": unit, "rank": rank, "picture": image.name, "response": image.response}
                    for unit, found in images.of.items()
                    for rank, image in enumerate(found, 1)
                ],
                figures=[*_figures(images, spec), *sheets],
                value=images,
                files="images.png those of the folder",
                layout=Layout(job={"images": _json(images)}, sheets="images"),
            )
        ]

    def found(self, context: AnalysisContext) -> FolderImages:
        """The ``top`` pictures of each unit, or all where there are fewer; pictures that can't be read are left out, and said why.

        A unit's response is its mean over what its address leaves open, whatever the job's objective. An interrupted reading goes on after
        the pictures that were shown, which are read again.
        """
        option = f"{context.options_field}.images"
        try:
            stream = context.images(self.folder, option, MOST_IMAGES)
        except InvalidOption as error:  # it was there when the job was checked
            reading = FolderReading(shown_name(self.folder), option)
            reading.pass_over(f"folder that can't be read any more: {error}", reading.folder)
            return FolderImages(self.folder, 0, reading, {})
        best, where, paths = self._ranked(context, stream)
        chosen = stream.again([paths[number] for number in sorted(set(where.flatten().tolist())) if number < len(paths)])
        of = {
            str(unit): [
                FolderImage(stream.name(paths[number]), score, chosen[paths[number]])
                for score, number in zip(scores, numbers, strict=True)
                if score > -torch.inf and number < len(paths) and paths[number] in chosen
            ]
            for unit, scores, numbers in zip(context.units, best.tolist(), where.tolist(), strict=True)
        }
        return FolderImages(self.folder, len(paths), stream.reading, of)

    def _ranked(self, context: AnalysisContext, stream: ImageStream) -> tuple[torch.Tensor, torch.Tensor, list[Path]]:
        """The highest responses, (units, top), the numbers of their pictures, and the pictures shown."""
        state, units = context.state, len(context.units)
        state.setdefault("best", torch.empty(units, 0, dtype=torch.float64))
        state.setdefault("where", torch.empty(units, 0, dtype=torch.int64))
        before = int(state.setdefault("shown", 0))
        paths: list[Path] = []
        for read, stimuli in stream.batches(context.batch):
            fresh = max(0, before - len(paths))  # what an earlier attempt has shown
            first, paths = len(paths) + fresh, [*paths, *read]
            if len(paths) <= before:
                continue
            told = context.unit_responses(stimuli[fresh:], first).nan_to_num(nan=-torch.inf)
            numbers = torch.arange(first, len(paths)).expand(units, -1)
            # stable, so that of equals the first by name stays
            best, order = torch.cat([state["best"], told], 1).sort(dim=1, descending=True, stable=True)
            where = torch.cat([state["where"], numbers], 1).gather(1, order)
            state.update(best=best[:, : self.top].clone(), where=where[:, : self.top].clone(), shown=len(paths))
            context.report(f"showing the folder's pictures: {len(paths):,}")
            if context.should_stop():
                break
        return state["best"], state["where"], paths


def _figures(images: FolderImages, spec: StimulusSpec) -> list[Figure]:
    return [
        Figure(
            _TITLE,
            f"Picture {image.name}",
            StimulusPicture(image.stimulus, spec_of(image, spec)),
            unit=unit,
            caption=(shown(image.response), image.name),
            place="unit",
            file=None,
        )
        for unit, found in images.of.items()
        for image in found
    ]


def _says(images: FolderImages) -> str:
    """What was read, and what was not, in a sentence."""
    text = f"{count(images.shown, 'picture')} of {images.reading.folder}, cropped and scaled to what the target takes"
    more = images.reading.sentence()
    return f"{text}; {more}" if more else text


def _json(images: FolderImages) -> dict[str, Any]:
    return {
        "folder": images.reading.folder,
        "shown": images.shown,
        "unread": images.unread,
        "left_out": images.left_out,
        "reading": images.reading.to_json(),
        "units": {unit: [{"name": image.name, "response": image.response} for image in found] for unit, found in images.of.items()},
    }
