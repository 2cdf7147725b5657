"""Memory of tensors: layouts that leave no doubt, and buffers that are used again from call to call.

Where a dimension has size 1 its stride means nothing, so one tensor can pass for rows first and for channels last at once. Some
of torch's kernels then read the input in one order and the weights in another (``docs/upstream.md``). Tensors that reach a kernel
here have the strides of their order throughout, and no kernel is given channels last where a size is 1.

Fresh blocks of megabytes are handed back to the system when they are freed, and every page of the next one is faulted in anew;
for a network of this size that can take as long as its arithmetic. So blocks are kept in a :class:`Workspace`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def ambiguous(*sizes: Sequence[int]) -> bool:
    """Return whether channels last can be mistaken for another order: one of ``sizes``, without the rows, has a 1."""
    return any(1 in size for size in sizes)


def rows_first(values: Tensor) -> Tensor:
    """Return ``values`` in the ordinary order with exactly its strides; a view where memory is in this order already."""
    if not values.is_contiguous():
        return values.clone(memory_format=torch.contiguous_format)
    # torch calls any stride of a dimension of size 1 contiguous; a view through one dimension writes the strides anew
    return values.reshape(-1).view(values.shape) if 1 in values.shape else values


def channels_last(values: Tensor) -> Tensor:
    """Return ``values``, (n, channels, height, width) of sizes above 1 but for n, with channels last and exactly those strides."""
    values = values.contiguous(memory_format=torch.channels_last)
    if values.shape[0] > 1:
        return values
    n, channels, height, width = values.shape
    return values.permute(0, 2, 3, 1).reshape(-1).view(n, height, width, channels).permute(0, 3, 1, 2)


def unambiguous(values: Tensor) -> Tensor:
    """Return ``values`` in its own order where that can only be one, and in the ordinary order otherwise."""
    if values.dim() == 4 and not ambiguous(values.shape[1:]) and values.is_contiguous(memory_format=torch.channels_last):
        return channels_last(values)
    return rows_first(values)


def own(values: Tensor) -> Tensor:
    """Return a copy in the ordinary order, for a module that may view it in any way or write into it."""
    return values.clone(memory_format=torch.contiguous_format)


class Workspace:
    """Buffers by name; each grows to the largest size that was asked for."""

    def __init__(self) -> None:
        self._buffers: dict[tuple[str, torch.dtype, torch.device], Tensor] = {}

    def flat(self, name: str, numel: int, dtype: torch.dtype, device: torch.device) -> Tensor:
        """(numel,), of unknown contents; what was asked for by this name before is overwritten."""
        key = (name, dtype, device)
        held = self._buffers.get(key)
        if held is None or held.numel() < numel:
            with torch.inference_mode(False):  # usable in every grad mode
                held = self._buffers[key] = torch.empty(numel, dtype=dtype, device=device)
        return held[:numel]

    def get(self, name: str, shape: Sequence[int], dtype: torch.dtype, device: torch.device) -> Tensor:
        """The same, of a shape."""
        return self.flat(name, math.prod(shape), dtype, device).view(tuple(shape))

    def like(self, name: str, model: Tensor, dtype: torch.dtype) -> Tensor:
        """The same, of the shape and dense layout of a tensor."""
        if model.dim() == 4 and model.is_contiguous(memory_format=torch.channels_last):
            n, c, h, w = model.shape
            return self.get(name, (n, h, w, c), dtype, model.device).permute(0, 3, 1, 2)
        return self.get(name, model.shape, dtype, model.device)
