"""Properties of snntorch's neurons: which can be scanned over all steps at once, and how to step the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import snntorch as snn
import torch
from torch import Tensor, nn

from ..leaky import LeakyConstants, Reset, atan_slope
from .module_kinds import is_exactly

_SEQUENCE = (snn.StateLeaky, snn.AssociativeLeaky, snn.LeakyParallel)
"""Neurons that take all time steps in one call, (steps, n, features)."""

_STEPPED = (snn.Leaky, snn.Synaptic, snn.Alpha, snn.Lapicque, snn.RLeaky, snn.RSynaptic, snn.SLSTM, snn.SConv2dLSTM)
"""Neurons that take one step a call, whose spikes are their surrogate's value at the membrane."""

_ELEMENTWISE = ("atan", "fast_sigmoid", "sigmoid", "straight_through_estimator", "triangular", "heaviside", "spike_rate_escape", "SFS")
"""Surrogates of ``snntorch.surrogate`` that spike at x > 0 and whose gradient is a fixed elementwise factor."""

_RESETS: dict[str, tuple[Reset, int]] = {"_base_sub": ("subtract", 0), "_base_zero": ("zero", 1), "_base_int": ("none", 2)}
"""Resets by the name of a Leaky's state function, each with the ``reset_mechanism_val`` of a neuron built with it."""


def is_neuron(module: nn.Module) -> bool:
    """Return whether a module is one of snntorch's neurons."""
    return isinstance(module, (snn.SpikingNeuron, *_SEQUENCE))


def takes_sequence(module: nn.Module) -> bool:
    """Return whether a neuron takes all time steps in one call."""
    return isinstance(module, _SEQUENCE)


def spikes_at_all(module: nn.Module) -> bool:
    """Return whether a neuron returns spikes, not membranes alone (``StateLeaky(output=False)``)."""
    return not (isinstance(module, snn.StateLeaky) and not module.output)


def gives_binary(module: nn.Module) -> bool:
    """Return whether a neuron's spikes are certainly 0 or 1."""
    if not is_exactly(module, *_STEPPED) or _surrogate(module) is None:
        return False
    factor: Tensor = module.graded_spikes_factor  # type: ignore[assignment]
    return factor.numel() == 1 and float(factor) == 1.0


@dataclass(frozen=True)
class FusedLeaky:
    """A leaky layer that ``leaky_layer`` evaluates exactly; ``slope`` is None for a disabled surrogate."""

    constants: LeakyConstants
    slope: Callable[[Tensor], Tensor] | None
    per_unit: tuple[tuple[torch.Size, torch.dtype], ...] = ()
    """Shape and precision of the constants that are no scalars for torch."""

    def fits(self, current: Tensor) -> bool:
        """Return whether the layer's constants keep shape and precision of one step's ``current``, (n, *units)."""
        return current.dtype in (torch.float32, torch.float64) and all(
            dtype == current.dtype and len(shape) < current.dim() and _broadcasts(shape, current.shape[1:])
            for shape, dtype in self.per_unit
        )


def fused_leaky(module: nn.Module) -> FusedLeaky | None:
    """Return the present constants of an ``snntorch.Leaky``, or None where it has to be stepped as a module.

    Stepped are subclasses, inhibition, quantised states, graded spikes, negative thresholds, other surrogates than snntorch's, modules
    with hooks or patched methods, and neurons whose reset was changed after construction (snntorch then mixes both resets).
    """
    if not is_exactly(module, snn.Leaky) or module.inhibition or module.state_quant or not gives_binary(module):
        return None
    function: Any = module.state_function
    reset, number = _RESETS.get(getattr(function, "__name__", ""), ("none", -1))
    own = getattr(function, "__self__", None) is module and getattr(function, "__func__", None) is getattr(snn.Leaky, function.__name__, 0)
    if not own or int(module.reset_mechanism_val) != number:  # type: ignore[arg-type]
        return None
    beta: Tensor = module.beta.detach().clamp(0, 1)  # type: ignore[operator]
    threshold: Tensor = module.threshold.detach()  # type: ignore[operator]
    if bool((threshold < 0).any()):
        return None
    constants = LeakyConstants(_scalar(beta), _scalar(threshold), reset, bool(module.reset_delay))
    per_unit = tuple((value.shape, value.dtype) for value in (beta, threshold) if value.dim())
    name, surrogate = _surrogate(module) or ("", None)
    if surrogate is None or name == "_surrogate_bypass":
        return FusedLeaky(constants, None, per_unit)
    if name == "atan":
        return FusedLeaky(constants, atan_slope(float(surrogate.__closure__[0].cell_contents)), per_unit)
    return FusedLeaky(constants, _slope_of(surrogate), per_unit)


