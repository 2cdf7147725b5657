"""Vectors in a layer's space, given in the options or read from a file."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Annotated, Self

import numpy as np
import torch
from pydantic import AfterValidator, Field, model_validator
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ..options import InvalidOption
from ..permissions import permitted_path
from ..units import UnitAddress
from .channels import Channels, channel_axis
from .options import UnitOptions
from .setting import Setting

MAX_VALUES = 10_000_000

Value = Annotated[float, Field(allow_inf_nan=False)]
VectorFile = Annotated[str, Field(min_length=1, max_length=4096), AfterValidator(permitted_path)]


class VectorOptions(UnitOptions):
    """Options of objectives with a vector."""

    vector: list[Value] | None = Field(
        default=None, min_length=1, max_length=MAX_VALUES, description="A value a channel, or all of a response's, row by row."
    )
    file: VectorFile | None = Field(default=None, description="A .npy or .safetensors file that holds it, where the caller may read files.")
    tensor: str | None = Field(default=None, min_length=1, max_length=500, description="Its name in a .safetensors file of several.")
    channels: Channels = "auto"

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.vector is None) == (self.file is None):
            raise ValueError("give the direction as vector, or name a file that holds it")
        return self


def read_vector(options: VectorOptions, unit: UnitAddress, setting: Setting) -> tuple[Tensor, int | None]:
    """Return an objective's vector, and the axis of the unit's response that it runs along.

    Parameters
    ----------
    options : VectorOptions
        Hold the vector, or name its file.
    unit : UnitAddress
        The unit whose response has the vector's space.
    setting : Setting
        Has the target's layers.

    Returns
    -------
    vector : Tensor
        (channels,), or of the response's shape.
    axis : int or None
        Axis of the channels, counted without the batch; None where the vector has all values of a response.

    Raises
    ------
    InvalidOption
        At "unit", "vector", "file" or "tensor": the vector can't be read, is zero or not finite, or fits neither channels nor response.
    """
    option = "vector" if options.vector is not None else "file"
    values = torch.tensor(options.vector) if options.vector is not None else _read(Path(options.file or ""), options.tensor)
    shape = setting.shape(unit)
    size = torch.Size(shape).numel()
    axis = channel_axis(len(shape), setting.stimulus, options.channels) if shape else 0
    if not bool(values.isfinite().all()) or not bool((values != 0).any()):
        raise InvalidOption(option, "a direction needs finite values that are not all zero")
    if not shape:
        raise InvalidOption("unit", f"{unit} is one neuron, where there is no direction; name a layer, such as {unit.layer}")
    if values.numel() == shape[axis]:
        return values.flatten(), axis
    if values.numel() == size:
        return values.view(shape), None
    shown = " × ".join(map(str, shape))
    raise InvalidOption(option, f"it has {values.numel()} values; {unit} has {shape[axis]} channels and answers with {shown}")


def _read(path: Path, name: str | None) -> Tensor:
    try:
        if not path.is_file():
            raise InvalidOption("file", f"there is no file {str(path)!r}")
        if path.stat().st_size > 8 * MAX_VALUES + 2**20:
            raise InvalidOption("file", f"it is larger than {MAX_VALUES:,} values need")
        if path.suffix == ".npy":
            # read from memory, so that a header with a larger size than the file's is an error and allocates nothing
            values = np.load(io.BytesIO(path.read_bytes()), allow_pickle=False, mmap_mode=None)
            if values.dtype.kind not in "fiu":
                raise InvalidOption("file", f"it holds {values.dtype}, not numbers")
            return torch.from_numpy(np.ascontiguousarray(values, np.float32))
        if path.suffix != ".safetensors":
            raise InvalidOption("file", f"{path.name} is neither a .npy nor a .safetensors file")
        tensors = load_file(path)
    except (OSError, ValueError, EOFError, MemoryError, SafetensorError) as error:
        if isinstance(error, InvalidOption):
            raise
        raise InvalidOption("file", f"it can't be read: {error}") from None
    if name is None and len(tensors) == 1:
        return next(iter(tensors.values())).float()
    if name not in tensors:
        raise InvalidOption("tensor", f"{path.name} holds {', '.join(sorted(tensors)[:20])}; name one")
    return tensors[name].float()
