"""What is known of snntorch's neurons: which can be scanned at once, and how to step the others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import snntorch as snn
import torch
from torch import Tensor, nn

from ..leaky import LeakyConstants, atan_slope

_SEQUENCE = (snn.StateLeaky, snn.AssociativeLeaky, snn.LeakyParallel)
"""Neurons that take all time steps in one call, (steps, n, features)."""

_ELEMENTWISE = ("atan", "fast_sigmoid", "sigmoid", "straight_through_estimator", "triangular", "heaviside", "spike_rate_escape", "SFS")
"""Surrogates of ``snntorch.surrogate`` that spike at x > 0 and whose gradient is a fixed elementwise factor."""


def hooked(module: nn.Module) -> bool:
    """Whether calling a module does more than its ``forward``."""
    return bool(module._forward_hooks or module._forward_pre_hooks)


def is_neuron(module: nn.Module) -> bool:
    """Whether a module is one of snntorch's neurons."""
    return isinstance(module, (snn.SpikingNeuron, *_SEQUENCE))


def takes_sequence(module: nn.Module) -> bool:
    """Whether a neuron takes all time steps in one call."""
    return isinstance(module, _SEQUENCE)


def gives_binary(module: nn.Module) -> bool:
    """Whether a neuron's spikes are surely 0 or 1."""
    if takes_sequence(module) or not isinstance(module, snn.SpikingNeuron) or isinstance(module, snn.DeltaLeaky):
        return False
    factor: Tensor = module.graded_spikes_factor  # type: ignore[assignment]
    return _surrogate(module) is not None and factor.numel() == 1 and float(factor) == 1.0


@dataclass(frozen=True)
class FusedLeaky:
    """A leaky layer that ``leaky_layer`` evaluates exactly."""

    constants: LeakyConstants
    slope: Callable[[Tensor], Tensor] | None


def fused_leaky(module: nn.Module) -> FusedLeaky | None:
    """The constants of an ``snntorch.Leaky`` as they are now, or None where it has to be stepped as a module.

    Stepped are subclasses, inhibition, quantised states, graded spikes, negative thresholds, surrogates of others, and
    modules with hooks.
    """
    if type(module) is not snn.Leaky or module.inhibition or module.state_quant or hooked(module) or not gives_binary(module):
        return None
    beta: Tensor = module.beta.detach().clamp(0, 1)  # type: ignore[operator]
    threshold: Tensor = module.threshold.detach()  # type: ignore[operator]
    if bool((threshold < 0).any()):
        return None
    constants = LeakyConstants(_scalar(beta), _scalar(threshold), module.reset_mechanism, bool(module.reset_delay))  # type: ignore[arg-type]
    name, surrogate = _surrogate(module) or ("", None)
    if surrogate is None or name == "_surrogate_bypass":
        return FusedLeaky(constants, None)
    if name == "atan":
        return FusedLeaky(constants, atan_slope(float(surrogate.__closure__[0].cell_contents)))
    return FusedLeaky(constants, _slope_of(surrogate))


def clear(module: nn.Module) -> None:
    """Forget a neuron's state; its next call starts from rest. To be called within ``undisturbed``."""
    if isinstance(module, snn.DeltaLeaky):
        module.reset_mem()
        module.__dict__["init_hidden"] = True  # without it the module asks for its state as an argument
        return
    for name in module._non_persistent_buffers_set:
        state = module._buffers[name]
        if state is not None:
            # of no size: a neuron starts from zeros when the shape of its state is not that of its input
            module._buffers[name] = torch.zeros(0, dtype=state.dtype, device=state.device)


def step(module: nn.Module, current: Tensor) -> tuple[Tensor, Tensor]:
    """One time step of any stepping neuron: (n, *units) -> spikes and membranes.

    snntorch's surrogates spike in float32 whatever their input; here spikes are of the input's precision.
    """
    spikes, membranes = split(module, module(current))
    return spikes.to(current.dtype), membranes


def split(module: nn.Module, output: Any) -> tuple[Tensor, Tensor]:
    """Spikes and membranes out of what a neuron returned; membranes come last where it returns several tensors."""
    if not isinstance(output, tuple):
        membranes = getattr(module, "mem", None)
        return output, membranes if isinstance(membranes, Tensor) and membranes.numel() else output
    last = output[-1]
    return output[0], last[0] if isinstance(last, tuple) else last


def _surrogate(module: nn.Module) -> tuple[str, Any] | None:
    """Name and function of a surrogate whose workings are known."""
    surrogate: Any = module.spike_grad
    if surrogate is snn.SpikingNeuron._surrogate_bypass:
        return "_surrogate_bypass", surrogate
    if getattr(surrogate, "__module__", "") != "snntorch.surrogate":
        return None
    name = getattr(surrogate, "__qualname__", "").split(".")[0]
    return (name, surrogate) if name in _ELEMENTWISE else None


def _slope_of(surrogate: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    def slope(x: Tensor) -> Tensor:
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            spikes = surrogate(x)
            return torch.autograd.grad(spikes, x, torch.ones_like(spikes))[0]

    return slope


def _scalar(value: Tensor) -> float | Tensor:
    return float(value) if value.numel() == 1 else value


def _hooked(module: nn.Module) -> bool:
    return bool(module._forward_hooks or module._forward_pre_hooks)
