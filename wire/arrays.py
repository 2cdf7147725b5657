"""Arrays on the wire: ``actmax.v1.Tensor``, its JSON form, and raw little-endian bytes."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from buf.validate import validate_pb2
from numpy.typing import ArrayLike, DTypeLike, NDArray

from actmax.v1 import session_pb2

from .errors import ActmaxError, InvalidInput

_DTYPE: Any = session_pb2.Tensor.DESCRIPTOR.fields_by_name["dtype"]
DTYPES: tuple[str, ...] = tuple(getattr(_DTYPE.GetOptions().Extensions[validate_pb2.field].string, "in"))
"""Names of the dtypes that ``actmax.v1.Tensor`` admits."""


class DamagedTensor(ActmaxError):
    """The bytes of a tensor are not as many as its shape and dtype take."""

    code = "DATA_LOSS"


def raw_bytes(array: NDArray[Any]) -> bytes:
    """Return the values of an array as row-major little-endian bytes."""
    return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()


def from_raw(data: bytes, dtype: DTypeLike) -> NDArray[Any]:
    """Return the values in row-major little-endian bytes.

    Parameters
    ----------
    data : bytes
        The values, without gaps.
    dtype : dtype-like
        Type of one value; its byte order is ignored.

    Returns
    -------
    ndarray
        (n,), read-only.

    Raises
    ------
    ValueError
        ``data`` is not a whole number of values.
    """
    return np.frombuffer(data, np.dtype(dtype).newbyteorder("<"))


def byte_count(dtype: DTypeLike, shape: Sequence[int]) -> int:
    """Return the number of bytes that the values of an array take, without its shape and dtype."""
    return math.prod(shape) * np.dtype(dtype).itemsize


def fill(message: session_pb2.Tensor, array: NDArray[Any]) -> None:
    """Copy an array into a message, once.

    Parameters
    ----------
    message : actmax.v1.Tensor
        Empty; filled in place, since a message that is copied into another copies its bytes.
    array : ndarray
        Of any shape, byte order and layout, of one of :data:`DTYPES`.

    Raises
    ------
    InvalidInput
        The dtype has no form on the wire.
    """
    if array.dtype.name not in DTYPES:
        raise InvalidInput(f"arrays of {array.dtype.name} can't be sent; {', '.join(DTYPES)} can")
    message.dtype = array.dtype.name
    message.shape.extend(array.shape)
    message.data = raw_bytes(array)


def to_tensor(values: ArrayLike) -> session_pb2.Tensor:
    """Return an array as a message.

    Raises
    ------
    InvalidInput
        The dtype is none of :data:`DTYPES`.
    """
    message = session_pb2.Tensor()
    fill(message, np.asarray(values))
    return message


def to_array(tensor: session_pb2.Tensor) -> NDArray[Any]:
    """Return the array of a message.

    Returns
    -------
    ndarray
        Of the message's shape and dtype; a copy that may be written into.

    Raises
    ------
    DamagedTensor
        Bytes and shape don't agree, or the dtype is not known.
    """
    if tensor.dtype not in DTYPES:
        raise DamagedTensor(f"a tensor of {tensor.dtype or 'no dtype'} came; {', '.join(DTYPES)} are known")
    shape = tuple(tensor.shape)
    wanted = byte_count(tensor.dtype, shape)
    data = tensor.data  # every access copies the bytes
    if any(size < 0 for size in shape) or len(data) != wanted:
        raise DamagedTensor(f"a tensor of {tensor.dtype} and shape {shape} takes {wanted} bytes, {len(data)} came")
    return from_raw(data, tensor.dtype).reshape(shape).astype(tensor.dtype)


def tensor_fields(values: NDArray[Any]) -> dict[str, Any]:
    """Return an array in the JSON form of ``actmax.v1.Tensor``."""
    return {"dtype": values.dtype.name, "shape": list(values.shape), "data": base64.b64encode(raw_bytes(values)).decode()}


def tensor_values(dtype: str, shape: Sequence[int], data: str) -> NDArray[Any]:
    """Return the array of a tensor's JSON form.

    Parameters
    ----------
    dtype : str
        Name of the dtype, one of :data:`DTYPES`.
    shape : sequence of int
        Shape of the array.
    data : str
        Row-major little-endian values in base64.

    Returns
    -------
    ndarray
        Of that shape and dtype, read-only.

    Raises
    ------
    ValueError
        ``data`` is no base64, or its bytes don't fill the shape.
    """
    return from_raw(base64.b64decode(data), dtype).reshape(shape)
