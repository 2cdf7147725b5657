"""The stateless stretches of a chain, prepared for speed without touching the network.

A convolution takes in the evaluation-mode normalisation and the average pooling that follow it: pooling k × k outputs of
a kernel of size s is one kernel of s + k - 1 at k times the stride, which does (s + k - 1)² instead of (k s)²
multiplications. Prepared weights are kept as long as the parameters they were made from are unchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .chain import Link
from .lookup import SpikeConv2d, looked_up, pays
from .neurons import hooked
from .workspace import Workspace


@dataclass
class Signal:
    """What flows between the layers of a chain.

    Attributes
    ----------
    values : Tensor
        (n, *units) where ``constant``, otherwise (steps * n, *units), step by step.
    constant : bool
        Whether it is the same at every step.
    binary : bool
        Whether it is surely 0 or 1; ``values`` may then be bool.
    """

    values: Tensor
    constant: bool
    binary: bool = False

    def floats(self, like: torch.dtype, workspace: Workspace | None = None) -> Tensor:
        """The values, as numbers; in ``workspace`` if given, until the next call."""
        if self.values.dtype != torch.bool:
            return self.values
        return self.values.to(like) if workspace is None else workspace.like("numbers", self.values, like).copy_(self.values)


@dataclass
class Stage:
    """One or more links that are evaluated together; ``name`` is that of the last."""

    links: Sequence[Link]

    @property
    def name(self) -> str:
        """Address of what comes out of it."""
        return self.links[-1].name


def stages_of(chain: Sequence[Link], wanted: Collection[str]) -> list[Stage]:
    """The links up to the deepest of ``wanted``, in groups that nothing wanted lies within."""
    deepest = max(index for index, link in enumerate(chain) if link.name in wanted)
    stages: list[Stage] = []
    index = 0
    while index <= deepest:
        size = 1
        if _foldable_conv(chain[index].module):
            for rule in (_folds_norm, _folds_pool):
                end = index + size
                if end <= deepest and chain[end - 1].name not in wanted and rule(chain[index].module, chain[end].module):
                    size += 1
        stages.append(Stage(chain[index : index + size]))
        index += size
    return stages


class Stateless:
    """Evaluates stateless stages; holds what it prepared for them.

    With a ``workspace``, which is for evaluation without gradient, outputs may lie in it until the stage's next call.
    """

    def __init__(self) -> None:
        self._prepared: dict[tuple[str, ...], tuple[tuple[object, ...], _Convolution]] = {}

    def __call__(self, stage: Stage, signal: Signal, dtype: torch.dtype, workspace: Workspace | None = None) -> Signal:
        """The output of ``stage``; constant where its input is."""
        module = stage.links[0].module
        if _foldable_conv(module):
            return Signal(self._convolution(stage)(signal, dtype, workspace, stage.name), signal.constant)
        if isinstance(module, nn.Identity | nn.Dropout) and not hooked(module):
            return signal
        if type(module) is nn.Flatten and not hooked(module):
            return Signal(module(signal.values), signal.constant, signal.binary)
        if type(module) is nn.Linear and signal.binary and not hooked(module) and pays(_as_conv(module.weight)):
            return Signal(self._linear(stage, module)(signal, dtype, workspace, stage.name).flatten(1), signal.constant)
        binary = signal.binary and type(module) is nn.MaxPool2d
        values = signal.floats(dtype, workspace)
        if workspace is not None and _simple_max_pool(module) and values.dim() == 4:
            return Signal(_max_pool(values, _pair(module.kernel_size), workspace, stage.name), signal.constant, binary)  # type: ignore[arg-type]
        return Signal(module(values), signal.constant, binary)

    def _convolution(self, stage: Stage) -> _Convolution:
        return self._kept(stage, lambda: _Convolution.of(*(link.module for link in stage.links)))

    def _linear(self, stage: Stage, module: nn.Linear) -> _Convolution:
        return self._kept(stage, lambda: _Convolution(_as_conv(module.weight), module.bias, (1, 1), (0, 0), (1, 1), 1, linear=True))

    def _kept(self, stage: Stage, make: Callable[[], _Convolution]) -> _Convolution:
        names = tuple(link.name for link in stage.links)
        sources = [tensor for link in stage.links for tensor in (*link.module.parameters(), *link.module.buffers())]
        if any(tensor.is_inference() for tensor in sources):  # these count no versions
            return make()
        key = tuple((id(tensor), tensor.data_ptr(), tensor._version) for tensor in sources)
        if names not in self._prepared or self._prepared[names][0] != key:
            with torch.inference_mode(False), torch.no_grad():
                self._prepared[names] = (key, make())
        return self._prepared[names][1]


class _Convolution:
    """A convolution with frozen weights, in the order of memory and by the method that suit its input."""

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor | None,
        stride: tuple[int, int],
        padding: tuple[int, int],
        dilation: tuple[int, int],
        groups: int,
        *,
        linear: bool = False,
    ) -> None:
        self.weight = weight.detach().clone(memory_format=torch.channels_last if weight.device.type == "cpu" else torch.contiguous_format)
        self.bias = None if bias is None else bias.detach().clone()
        self.stride, self.padding, self.dilation, self.groups, self.linear = stride, padding, dilation, groups, linear
        self._lookup: SpikeConv2d | None = None

    @staticmethod
    def of(conv: nn.Module, *following: nn.Module) -> _Convolution:
        """A convolution and what is folded into it."""
        assert isinstance(conv, nn.Conv2d)
        weight, bias, stride = conv.weight.detach(), conv.bias, conv.stride
        for module in following:
            if isinstance(module, nn.BatchNorm2d):
                weight, bias = _with_norm(weight, bias, module)
            elif isinstance(module, nn.AvgPool2d):
                weight, stride = _with_pool(weight, stride, _pair(module.kernel_size))
        padding = (0, 0) if conv.padding == "valid" else conv.padding
        return _Convolution(weight, bias, stride, padding, conv.dilation, conv.groups)  # type: ignore[arg-type]

    def __call__(self, signal: Signal, dtype: torch.dtype, workspace: Workspace | None, name: str) -> Tensor:
        if not signal.constant and signal.binary and self.groups == 1 and pays(self.weight):
            if self._lookup is None:
                with torch.inference_mode(False), torch.no_grad():
                    self._lookup = SpikeConv2d(self.weight, self.bias, self.stride, self.padding, self.dilation)
            values = _folded(signal.values, self.weight.shape[1]) if self.linear else signal.values
            return looked_up(values, self._lookup, self.weight, workspace, name)
        if self.linear:
            return F.linear(signal.floats(dtype, workspace), self.weight.flatten(1), self.bias)
        return F.conv2d(signal.floats(dtype, workspace), self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


def _foldable_conv(module: nn.Module) -> bool:
    return type(module) is nn.Conv2d and module.padding_mode == "zeros" and module.padding != "same" and not hooked(module)


def _folds_norm(conv: nn.Module, norm: nn.Module) -> bool:
    return type(norm) is nn.BatchNorm2d and norm.running_mean is not None and not hooked(norm)


def _folds_pool(conv: nn.Module, pool: nn.Module) -> bool:
    return (
        type(pool) is nn.AvgPool2d
        and isinstance(conv, nn.Conv2d)
        and conv.dilation == (1, 1)
        and _pair(pool.padding) == (0, 0)
        and _pair(pool.stride) == _pair(pool.kernel_size)
        and not pool.ceil_mode
        and pool.divisor_override is None
        and not hooked(pool)
    )


def _simple_max_pool(module: nn.Module) -> bool:
    return (
        type(module) is nn.MaxPool2d
        and _pair(module.padding) == (0, 0)
        and _pair(module.dilation) == (1, 1)
        and _pair(module.stride) == _pair(module.kernel_size)
        and not (module.ceil_mode or module.return_indices)
    )


def _max_pool(values: Tensor, size: tuple[int, int], workspace: Workspace, name: str) -> Tensor:
    """Largest of each window, without a record of where it was."""
    (kh, kw), (n, channels, height, width) = size, values.shape
    windows = values[:, :, : height // kh * kh, : width // kw * kw]
    shape = (n, height // kh, width // kw, channels)
    pooled = workspace.get(f"pool {name}", shape, values.dtype, values.device).permute(0, 3, 1, 2)
    for index in range(kh * kw):
        window = windows[:, :, index // kw :: kh, index % kw :: kw]
        pooled.copy_(window) if index == 0 else torch.maximum(pooled, window, out=pooled)
    return pooled


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


_COLUMN = 64
"""Features of a linear layer that share a table."""


def _as_conv(weight: Tensor) -> Tensor:
    """(outputs, features) as a kernel that is one column of ``_COLUMN`` channels wide: (outputs, channels, rows, 1)."""
    outputs, features = weight.shape
    channels = min(_COLUMN, features)
    rows = -(-features // channels)
    return F.pad(weight, (0, rows * channels - features)).view(outputs, rows, channels, 1).transpose(1, 2)


def _folded(values: Tensor, channels: int) -> Tensor:
    """(n, features) -> (n, channels, rows, 1), to match."""
    rows = -(-values.shape[1] // channels)
    return F.pad(values, (0, rows * channels - values.shape[1])).view(-1, rows, channels, 1).transpose(1, 2)


def _pair(size: int | tuple[int, ...]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (size[0], size[-1])
