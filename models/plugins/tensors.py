"""Arrays as ``actmax.v1.Tensor``; what comes back is checked against what was asked for."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from actmax.v1 import session_pb2

FLOATS = ("float32", "float64")
CODES = ("int64", "int32", "uint8")


class BadTensor(ValueError):
    """A tensor that is not what was asked for; the message says how."""


def fill(message: session_pb2.Tensor, values: Tensor) -> None:
    """Put float32 or int64 values into a message, copied once."""
    array = values.detach().cpu()
    array = array.float().numpy() if array.is_floating_point() else array.long().numpy()
    message.dtype = array.dtype.name
    message.shape.extend(array.shape)
    message.data = array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()


def from_message(message: session_pb2.Tensor, shape: tuple[int, ...], dtypes: tuple[str, ...] = FLOATS) -> Tensor:
    """The values of a message, float32 or int64.

    Parameters
    ----------
    message : actmax.v1.Tensor
        As it came.
    shape : tuple of int
        What it has to have.
    dtypes : tuple of str
        What it may have.

    Raises
    ------
    BadTensor
        It has another shape or dtype, or not the bytes that these take.
    """
    if message.dtype not in dtypes:
        raise BadTensor(f"came as {message.dtype[:20] or 'nothing'}, not as {' or '.join(dtypes)}")
    if tuple(message.shape) != shape:
        raise BadTensor(f"came in the shape {_shown(message.shape)}, not in {_shown(shape)}")
    kind = np.dtype(message.dtype).newbyteorder("<")
    wanted = math.prod(shape) * kind.itemsize
    if len(message.data) != wanted:
        raise BadTensor(f"came with {len(message.data)} bytes, its shape takes {wanted}")
    flat = np.frombuffer(message.data, kind)
    with np.errstate(over="ignore"):  # what float32 can't hold becomes infinite, which is refused as such
        values = flat.astype(np.float32 if dtypes == FLOATS else np.int64)
    return torch.from_numpy(values.reshape(shape))


def _shown(shape: Any) -> str:
    sizes = list(shape)
    return "(" + ", ".join(str(size) for size in sizes[:8]) + (", …" if len(sizes) > 8 else "") + ")"
