"""Convolution of spikes by table lookup.

Spikes are bits. Eight of them, neighbours along the channels, are one byte, and what a byte adds to an output is one of 256
sums that depend on the weights alone: so those are tabled once, and a convolution becomes one table row per byte instead
of eight multiplications per output (the "method of four Russians" of Arlazarov et al. 1970, as in T-MAC, Wei et al. 2024).
The sums are the same float32 ones in another order. Each row of the kernel has its own table, small enough to stay close to
the processor; ``torch.embedding_bag`` adds up the rows.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

LARGEST_TABLE = 64 * 2**20
"""Bytes of the tables of one layer above which it is left to the ordinary convolution."""
FEWEST_OUTPUTS = 32
"""Outputs of a row below which a lookup costs more than its eight multiplications."""
_SHIFT = 0x0102040810204080  # gathers the lowest bits of eight bytes in the highest byte


def pays(weight: Tensor) -> bool:
    """Whether spikes had better be looked up: float32 on a CPU, enough channels in and out, tables of a bearable size."""
    outputs, channels, *kernel = weight.shape
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
        self.tables = [table.reshape(-1, outputs) for table in tables.contiguous()]
        self._first = torch.arange(self.bytes, dtype=torch.int32) * 256
        self._taps = torch.arange(width, dtype=torch.int32).unsqueeze(1).mul(self.bytes * 256).expand(width, self.bytes).contiguous()

    def __call__(self, spikes: Tensor) -> Tensor:
        """(n, channels, height, width), bool -> (n, outputs, height, width), float32, channels last."""
        rows = self._indices(spikes)
        n, tall, wide, _ = rows.shape
        (kh, kw), (sh, sw), (dh, dw) = self.kernel, self.stride, self.dilation
        high, broad = (tall - dh * (kh - 1) - 1) // sh + 1, (wide - dw * (kw - 1) - 1) // sw + 1
        by_image, by_row, by_column, by_byte = rows.stride()
        strides = (by_image, sh * by_row, sw * by_column, dw * by_column, by_byte)
        indices = torch.empty(n, high, broad, kw, self.bytes, dtype=torch.int32)
        bags = torch.arange(0, indices.numel(), kw * self.bytes, dtype=torch.int32)
        total: Tensor | None = None
        for y, table in enumerate(self.tables):
            torch.add(rows.as_strided(indices.shape, strides, y * dh * by_row), self._taps, out=indices)
            part = torch.embedding_bag(table, indices.view(-1), bags)[0]
            total = part if total is None else total.add_(part)
        assert total is not None
        return total.view(n, high, broad, self.outputs).permute(0, 3, 1, 2)

    def _indices(self, spikes: Tensor) -> Tensor:
        """Table rows of the bytes of an input, padded: (n, height, width, bytes), int32."""
        last = spikes.permute(0, 2, 3, 1)
        if last.shape[3] % 8:
            last = F.pad(last.view(torch.uint8), (0, 8 * self.bytes - last.shape[3]))
        words = last.contiguous().view(torch.int64)
        packed = ((words * _SHIFT) >> 56) & 255
        n, tall, wide, _ = packed.shape
        ph, pw = self.padding
        rows = torch.empty(n, tall + 2 * ph, wide + 2 * pw, self.bytes, dtype=torch.int32)
        if ph or pw:
            rows.copy_(self._first)
            rows[:, ph : ph + tall, pw : pw + wide] += packed
        else:
            torch.add(packed, self._first, out=rows)
        return rows


class _LookedUp(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, spikes: Tensor, lookup: SpikeConv2d, weight: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx.save_for_backward(weight)
        ctx.settings = (spikes.shape, lookup)
        return lookup(spikes != 0)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        (weight,) = ctx.saved_tensors
        shape, lookup = ctx.settings
        # the input's values do not matter without a gradient of the weights; its layout does
        like = torch.empty(shape, dtype=grad.dtype, device=grad.device, memory_format=torch.channels_last)
        found = torch.ops.aten.convolution_backward(
            grad, like, weight, None, lookup.stride, lookup.padding, lookup.dilation, False, [0, 0], 1, [True, False, False]
        )
        return found[0], None, None


def looked_up(spikes: Tensor, lookup: SpikeConv2d, weight: Tensor) -> Tensor:
    """A convolution of spikes, (n, channels, height, width) of 0 and 1 or bool; differentiable in float spikes, not in the weights."""
    if spikes.dtype == torch.bool:
        return lookup(spikes)
    if torch.is_grad_enabled() and spikes.requires_grad:
        return _LookedUp.apply(spikes, lookup, weight)  # pyright: ignore[reportReturnType]
    return lookup(spikes != 0)
