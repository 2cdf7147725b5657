"""Convolution of spikes by table lookup.

Spikes are bits. Eight of them, neighbours along the channels, form one byte, and the contribution of a byte to an output is one of 256
sums that depend on the weights alone. These sums are tabulated once, and a convolution becomes one table row per byte instead
of eight multiplications per output (the "method of four Russians" of Arlazarov et al. 1970, as in T-MAC, Wei et al. 2024).

The sums are the same float32 ones in another order. A large kernel has a table for each of its rows, so that the table in use
stays in the cache; ``torch.embedding_bag`` adds up the table's rows.
"""

from __future__ import annotations

import sys
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from .memory import Workspace, ambiguous, rows_first

LARGEST_TABLE = 64 * 2**20
"""Most bytes of the tables of one layer; a larger layer uses the ordinary convolution."""
FEWEST_OUTPUTS = 32
"""Least number of outputs for which a lookup is faster than its eight multiplications."""
_NEAR = 8 * 2**20
"""Most bytes of tables in use at once."""
_BLOCK = 2**18
"""Most sums in one step: images times places times outputs."""
_SHIFT = 0x0102040810204080  # multiplication by it collects eight bytes of 0 or 1 in the highest byte
_HIGHEST = 7 if sys.byteorder == "little" else 0


