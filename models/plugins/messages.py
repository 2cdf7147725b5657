"""Contents of messages to and from plugins: checked tensors, and the specification of stimuli."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from actmax.v1 import session_pb2

from ...wire import arrays
from ..spaces import StimulusSpec

MOST_VALUES = 1 << 24
"""Most values of one stimulus, one latent, or one layer's response."""
FLOATS = ("float32", "float64")
CODES = ("int64", "int32", "uint8")


class BadTensor(ValueError):
    """A tensor that differs from what was asked for; the message says how."""


def fill(message: session_pb2.Tensor, values: Tensor) -> None:
    """Copy values into a message, as float32 or int64."""
    array = values.detach().cpu()
    arrays.fill(message, array.float().numpy() if array.is_floating_point() else array.long().numpy())


def from_message(message: session_pb2.Tensor, shape: tuple[int, ...], dtypes: tuple[str, ...] = FLOATS) -> Tensor:
    """Return the values of a message, float32 or int64.

    Parameters
    ----------
    message : actmax.v1.Tensor
        A received message.
    shape : tuple of int
        The required shape.
    dtypes : tuple of str
        The accepted dtypes: :data:`FLOATS` or :data:`CODES`.

    Raises
    ------
    BadTensor
        Shape or dtype differ, or the number of bytes doesn't fit them.
    """
    if message.dtype not in dtypes:
        raise BadTensor(f"came as {message.dtype[:20] or 'nothing'}, not as {' or '.join(dtypes)}")
    if tuple(message.shape) != shape:
        raise BadTensor(f"came in the shape {_shown(message.shape)}, not in {_shown(shape)}")
    data, wanted = message.data, arrays.byte_count(message.dtype, shape)
    if len(data) != wanted:
        raise BadTensor(f"came with {len(data)} bytes, its shape takes {wanted}")
    with np.errstate(over="ignore"):  # values beyond float32 become infinite, and callers refuse infinity
        values = arrays.from_raw(data, message.dtype).astype(np.float32 if dtypes == FLOATS else np.int64)
    return torch.from_numpy(values.reshape(shape))


def stimulus_of(message: session_pb2.StimulusShape) -> StimulusSpec:
    """Return the stimuli of a description; an image has three dimensions, a series two.

    Raises
    ------
    ValueError
        The description is invalid: dimensions, range, modality or number of values.
    """
    shape = tuple(message.shape)
    low, high = (message.low, message.high) if message.low or message.high else (0.0, 1.0)
    if not low < high:
        raise ValueError(f"stimuli between {low:g} and {high:g}: low has to be below high")
    modality = {3: "image", 2: "series"}.get(len(shape))
    if modality is None or message.modality not in ("", modality):
        raise ValueError(f"stimuli of {len(shape)} dimensions: an image has (channels, height, width), a series (channels, time)")
    if math.prod(shape) > MOST_VALUES:
        raise ValueError(f"stimuli of {math.prod(shape)} values; at most {MOST_VALUES} work")
    return StimulusSpec(shape, low, high, "image" if modality == "image" else "series")


def _shown(shape: Any) -> str:
    sizes = list(shape)
    return "(" + ", ".join(str(size) for size in sizes[:8]) + (", …" if len(sizes) > 8 else "") + ")"
