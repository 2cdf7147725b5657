"""Arrays on the wire: ``actmax.v1.Tensor`` and numpy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from actmax.v1 import session_pb2

from .errors import ActmaxError, InvalidInput

DTYPES = ("float32", "float64", "uint8", "int32", "int64")


class DamagedTensor(ActmaxError):
    """The bytes of a tensor are not as many as its shape and dtype take."""

    code = "DATA_LOSS"


def to_array(tensor: session_pb2.Tensor) -> NDArray[Any]:
    """The array of a tensor, its own to write into.

    Raises
    ------
    DamagedTensor
        Bytes and shape don't agree, or the dtype is not known.
    """
    if tensor.dtype not in DTYPES:
        raise DamagedTensor(f"a tensor of {tensor.dtype or 'no dtype'} came; {', '.join(DTYPES)} are known")
    shape = tuple(tensor.shape)
    kind = np.dtype(tensor.dtype).newbyteorder("<")
    wanted = math.prod(shape) * kind.itemsize
    data = tensor.data  # every look at it is a copy
    if any(size < 0 for size in shape) or len(data) != wanted:
        raise DamagedTensor(f"a tensor of {tensor.dtype} and shape {shape} takes {wanted} bytes, {len(data)} came")
    return np.frombuffer(data, kind).reshape(shape).astype(tensor.dtype)


def to_tensor(values: ArrayLike) -> session_pb2.Tensor:
    """An array as a tensor.

    Raises
    ------
    InvalidInput
        Its dtype has no form on the wire.
    """
    array = np.asarray(values)
    if array.dtype.name not in DTYPES:
        raise InvalidInput(f"arrays of {array.dtype.name} can't be sent; {', '.join(DTYPES)} can")
    data = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
    return session_pb2.Tensor(dtype=array.dtype.name, shape=array.shape, data=data)