def pays(weight: Tensor) -> bool:
    """Return whether lookups of spikes are faster: float32 on a CPU, enough channels and outputs, tables of a limited size.

    Parameters
    ----------
    weight : Tensor
        (outputs, channels, height, width) of a convolution, or (outputs, features) of a linear layer.
    """
    outputs, channels, *kernel = weight.shape if weight.dim() == 4 else column_shape(weight)
    size = 4 * outputs * kernel[0] * kernel[1] * -(-channels // 8) * 256
    return (
        weight.device.type == "cpu"
        and weight.dtype == torch.float32
        and outputs >= FEWEST_OUTPUTS
        and channels >= 8
        and size <= LARGEST_TABLE
    )


class SpikeConv2d:
    """A two-dimensional convolution whose input is spikes.

    Parameters
    ----------
    weight : Tensor
        (outputs, channels, height, width); one group.
    bias : Tensor or None
        (outputs,).
    stride, padding, dilation : tuple of int
        As for ``torch.nn.functional.conv2d``; padding is with zeros.
    """

    def __init__(
        self, weight: Tensor, bias: Tensor | None, stride: tuple[int, int], padding: tuple[int, int], dilation: tuple[int, int]
    ) -> None:
        outputs, channels, height, width = weight.shape
        self.kernel, self.stride, self.padding, self.dilation = (height, width), stride, padding, dilation
        self.outputs, self.bytes = outputs, -(-channels // 8)
        padded = F.pad(weight, (0, 0, 0, 0, 0, 8 * self.bytes - channels))
        grouped = padded.reshape(outputs, self.bytes, 8, height, width).permute(3, 4, 1, 2, 0)
        bits = (torch.arange(256).unsqueeze(1) >> torch.arange(8)) & 1
        tables = bits.to(weight.dtype) @ grouped  # (height, width, bytes, 256, outputs)
        if bias is not None:
            tables[0, 0, 0] += bias  # every output reads exactly one row of this byte
        self.rows = height if tables.numel() * 4 <= _NEAR else 1  # rows of the kernel in a table
        self.tables = list(tables.reshape(height // self.rows, -1, outputs))
        self._first = torch.arange(self.bytes, dtype=torch.int32) * 256
        taps = torch.arange(self.rows * width, dtype=torch.int32) * (self.bytes * 256)
        self._taps = taps.view(self.rows, width, 1).expand(self.rows, width, self.bytes).contiguous()

    def __call__(self, spikes: Tensor, workspace: Workspace | None = None, name: str = "") -> Tensor:
        """Return the convolution of spikes.

        Parameters
        ----------
        spikes : Tensor
            (n, channels, height, width), bool.
        workspace : Workspace or None
            Holds the result until the next call of the same ``name``.
        name : str
            Name of the layer.

        Returns
        -------
        Tensor
            (n, outputs, height, width), float32, channels last.
        """
        n, _, tall, wide = spikes.shape
        (kh, kw), (sh, sw), (dh, dw), (ph, pw) = self.kernel, self.stride, self.dilation, self.padding
        high, broad = (tall + 2 * ph - dh * (kh - 1) - 1) // sh + 1, (wide + 2 * pw - dw * (kw - 1) - 1) // sw + 1
        places, read = high * broad, self.rows * kw * self.bytes
        shape = (n * places, self.outputs)
        result = torch.empty(shape) if workspace is None else workspace.get(f"lookup {name}", shape, torch.float32, spikes.device)
        block = min(n, max(1, _BLOCK // (places * self.outputs)))  # images whose sums stay in the cache
        padded = torch.empty(block, tall + 2 * ph, wide + 2 * pw, self.bytes, dtype=torch.int32)
        padded.copy_(self._first)  # the padding keeps these values
        inner = padded[:, ph : ph + tall, pw : pw + wide]
        indices = torch.empty(block, high, broad, self.rows, kw, self.bytes, dtype=torch.int32)
        bags = torch.arange(0, block * places * read, read, dtype=torch.int32)
        by_image, by_row, by_column, by_byte = padded.stride()
        strides = (by_image, sh * by_row, sw * by_column, dh * by_row, dw * by_column, by_byte)
        windows = [padded.as_strided(indices.shape, strides, y * dh * by_row) for y in range(0, kh, self.rows)]
        last = spikes.permute(0, 2, 3, 1)
        for start in range(0, n, block):
            size = min(block, n - start)
            torch.add(_bytes(last[start : start + size], self.bytes), self._first, out=inner[:size])
            into = result[start * places : (start + size) * places]
            for index, (table, window) in enumerate(zip(self.tables, windows, strict=True)):
                torch.add(window[:size], self._taps, out=indices[:size])
                part = torch.embedding_bag(table, indices[:size].view(-1), bags[: size * places])[0]
                into.copy_(part) if index == 0 else into.add_(part)
        return result.view(n, high, broad, self.outputs).permute(0, 3, 1, 2)


def _bytes(last: Tensor, count: int) -> Tensor:
    """Return channels packed eight to a byte: (..., channels), bool -> (..., count), uint8."""
    if last.shape[-1] % 8:
        last = F.pad(last.view(torch.uint8), (0, 8 * count - last.shape[-1]))
    gathered = rows_first(last).view(torch.int64) * _SHIFT
    return gathered.view(torch.uint8)[..., _HIGHEST::8]


_COLUMN = 64
"""Most features of a linear layer that share a table."""


def column_shape(weight: Tensor) -> tuple[int, int, int, int]:
    """Return a linear layer's shape, (outputs, features), as a kernel's: (outputs, channels, rows, 1), ``_COLUMN`` channels at most."""
    outputs, features = weight.shape
    channels = min(_COLUMN, features)
    return outputs, channels, -(-features // channels), 1


def as_kernel(weight: Tensor) -> Tensor:
    """Return a linear layer's weight, (outputs, features), as the kernel of ``column_shape``, padded with zeros."""
    outputs, channels, rows, _ = column_shape(weight)
    return F.pad(weight, (0, rows * channels - weight.shape[1])).view(outputs, rows, channels, 1).transpose(1, 2)


class SpikeLinear:
    """A linear layer whose input is spikes, as the convolution of one column.

    Parameters
    ----------
    weight : Tensor
        (outputs, features), at least one feature.
    bias : Tensor or None
        (outputs,).
    """

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        self.conv = SpikeConv2d(as_kernel(weight), bias, (1, 1), (0, 0), (1, 1))
        self.channels, self.rows = column_shape(weight)[1:3]

    def __call__(self, spikes: Tensor, workspace: Workspace | None = None, name: str = "") -> Tensor:
        """Return the layer's output, float32, (n, outputs), for spikes, (n, features), bool; ``workspace`` is used as for a convolution."""
        filled = F.pad(spikes, (0, self.rows * self.channels - spikes.shape[1])) if spikes.shape[1] % self.channels else spikes
        return self.conv(filled.reshape(-1, self.rows, self.channels, 1).transpose(1, 2), workspace, name).flatten(1)


class _ConvLookedUp(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, spikes: Tensor, lookup: SpikeConv2d, weight: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx.save_for_backward(weight)
        ctx.settings = (spikes.shape, lookup)
        return lookup(spikes != 0)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        (weight,) = ctx.saved_tensors
        shape, lookup = ctx.settings
        # only the input's layout matters: without a gradient of the weights its values are unused
        if ambiguous(shape[1:], weight.shape, grad.shape[1:]):
            like, grad, weight = grad.new_empty(shape), rows_first(grad), rows_first(weight)
        else:
            like = torch.empty(shape, dtype=grad.dtype, device=grad.device, memory_format=torch.channels_last)
        found = torch.ops.aten.convolution_backward(
            grad, like, weight, None, lookup.stride, lookup.padding, lookup.dilation, False, [0, 0], 1, [True, False, False]
        )
        return found[0], None, None


class _LinearLookedUp(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, spikes: Tensor, lookup: SpikeLinear, weight: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx.save_for_backward(weight)
        return lookup(spikes != 0)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        (weight,) = ctx.saved_tensors
        return grad @ weight, None, None


def looked_up(
    spikes: Tensor, lookup: SpikeConv2d | SpikeLinear, weight: Tensor, workspace: Workspace | None = None, name: str = ""
) -> Tensor:
    """Return the output of a layer by its ``lookup``, differentiable in float spikes, not in the weights.

    Parameters
    ----------
    spikes : Tensor
        (n, channels, height, width) or (n, features), of 0 and 1 or bool.
    lookup : SpikeConv2d or SpikeLinear
        The layer's tables.
    weight : Tensor
        The layer's weights, for the gradient.
    workspace, name
        Buffer for the result of bool spikes, which is valid until the next call.
    """
    if spikes.dtype == torch.bool:
        return lookup(spikes, workspace, name)
    if torch.is_grad_enabled() and spikes.requires_grad:
        function = _ConvLookedUp if isinstance(lookup, SpikeConv2d) else _LinearLookedUp
        return function.apply(spikes, lookup, weight)  # pyright: ignore[reportReturnType]
    return lookup(spikes != 0, workspace, name)
