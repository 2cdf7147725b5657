"""Memory of tensors: unambiguous layouts, and buffers that are reused from call to call.

The stride of a dimension of size 1 has no meaning, so one tensor can count as rows first and as channels last at once. Some
of torch's kernels then read the input in one order and the weights in another (``docs/upstream.md``). Tensors that reach a kernel
here have the strides of their order throughout, and no kernel receives channels last where a size is 1.

The allocator returns freed blocks of megabytes to the system, and every page of the next block causes a page fault. For small
networks this can take as long as the arithmetic. So blocks are kept in a :class:`Workspace`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def ambiguous(*sizes: Sequence[int]) -> bool:
    """Return whether channels last can be mistaken for another order: one of ``sizes``, given without the rows, has a 1."""
    return any(1 in size for size in sizes)


def rows_first(values: Tensor) -> Tensor:
    """Return ``values`` in row-major order with exactly its strides; a view if memory has this order already."""
    if not values.is_contiguous():
        return values.clone(memory_format=torch.contiguous_format)
    # torch accepts any stride of a dimension of size 1 as contiguous; a view by way of one dimension resets the strides
    return values.reshape(-1).view(values.shape) if 1 in values.shape else values


def channels_last(values: Tensor) -> Tensor:
    """Return ``values``, (n, channels, height, width), channels last with exactly those strides; sizes except n are above 1."""
    values = values.contiguous(memory_format=torch.channels_last)
    if values.shape[0] > 1:
        return values
    n, channels, height, width = values.shape
    return values.permute(0, 2, 3, 1).reshape(-1).view(n, height, width, channels).permute(0, 3, 1, 2)


def unambiguous(values: Tensor) -> Tensor:
    """Return ``values`` in its own order if that is unambiguous, else in row-major order."""
    if values.dim() == 4 and not ambiguous(values.shape[1:]) and values.is_contiguous(memory_format=torch.channels_last):
        return channels_last(values)
    return rows_first(values)


def own(values: Tensor) -> Tensor:
    """Return a row-major copy, for a module that may view it in any way or write into it."""
    return values.clone(memory_format=torch.contiguous_format)


class Workspace:
    """Buffers by name; each grows to the largest size asked for."""

    def __init__(self) -> None:
        self._buffers: dict[tuple[str, torch.dtype, torch.device], Tensor] = {}

    def flat(self, name: str, numel: int, dtype: torch.dtype, device: torch.device) -> Tensor:
        """Return a buffer of shape (numel,) and arbitrary contents; it overwrites the last one of this name.

        Parameters
        ----------
        name : str
            Name of the buffer.
        numel : int
            Number of elements.
        dtype : torch.dtype
            Type of an element.
        device : torch.device
            Where the buffer lies.
        """
        key = (name, dtype, device)
        held = self._buffers.get(key)
        if held is None or held.numel() < numel:
            with torch.inference_mode(False):  # usable in every grad mode
                held = self._buffers[key] = torch.empty(numel, dtype=dtype, device=device)
        return held[:numel]

    def get(self, name: str, shape: Sequence[int], dtype: torch.dtype, device: torch.device) -> Tensor:
        """Return a buffer of a given shape; see :meth:`flat`."""
        return self.flat(name, math.prod(shape), dtype, device).view(tuple(shape))

    def like(self, name: str, model: Tensor, dtype: torch.dtype) -> Tensor:
        """Return a buffer of the shape and dense layout of ``model``; see :meth:`flat`."""
        if model.dim() == 4 and model.is_contiguous(memory_format=torch.channels_last):
            n, c, h, w = model.shape
            return self.get(name, (n, h, w, c), dtype, model.device).permute(0, 3, 1, 2)
        return self.get(name, model.shape, dtype, model.device)
