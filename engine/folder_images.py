"""Which pictures of a folder drive a job's units the most."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated

import torch
from pydantic import AfterValidator, BaseModel, ValidationError
from torch import Tensor

from ..models.file_access import FILES, AllowedFiles, permitted_model
from ..models.image_source import picture_paths, picture_stimulus
from ..models.objectives.objective import OFFERED
from ..models.objectives.unit import mean_response
from ..models.options import InvalidOption
from ..models.spaces import StimulusSpec
from ..models.targets.target import CountsTrials, Target
from ..models.units import UnitAddress
from .errors import InvalidJob
from .result import FolderImage, FolderImages
from .spec import ReportSpec, violations_of

MOST_IMAGES = 50_000
"""Of a folder; those beyond, by name, are left out."""
FIELD = "report.images"


def check_images(report: ReportSpec, taken: StimulusSpec, allow_files: AllowedFiles) -> None:
    """Refuse a folder that may not be read, that holds no pictures, or whose pictures the target can't be shown.

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
        picture_paths(report.images, "images")
    except ValidationError as error:
        raise InvalidJob(violations_of(error, "report")) from None
    except InvalidOption as error:
        raise InvalidJob.at(FIELD, str(error)) from error


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

    Returns
    -------
    FolderImages
        ``report.top`` pictures a unit, or all where there are fewer. Pictures that can't be read are left out, by name.
    str
        The reason for an early end, or "".
    """
    root, stimulus, layers = Path(report.images), target.stimulus, frozenset(unit.layer for unit in units) - OFFERED
    paths = picture_paths(report.images, "images")
    left_out, paths = max(0, len(paths) - MOST_IMAGES), paths[:MOST_IMAGES]
    unread: list[str] = []
    kept_paths: list[Path] = []
    best = torch.empty(len(units), 0, dtype=torch.float64)
    where = torch.empty(len(units), 0, dtype=torch.int64)
    reason = ""
    with torch.inference_mode():
        for shown, stimuli in _batches(paths, stimulus, batch, unread, root):
            if isinstance(target, CountsTrials):
                target.begin(seed, trial + len(kept_paths))
            responses = target.respond(stimuli.to(device), layers)
            told = torch.stack([mean_response(unit, responses) for unit in units]).double().cpu().nan_to_num(nan=-torch.inf)
            numbers = torch.arange(len(kept_paths), len(kept_paths) + len(shown)).expand(len(units), -1)
            kept_paths += shown
            # stable, so that of equals the first by name stays
            best, order = torch.cat([best, told], 1).sort(dim=1, descending=True, stable=True)
            where = torch.cat([where, numbers], 1).gather(1, order)[:, : report.top]
            best = best[:, : report.top]
            if reason := should_stop():
                break
    found: dict[str, list[FolderImage]] = {}
    pictures = {
        number: picture_stimulus(kept_paths[number], stimulus, "images").numpy() for number in sorted(set(where.flatten().tolist()))
    }
    for unit, scores, numbers in zip(units, best.tolist(), where.tolist(), strict=True):
        found[str(unit)] = [
            FolderImage(kept_paths[number].relative_to(root).as_posix(), score, pictures[number])
            for score, number in zip(scores, numbers, strict=True)
            if score > -torch.inf
        ]
    return FolderImages(report.images, len(kept_paths), unread, left_out, found), reason


def _batches(
    paths: Sequence[Path], stimulus: StimulusSpec, size: int, unread: list[str], root: Path
) -> Iterator[tuple[list[Path], Tensor]]:
    """The pictures in stacks of at most ``size``; the names of those that can't be read go to ``unread``."""

    def readable() -> Iterator[tuple[Path, Tensor]]:
        for path in paths:
            try:
                yield path, picture_stimulus(path, stimulus, "images")
            except InvalidOption:
                unread.append(path.relative_to(root).as_posix())

    pictures = readable()
    while read := list(islice(pictures, size)):
        yield [path for path, _ in read], torch.stack([picture for _, picture in read])


class _Named(BaseModel):
    images: Annotated[str, AfterValidator(permitted_model)]