def clear(module: nn.Module) -> None:
    """Reset a neuron's state; its next call starts from rest. Call this within ``preserve_state``."""
    if isinstance(module, snn.DeltaLeaky):
        module.reset_mem()
        module.__dict__["init_hidden"] = True  # otherwise the module needs its state as an argument
        return
    for name in module._non_persistent_buffers_set:
        state = module._buffers[name]
        if state is not None:
            # empty: a neuron starts from zeros when the shape of its state differs from that of its input
            module._buffers[name] = torch.zeros(0, dtype=state.dtype, device=state.device)


Fired = tuple[Tensor | None, Tensor | None]
"""Spikes and membranes of one call of a neuron; None where it has none."""


class Inside:
    """Spikes and membranes inside neurons that don't return both, call by call."""

    def __init__(self) -> None:
        self._held: dict[int, Fired] = {}

    @contextmanager
    def watching(self, modules: Iterable[nn.Module]) -> Iterator[Inside]:
        """Read the inside of those of ``modules`` that need it until the block ends. Use this within ``preserve_state``."""
        handles = []
        try:
            for module in modules:
                if isinstance(module, snn.LeakyParallel):
                    handles.append(module.rnn.register_forward_hook(self._recurrent(id(module))))
                elif isinstance(module, snn.AssociativeLeaky):
                    module.__dict__["fire"] = self._firing(id(module), module.fire)
            yield self
        finally:
            for handle in handles:
                handle.remove()
            for module in modules:
                if isinstance(module, snn.AssociativeLeaky):
                    module.__dict__.pop("fire", None)

    def read(self, module: nn.Module, output: Any) -> Fired:
        """Return spikes and membranes of a neuron's call.

        Parameters
        ----------
        module : nn.Module
            The neuron.
        output : object
            The call's return value; membranes come last in a tuple.

        Returns
        -------
        Fired
            Spikes and membranes, each a Tensor or None.
        """
        held = self._held.pop(id(module), None)
        if held is not None:
            return (output if held[0] is None else held[0]), held[1]
        if not spikes_at_all(module):
            return None, output
        if isinstance(output, tuple):
            last = output[-1]
            return output[0], last[0] if isinstance(last, tuple) else last
        membranes = getattr(module, "mem", None)
        return output, membranes if isinstance(membranes, Tensor) and membranes.numel() else None

    def _recurrent(self, key: int) -> Callable[..., None]:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            self._held[key] = (None, output[0])

        return hook

    def _firing(self, key: int, fire: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        def firing(mem: Tensor) -> Tensor:
            spikes = fire(mem)
            self._held[key] = (spikes, mem)
            return spikes

        return firing


def passed_on(output: Any) -> Tensor:
    """Return the part of a neuron's ``output`` for the next layer: its spikes, which come first in a tuple."""
    return output[0] if isinstance(output, tuple) else output


def _surrogate(module: nn.Module) -> tuple[str, Any] | None:
    """Return name and function of a known surrogate, else None."""
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


def _broadcasts(shape: torch.Size, units: torch.Size) -> bool:
    """Return whether a constant of ``shape`` broadcasts to ``units`` without enlarging them."""
    return len(shape) <= len(units) and all(size in (1, unit) for size, unit in zip(reversed(shape), reversed(units), strict=False))
