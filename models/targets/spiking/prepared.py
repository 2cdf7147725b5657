"""Convolutions and linear layers prepared for spikes, valid while the network's own are unchanged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .lookup import SpikeConv2d, SpikeLinear, looked_up, pays
from .memory import Workspace, ambiguous, channels_last, rows_first

T = TypeVar("T")


class Prepared:
    """A convolution with frozen weights, in the memory order and by the method that suit its input.

    Parameters
    ----------
    weight : Tensor
        (outputs, channels, height, width).
    bias : Tensor or None
        (outputs,).
    stride, padding, dilation : tuple of int
        As for ``torch.nn.functional.conv2d``.
    groups : int
        As for ``torch.nn.functional.conv2d``.
    """

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor | None,
        stride: tuple[int, int],
        padding: tuple[int, int],
        dilation: tuple[int, int],
        groups: int,
    ) -> None:
        self.weight = weight.detach().clone(memory_format=torch.channels_last if weight.device.type == "cpu" else torch.contiguous_format)
        self.bias = None if bias is None else bias.detach().clone()
        self.stride, self.padding, self.dilation, self.groups = stride, padding, dilation, groups
        self._lookup: SpikeConv2d | None = None
        self._plain: Tensor | None = None

    def __call__(self, values: Tensor, *, spikes: bool, workspace: Workspace | None, name: str) -> Tensor:
        """Return the convolution of ``values``.

        Parameters
        ----------
        values : Tensor
            (n, channels, height, width); bool only for ``spikes`` that are looked up.
        spikes : bool
            Whether all values are 0 or 1.
        workspace : Workspace or None
            Holds the result of a lookup until the next call of the same ``name``.
        name : str
            Name of the layer.
        """
        if spikes and self.looks_up:
            if self._lookup is None:
                with torch.inference_mode(False), torch.no_grad():
                    self._lookup = SpikeConv2d(self.weight, self.bias, self.stride, self.padding, self.dilation)
            return looked_up(values, self._lookup, self.weight, workspace, name)
        if self._ambiguous(values.shape[2:], values.shape[1:]):
            if self._plain is None:
                with torch.inference_mode(False), torch.no_grad():
                    self._plain = rows_first(self.weight.clone(memory_format=torch.contiguous_format))
            found = F.conv2d(rows_first(values), self._plain, self.bias, self.stride, self.padding, self.dilation, self.groups)
            if found.requires_grad:
                found.register_hook(rows_first)
            return found
        if values.device.type == "cpu":
            values = channels_last(values)
        return F.conv2d(values, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)

    @property
    def looks_up(self) -> bool:
        """Whether spikes are looked up instead of multiplied."""
        return self.groups == 1 and pays(self.weight)

    def _ambiguous(self, sides: Sequence[int], units: Sequence[int]) -> bool:
        places = [
            (side + 2 * padding - dilation * (size - 1) - 1) // stride + 1
            for side, padding, dilation, size, stride in zip(
                sides, self.padding, self.dilation, self.weight.shape[2:], self.stride, strict=True
            )
        ]
        return ambiguous(units, self.weight.shape, places)


class PreparedLinear:
    """A linear layer with frozen weights whose input is looked up."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        self.weight = weight.detach().clone()
        self.lookup = SpikeLinear(self.weight, None if bias is None else bias.detach())

    def __call__(self, spikes: Tensor, workspace: Workspace | None, name: str) -> Tensor:
        """Return the layer's output, (n, outputs), for ``spikes``, (n, features), bool or float of 0 and 1."""
        return looked_up(spikes, self.lookup, self.weight, workspace, name)


class Cache:
    """Prepared layers by name, with the tensors and settings that they are made from.

    A tensor can change without a change of its identity or version: by ``tensor.data``, or by being freed and allocated again at the same
    address. So a prepared layer is used only where the tensors still have the same contents.
    """

    def __init__(self) -> None:
        self._held: dict[tuple[str, ...], tuple[tuple[object, ...], list[Tensor], Any]] = {}

    def get(self, name: tuple[str, ...], sources: Sequence[Tensor | None], settings: tuple[object, ...], make: Callable[[], T]) -> T:
        """Return the result of ``make``, from the cache if sources and settings are unchanged.

        Parameters
        ----------
        name : tuple of str
            Key of the entry.
        sources : sequence of Tensor or None
            The tensors that ``make`` reads.
        settings : tuple
            The plain values that ``make`` reads.
        make : callable
            Makes the entry.
        """
        tensors = [tensor for tensor in sources if tensor is not None]
        key = (*settings, *(None if tensor is None else (tensor.shape, tensor.dtype, tensor.device) for tensor in sources))
        held = self._held.get(name)
        if held is not None and held[0] == key and all(torch.equal(one, other) for one, other in zip(held[1], tensors, strict=True)):
            return held[2]
        with torch.inference_mode(False), torch.no_grad():
            made = make()
            self._held[name] = (key, [tensor.detach().clone() for tensor in tensors], made)
        return made


def fold(conv: nn.Conv2d, following: Sequence[nn.Module]) -> Prepared:
    """Return a convolution with the following normalisation and pooling folded in."""
    weight, bias, stride = conv.weight.detach(), conv.bias, pair(conv.stride)
    for module in following:
        if isinstance(module, nn.BatchNorm2d):
            weight, bias = _with_norm(weight, bias, module)
        elif isinstance(module, nn.AvgPool2d):
            weight, stride = _with_pool(weight, stride, pair(module.kernel_size))
    padding = (0, 0) if conv.padding == "valid" else pair(conv.padding)  # type: ignore[arg-type]
    return Prepared(weight, bias, stride, padding, pair(conv.dilation), conv.groups)


def sources_of(modules: Sequence[nn.Module]) -> list[Tensor | None]:
    """Return the tensors that ``fold`` reads."""
    names = ("weight", "bias", "running_mean", "running_var")
    return [getattr(module, name, None) for module in modules for name in names]


def settings_of(modules: Sequence[nn.Module]) -> tuple[object, ...]:
    """Return the plain values that ``fold`` reads."""
    names = ("stride", "padding", "dilation", "groups", "kernel_size", "eps")
    return tuple(value if isinstance(value, str | int | float) else tuple(value) for m in modules for value in _given(m, names))


def _given(module: nn.Module, names: Sequence[str]) -> list[Any]:
    return [value for name in names if (value := getattr(module, name, None)) is not None]


def _with_norm(weight: Tensor, bias: Tensor | None, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = (norm.running_var + norm.eps).rsqrt()
    if norm.weight is not None:
        scale = scale * norm.weight
    shift = (0.0 if bias is None else bias) - norm.running_mean
    folded = shift * scale
    return weight * scale.view(-1, 1, 1, 1), folded if norm.bias is None else folded + norm.bias


def _with_pool(weight: Tensor, stride: tuple[int, ...], pool: tuple[int, int]) -> tuple[Tensor, tuple[int, int]]:
    (sh, sw), (kh, kw) = stride, pool
    _, _, height, width = weight.shape
    wide = weight.new_zeros(*weight.shape[:2], height + sh * (kh - 1), width + sw * (kw - 1))
    for y in range(kh):
        for x in range(kw):
            wide[:, :, sh * y : sh * y + height, sw * x : sw * x + width] += weight
    return wide / (kh * kw), (sh * kh, sw * kw)


def pair(size: int | Sequence[int]) -> tuple[int, int]:
    """Return a size as (vertical, horizontal)."""
    return (size, size) if isinstance(size, int) else (size[0], size[-1])
