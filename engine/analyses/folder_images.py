"""Which pictures of a folder drive a job's units the most."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import AfterValidator, BaseModel, ValidationError
from torch import Tensor

from ...models.file_access import FILES, AllowedFiles, permitted_model
from ...models.image_source import picture_paths, picture_stimulus, try_picture
from ...models.objectives.objective import OFFERED
from ...models.objectives.unit import mean_response
from ...models.options import InvalidOption
from ...models.pictures.errors import UnreadablePicture
from ...models.pictures.folder import FolderReading, shown_name
from ...models.spaces import StimulusSpec
from ...models.targets.target import CountsTrials, Target
from ...models.units import UnitAddress
from ..errors import InvalidJob
from ..results.result import FolderImage, FolderImages
from ..spec import ReportSpec, violations_of

MOST_IMAGES = 50_000
"""Of a folder; those beyond, by name, are left out."""
FIELD = "report.images"
_TRIED = 100


def check_images(report: ReportSpec, taken: StimulusSpec, allow_files: AllowedFiles) -> None:
    """Refuse a folder that may not be read, in which no picture can be, or whose pictures the target can't be shown.

    Raises
    ------
    InvalidJob
        At ``report.images``.
    """
    if not report.images:
        return
    if taken.modality != "image":
        raise InvalidJob.at(FIELD, "the target takes series; there are no pictures to show it")
    try:
        _Named.model_validate({"images": report.images}, context={FILES: allow_files})
        paths, reading = picture_paths(report.images, "images", MOST_IMAGES)
    except ValidationError as error:
        raise InvalidJob(violations_of(error, "report")) from None
    except InvalidOption as error:
        raise InvalidJob.at(FIELD, str(error)) from error
    readable = any(try_picture(path, Path(report.images), taken, reading) is not None for path in paths[:_TRIED])
    if not readable and len(paths) <= _TRIED:
        raise InvalidJob.at(FIELD, f"no picture of {reading.folder[:200]!r} can be used: {reading.sentence()[:1000]}")


def most_activating(
    report: ReportSpec,
    target: Target,
    units: Sequence[UnitAddress],
    *,
    device: str,
    batch: int,
    seed: int,
    trial: int = 0,
    should_stop: Callable[[], str] = lambda: "",
    on_shown: Callable[[int], None] = lambda _: None,
) -> tuple[FolderImages, str]:
    """Show the target every picture of ``report.images``, cropped and scaled to what it takes.

    Parameters
    ----------
    target : Target
        Already on ``device``; of images.
    units : sequence of UnitAddress
        A unit's response is its mean over what its address leaves open, untransformed, whatever the job's objective.
    batch : int
        Pictures in one pass.
    seed, trial : int
        For targets with noise of their own: the job's seed, and the number of the first picture's trial.
    should_stop : callable
        Asked between passes; a reason ends the reading early.
    on_shown : callable
        Called between passes with how many pictures the target has seen.

    Returns
    -------
    FolderImages
        ``report.top`` pictures a unit, or all where there are fewer. Pictures that can't be read are left out, by name and with why.
    str
        The reason for an early end, or "".
    """
    root, stimulus, layers = Path(report.images), target.stimulus, frozenset(unit.layer for unit in units) - OFFERED
    try:
        paths, reading = picture_paths(report.images, "report.images", MOST_IMAGES)
    except InvalidOption as error:  # it was there when the job was checked; what the searches found is kept all the same
        reading = FolderReading(shown_name(report.images), "report.images")
        reading.pass_over(f"folder that can't be read any more: {error}", reading.folder)
        return FolderImages(report.images, 0, reading, {}), ""
    shown_paths: list[Path] = []
    best = torch.empty(len(units), 0, dtype=torch.float64)
    where = torch.empty(len(units), 0, dtype=torch.int64)
    reason = ""
    with torch.no_grad():
        for shown, stimuli in _batches(paths, root, stimulus, batch, reading):
            if isinstance(target, CountsTrials):
                target.begin(seed, trial + len(shown_paths))
            responses = target.respond(stimuli.to(device), layers)
            told = torch.stack([mean_response(unit, responses) for unit in units]).double().cpu().nan_to_num(nan=-torch.inf)
            numbers = torch.arange(len(shown_paths), len(shown_paths) + len(shown)).expand(len(units), -1)
            shown_paths += shown
            # stable, so that of equals the first by name stays
            best, order = torch.cat([best, told], 1).sort(dim=1, descending=True, stable=True)
            where = torch.cat([where, numbers], 1).gather(1, order)[:, : report.top]
            best = best[:, : report.top]
            on_shown(len(shown_paths))
            if reason := should_stop():
                break
    pictures = _again(shown_paths, sorted(set(where.flatten().tolist())), stimulus, root, reading)
    found = {
        str(unit): [
            FolderImage(shown_name(shown_paths[number].relative_to(root)), score, pictures[number])
            for score, number in zip(scores, numbers, strict=True)
            if score > -torch.inf and number in pictures
        ]
        for unit, scores, numbers in zip(units, best.tolist(), where.tolist(), strict=True)
    }
    return FolderImages(report.images, len(shown_paths), reading, found), reason


def _again(
    paths: Sequence[Path], numbers: Sequence[int], stimulus: StimulusSpec, root: Path, reading: FolderReading
) -> dict[int, NDArray[np.float32]]:
    """The stimuli of some of the pictures; one that has gone since is noted."""
    found: dict[int, NDArray[np.float32]] = {}
    for number in numbers:
        try:
            found[number] = picture_stimulus(paths[number], stimulus)[0].numpy()
        except UnreadablePicture as error:
            reading.unread[shown_name(paths[number].relative_to(root))] = f"shown, and gone since: {error}"
    return found


def _batches(
    paths: Sequence[Path], root: Path, stimulus: StimulusSpec, size: int, reading: FolderReading
) -> Iterator[tuple[list[Path], Tensor]]:
    """The pictures in stacks of at most ``size``; ``reading`` says which can't be read."""
    pictures = ((path, picture) for path in paths if (picture := try_picture(path, root, stimulus, reading)) is not None)
    while read := list(islice(pictures, size)):
        yield [path for path, _ in read], torch.stack([picture for _, picture in read])


class _Named(BaseModel):
    images: Annotated[str, AfterValidator(permitted_model)]
