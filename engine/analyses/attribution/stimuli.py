"""The stimuli that are attributed: what the searches found, and pictures of a folder with their masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from ....models.image_source import picture_paths, picture_stimulus
from ....models.pictures.errors import UnreadablePicture
from ....models.spaces import StimulusSpec
from ..analysis import AnalysisContext

Baseline = Literal["black", "grey", "white", "mean", "blur"]
"""What stands for the absence of a value: the range's lowest, middle or highest, the channel's mean, or the blurred stimulus."""


@dataclass(frozen=True)
class Item:
    """One stimulus that is attributed.

    Attributes
    ----------
    stimulus : Tensor
        float32, of the target's shape, on the CPU.
    name : str
        "found", or the picture's name below its folder.
    unit : int or None
        The unit that a search found it for, by its place in the job; None: it is attributed for every unit.
    optimizer : str
        What found it.
    mask : Tensor or None
        bool, of the stimulus's shape without channels: where the object is.
    """

    stimulus: Tensor
    name: str
    unit: int | None = None
    optimizer: str = ""
    mask: Tensor | None = None


@dataclass(frozen=True)
class Step:
    """Stimuli that are attributed together, for some units given by their places in the job."""

    units: tuple[int, ...]
    items: tuple[Item, ...]


def found_items(context: AnalysisContext) -> list[Item]:
    """Return what the searches found, resized where a job's stimuli are of another size than the target's."""
    places = {str(unit): place for place, unit in enumerate(context.units)}
    items: list[Item] = []
    for search in context.searches:
        stimulus, shape = torch.from_numpy(search.stimulus.copy()).float(), context.target.stimulus.shape
        if stimulus.shape != shape:
            mode = "bilinear" if len(shape) == 3 else "linear"
            stimulus = F.interpolate(stimulus[None], shape[1:], mode=mode, antialias=mode == "bilinear")[0]
        items.append(Item(stimulus, "found", places[search.unit], search.optimizer))
    return items


def picture_items(context: AnalysisContext, images: str, masks: str, most: int) -> tuple[list[Item], str]:
    """Return the first pictures of a folder with their masks, and a sentence about what was left out, or an empty text.

    Parameters
    ----------
    context : AnalysisContext
        Of the job.
    images, masks : str
        Folders; empty for none. A mask has the name of its picture, by whatever ending, and is white where the object is.
    most : int
        Pictures beyond are left out.

    Raises
    ------
    InvalidOption
        There is no such folder, or no picture in it.
    """
    if not images:
        return [], ""
    stream = context.images(images, f"{context.options_field}.images", most)
    of_picture = _masks(masks, f"{context.options_field}.masks") if masks else {}
    items: list[Item] = []
    for paths, stimuli in stream.batches(context.batch):
        for path, stimulus in zip(paths, stimuli, strict=True):
            key = path.relative_to(images).with_suffix("")
            mask = _mask(of_picture[key], context.target.stimulus) if key in of_picture else None
            items.append(Item(stimulus, stream.name(path), mask=mask))
    lacking = sum(item.mask is None for item in items)
    parts = [stream.reading.sentence(), f"{lacking} of {len(items)} pictures have no mask" if masks and lacking else ""]
    return items, "; ".join(filter(None, parts))


def steps(items: Sequence[Item], units: int, size: int) -> list[Step]:
    """Return the items in groups of at most ``size``: first each unit's found stimuli, then pictures for all units together."""
    groups = [(tuple(range(units)), [item for item in items if item.unit is None])]
    groups = [((unit,), [item for item in items if item.unit == unit]) for unit in range(units)] + groups
    return [Step(of, tuple(group[start : start + size])) for of, group in groups for start in range(0, len(group), size)]


def baselines(stimuli: Tensor, kind: Baseline, spec: StimulusSpec) -> Tensor:
    """Return what stands for the absence of each value of ``stimuli``, (n, *stimulus)."""
    if kind == "mean":
        return stimuli.flatten(2).mean(2).view(*stimuli.shape[:2], *[1] * (stimuli.dim() - 2)).expand_as(stimuli).contiguous()
    if kind == "blur":
        return blurred(stimuli)
    value = {"black": spec.low, "grey": (spec.low + spec.high) / 2, "white": spec.high}[kind]
    return torch.full_like(stimuli, value)


def probe(spec: StimulusSpec, n: int = 1) -> Tensor:
    """Return random stimuli, (n, *stimulus), always the same."""
    return torch.rand(n, *spec.shape, generator=torch.Generator().manual_seed(0)) * (spec.high - spec.low) + spec.low


def blurred(stimuli: Tensor) -> Tensor:
    """Return ``stimuli``, (n, channels, *space), under a Gaussian of a standard deviation of a tenth of each side."""
    for dimension in range(2, stimuli.dim()):
        size = stimuli.shape[dimension]
        places = torch.arange(size, device=stimuli.device, dtype=stimuli.dtype)
        weights = torch.exp(-((places[:, None] - places) ** 2) / (2 * max(1.0, size / 10) ** 2))
        stimuli = torch.movedim(torch.movedim(stimuli, dimension, -1) @ (weights / weights.sum(1, keepdim=True)).T, -1, dimension)
    return stimuli.contiguous()


def _masks(folder: str, option: str) -> dict[Path, Path]:
    paths, _ = picture_paths(folder, option, 50_000)
    return {path.relative_to(folder).with_suffix(""): path for path in paths}


def _mask(path: Path, spec: StimulusSpec) -> Tensor | None:
    """A mask, cropped and scaled as its picture is; None where it can't be read or shows no object."""
    try:
        grey = picture_stimulus(path, StimulusSpec((1, *spec.shape[1:])))[0][0]
    except UnreadablePicture:
        return None
    mask = grey > 0.5
    return mask if bool(mask.any()) else None
