"""Stimuli in the form that a rig shows them in."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from ...models.spaces import StimulusSpec
from .spec import PresentationSpec


def presented(stimuli: Tensor, made: StimulusSpec, asked: PresentationSpec) -> NDArray[Any]:
    """Stimuli, (n, *stimulus), at the rig's size: float32 in their own range, or bytes of 0 to 255 over it."""
    shown = stimuli
    if asked.width and tuple(stimuli.shape[2:]) != (asked.height, asked.width):
        resized = F.interpolate(stimuli, (asked.height, asked.width), mode="bicubic", align_corners=False, antialias=True)
        shown = resized.clamp(made.low, made.high)
    if asked.encoding == "float32":
        return shown.numpy()
    return ((shown - made.low) / (made.high - made.low) * 255).round().clamp(0, 255).to(torch.uint8).numpy()


def png(picture: NDArray[np.uint8]) -> bytes:
    """One picture, (1 or 3, height, width), as a PNG file."""
    image = Image.fromarray(picture[0] if picture.shape[0] == 1 else np.ascontiguousarray(picture.transpose(1, 2, 0)))
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=1)
    return file.getvalue()


def message_bytes(made: StimulusSpec, asked: PresentationSpec, trials: int) -> int:
    """About the most that a generation of so many trials takes on its way."""
    shape = (made.shape[0], asked.height, asked.width) if asked.width else made.shape
    return trials * int(np.prod(shape)) * (4 if asked.encoding == "float32" else 1)
