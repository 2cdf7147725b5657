"""The modules that may be evaluated by a shortcut: exact types of torch with an unmodified call.

A shortcut replaces the call of a module, or calls it with the rows of all time steps as one batch. Both are right only where the
call does exactly what the type does: a subclass, a hook, a ``forward`` on the instance or a patched class may do more.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from torch import Tensor, nn
from torch.nn.modules import module as torch_module

_ANY = frozenset(range(2, 9))
"""Ranks of an activation, (n, *units), whose first dimension counts the rows in every case."""

_ELEMENTWISE = (
    nn.ReLU,
    nn.ReLU6,
    nn.LeakyReLU,
    nn.ELU,
    nn.CELU,
    nn.SELU,
    nn.GELU,
    nn.SiLU,
    nn.Mish,
    nn.Sigmoid,
    nn.Tanh,
    nn.Hardtanh,
    nn.Hardsigmoid,
    nn.Hardswish,
    nn.LogSigmoid,
    nn.Softplus,
    nn.Softsign,
    nn.Tanhshrink,
    nn.Hardshrink,
    nn.Softshrink,
    nn.Threshold,
)

_SPATIAL = {
    1: (nn.Conv1d, nn.ConvTranspose1d, nn.MaxPool1d, nn.AvgPool1d, nn.AdaptiveAvgPool1d, nn.AdaptiveMaxPool1d, nn.LPPool1d),
    2: (nn.Conv2d, nn.ConvTranspose2d, nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d, nn.LPPool2d),
    3: (nn.Conv3d, nn.ConvTranspose3d, nn.MaxPool3d, nn.AvgPool3d, nn.AdaptiveAvgPool3d, nn.AdaptiveMaxPool3d),
}
_PADDING = {
    1: (nn.ZeroPad1d, nn.ConstantPad1d, nn.ReflectionPad1d, nn.ReplicationPad1d),
    2: (nn.ZeroPad2d, nn.ConstantPad2d, nn.ReflectionPad2d, nn.ReplicationPad2d),
    3: (nn.ZeroPad3d, nn.ConstantPad3d, nn.ReflectionPad3d, nn.ReplicationPad3d),
}

RANKS: dict[type[nn.Module], frozenset[int]] = {
    nn.Linear: _ANY,
    **dict.fromkeys(_ELEMENTWISE, _ANY),
    **{kind: frozenset({sides + 2}) for kinds in (_SPATIAL, _PADDING) for sides, group in kinds.items() for kind in group},
    nn.BatchNorm1d: frozenset({2, 3}),
    nn.BatchNorm2d: frozenset({4}),
    nn.BatchNorm3d: frozenset({5}),
    nn.GroupNorm: _ANY,
    nn.PixelShuffle: frozenset({4}),
    nn.PixelUnshuffle: frozenset({4}),
}
"""Modules that process rows independently in evaluation mode, and the ranks whose first dimension torch takes for the rows."""

PASSED_OVER = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)
"""Modules that return their input in evaluation mode."""

_GLOBAL_HOOKS = [
    getattr(torch_module, name)
    for name in ("_global_forward_hooks", "_global_forward_pre_hooks", "_global_backward_hooks", "_global_backward_pre_hooks")
]


def hooked(module: nn.Module) -> bool:
    """Return whether calling a module does more than its ``forward``: the module has hooks, or there are global ones."""
    return bool(
        module._forward_hooks or module._forward_pre_hooks or module._backward_hooks or module._backward_pre_hooks or any(_GLOBAL_HOOKS)
    )


def is_exactly(module: nn.Module, *kinds: type[nn.Module]) -> bool:
    """Return whether a module is of one of ``kinds`` and of no subclass, without hooks, overridden methods or patches."""
    kind = type(module)
    return kind in kinds and not hooked(module) and not _overridden(module) and _original(kind)


def acts_by_row(module: nn.Module, activation: Tensor) -> bool:
    """Return whether a module certainly processes each row of ``activation``, (n, *units), independently."""
    kind = type(module)
    if activation.dim() not in RANKS.get(kind, ()) or not is_exactly(module, kind):
        return False
    if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d):
        return module.running_mean is not None and module.running_var is not None
    return not bool(getattr(module, "return_indices", False))


def flattens_rows_apart(module: nn.Module, activation: Tensor) -> bool:
    """Return whether a module is an ``nn.Flatten`` that keeps the first dimension of ``activation``."""
    if not is_exactly(module, nn.Flatten):
        return False
    start = int(module.start_dim)  # type: ignore[arg-type]
    return (start + activation.dim() if start < 0 else start) >= 1


def _overridden(module: nn.Module) -> bool:
    """Return whether an attribute of the instance shadows a method of its class."""
    return not module.__dict__.keys().isdisjoint(_methods(type(module))) or module.__dict__.get("_compiled_call_impl") is not None


@lru_cache(maxsize=256)
def _methods(kind: type) -> frozenset[str]:
    return frozenset(name for name in dir(kind) if callable(getattr(kind, name, None)))


def _original(kind: type[nn.Module]) -> bool:
    """Return whether the class has its original methods: ``forward`` from its own package, ``__call__`` from torch's module."""
    forward: Any = kind.forward
    return (
        kind.__call__ is nn.Module.__call__
        and getattr(forward, "__module__", "").split(".")[0] == kind.__module__.split(".")[0]
        and not hasattr(forward, "__wrapped__")
    )
