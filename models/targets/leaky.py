"""A leaky integrate-and-fire layer over all time steps at once, with a hand-written backward pass.

The recurrence is that of snntorch's ``Leaky`` in every reset variant. With its default, a delayed and detached reset by
subtraction, it reads::

    reset[t]    = [membrane[t-1] > threshold]
    membrane[t] = beta * membrane[t-1] + current[t] - reset[t] * threshold
    spike[t]    = [membrane[t] > threshold]

"zero" multiplies the membrane by 1 - reset before it decays instead; without delay a spike also resets the membrane of
its own step. The default gradient is the arctangent surrogate (Fang et al. 2021, as in ``snntorch.surrogate.atan``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

Reset = Literal["subtract", "zero", "none"]

_BLOCK = 2**16
"""Elements whose surrogate slope is computed in one call: few calls for small layers, within the cache for large ones."""


@dataclass(frozen=True)
class LeakyConstants:
    """The constants of a leaky layer.

    Attributes
    ----------
    beta : float or Tensor
        Decay of the membrane a step, in [0, 1]; a tensor must broadcast against one step's (n, *units).
    threshold : float or Tensor
        Firing threshold, at least 0; a tensor must broadcast against one step's (n, *units).
    reset : {"subtract", "zero", "none"}
        How a spike resets the membrane.
    delayed : bool
        Whether the reset takes place in the following step (snntorch's ``reset_delay``).
    """

    beta: float | Tensor
    threshold: float | Tensor = 1.0
    reset: Reset = "subtract"
    delayed: bool = True


def atan_slope(alpha: float) -> Callable[[Tensor], Tensor]:
    """Return the slope of the arctangent surrogate as a function of x = membrane - threshold.

    The function returns d spike / d membrane = alpha/2 / (1 + (pi/2 * alpha * x)^2), elementwise.

    Parameters
    ----------
    alpha : float
        Steepness, > 0.
    """

    def slope(x: Tensor) -> Tensor:
        return x.mul(torch.pi / 2 * alpha).square_().add_(1).reciprocal_().mul_(alpha / 2)

    return slope


def leaky_scan(current: Tensor, beta: float, threshold: float = 1.0, alpha: float = 2.0) -> tuple[Tensor, Tensor]:
    """Return spikes and membranes of a leaky layer with a delayed reset by subtraction and the arctangent surrogate.

    Parameters
    ----------
    current : Tensor
        Input current, (steps, n, *units).
    beta : float
        Decay of the membrane a step, in [0, 1].
    threshold : float
        Firing threshold.
    alpha : float
        Steepness of the surrogate gradient.

    Returns
    -------
    spikes, membranes : Tensor
        Each (steps, n, *units); spikes are 0 or 1, membranes are the values that were compared with the threshold.
    """
    return leaky_layer(current, None, LeakyConstants(beta, threshold), atan_slope(alpha))


def leaky_layer(
    current: Tensor, steps: int | None, constants: LeakyConstants, slope: Callable[[Tensor], Tensor] | None
) -> tuple[Tensor, Tensor]:
    """Return spikes and membranes of a leaky layer, differentiable in ``current``.

    Parameters
    ----------
    current : Tensor
        Input current: (steps, n, *units), or (n, *units) where it is the same at every step.
    steps : int or None
        Number of steps of a constant current; None where ``current`` has the steps.
    constants : LeakyConstants
        The layer's constants.
    slope : callable or None
        d spike / d membrane as a function of membrane - threshold, elementwise; None: no gradient flows through spikes.

    Returns
    -------
    spikes, membranes : Tensor
        Each (steps, n, *units); membranes are those that snntorch returns: after the reset where it is not delayed.
    """
    return _LeakyScan.apply(current, steps, constants, slope)  # pyright: ignore[reportReturnType]


def leaky_spikes(
    current: Tensor,
    steps: int | None,
    constants: LeakyConstants,
    *,
    store: Tensor | None = None,
    observe: Callable[[Tensor, Tensor], None] | None = None,
) -> None:
    """Compute the spikes of a leaky layer, without gradient and without storing membranes.

    Parameters
    ----------
    current, steps, constants
        As for ``leaky_layer``.
    store : Tensor or None
        (steps, n, *units), bool; receives the spikes.
    observe : callable or None
        Called at each step with its spikes (0 or 1) and membranes, both (n, *units) in the dtype of ``current``;
        the next step overwrites these buffers.
    """
    each = current.unbind(0) if steps is None else (current,) * steps
    kept = [None] * len(each) if store is None else store.unbind(0)
    membrane, fired = torch.zeros_like(each[0]), torch.zeros_like(each[0])
    beta, threshold, reset = constants.beta, constants.threshold, constants.reset
    immediate = not constants.delayed and reset != "none"
    pending = torch.zeros_like(each[0]) if immediate else fired  # resets that take place in the next step
    shift = torch.empty_like(each[0]) if immediate else None
    # a tensor, since a number would be converted into one at every step
    limit = threshold if isinstance(threshold, Tensor) else torch.tensor(threshold, dtype=membrane.dtype, device=membrane.device)
    for now, keep in zip(each, kept, strict=True):
        if reset == "zero":
            membrane.addcmul_(membrane, pending, value=-1)
        _decay(now, membrane, beta, out=membrane)
        if reset == "subtract":
            _subtract(membrane, pending, threshold)
        torch.gt(membrane, limit, out=fired)
        if shift is not None:
            torch.sub(fired, pending, out=shift)
            _reset_now(membrane, shift, constants)
            torch.gt(membrane, limit, out=pending)
        if observe is not None:
            observe(fired, membrane)
        if keep is not None:
            keep.copy_(fired)


class _LeakyScan(torch.autograd.Function):
    @staticmethod
    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, current: Tensor, steps: int | None, constants: LeakyConstants, slope: Callable[[Tensor], Tensor] | None
    ) -> tuple[Tensor, Tensor]:
        ctx.set_materialize_grads(False)
        first = current if steps is not None else current[0]
        count = current.shape[0] if steps is None else steps
        # the layout of one step (such as channels last) is kept: mixed layouts take several times as long as the arithmetic
        dense = torch.empty_like(first)
        membranes = current.new_empty_strided((count, *first.shape), (dense.numel(), *dense.stride()))
        spikes = torch.empty_like(membranes)
        immediate = not constants.delayed and constants.reset != "none"
        states = torch.empty_like(membranes) if immediate else membranes
        reset = dense
        for t in range(count):
            step, membrane = first if steps is not None else current[t], membranes[t]
            if t == 0:
                membrane.copy_(step)
            else:
                before = states[t - 1]
                reset = (before > constants.threshold).to(before.dtype) if immediate else spikes[t - 1]
                if constants.reset == "zero":
                    before = before - before * reset
                _decay(step, before, constants.beta, out=membrane)
                if constants.reset == "subtract":
                    _subtract(membrane, reset, constants.threshold)
            torch.gt(membrane, constants.threshold, out=spikes[t])  # type: ignore[call-overload]
            if immediate:
                states[t].copy_(membrane)
                _reset_now(states[t], spikes[t] - reset if t else spikes[t], constants)
        ctx.save_for_backward(membranes, states)
        ctx.settings = (constants, slope, steps is not None, immediate)
        return spikes, states

    @staticmethod
    def backward(ctx: Any, grad_spikes: Tensor | None, grad_membranes: Tensor | None) -> tuple[Tensor | None, None, None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        membranes, states = ctx.saved_tensors
        constants, slope, constant, immediate = ctx.settings
        if grad_spikes is None and grad_membranes is None:
            return None, None, None, None
        count, numel = membranes.shape[0], membranes[0].numel()
        block = max(1, _BLOCK // max(1, numel))
        grads = None if constant else torch.empty_like(membranes)
        total = torch.zeros_like(membranes[0]) if constant else None
        later: Tensor | None = None  # gradient of the membrane one step later, before its immediate reset
        for end in range(count, 0, -block):
            start = max(0, end - block)
            slopes = None if slope is None else slope(membranes[start:end] - constants.threshold)
            for t in range(end - 1, start - 1, -1):
                here = torch.zeros_like(membranes[t]) if grad_membranes is None else grad_membranes[t].clone()
                if later is not None:
                    carried = later
                    if constants.reset == "zero":
                        carried = later * (states[t] <= constants.threshold)
                    _decay(here, carried, constants.beta, out=here)
                through = None if grad_spikes is None else grad_spikes[t]
                if immediate:
                    here, through = _through_reset(here, through, membranes[t], states[t - 1] if t else None, constants)
                if slopes is not None and through is not None:
                    here.addcmul_(slopes[t - start], through)
                later = here
                if grads is not None:
                    grads[t] = here
                elif total is not None:
                    total.add_(here)
        return (total if constant else grads), None, None, None


def _through_reset(
    grad: Tensor, through: Tensor | None, membrane: Tensor, before: Tensor | None, constants: LeakyConstants
) -> tuple[Tensor, Tensor]:
    """Return the gradients before an immediate reset: state = membrane - (spike - reset) * (threshold or membrane)."""
    taken = grad * (constants.threshold if constants.reset == "subtract" else membrane)
    if constants.reset == "zero":
        fired = (membrane > constants.threshold).to(grad.dtype)
        reset = 0.0 if before is None else (before > constants.threshold).to(grad.dtype)
        grad = grad * (1 - (fired - reset))
    return grad, (-taken if through is None else through - taken)


def _decay(current: Tensor, membrane: Tensor, beta: float | Tensor, *, out: Tensor) -> None:
    """Compute out = beta * membrane + current; ``out`` may be either of them."""
    if isinstance(beta, Tensor):
        torch.add(membrane * beta, current, out=out)
    else:
        torch.add(current, membrane, alpha=beta, out=out)


def _reset_now(membrane: Tensor, shift: Tensor, constants: LeakyConstants) -> None:
    """Reset the membrane within the step of the spike, in place; ``shift`` excludes resets of the step before."""
    if constants.reset == "zero":
        membrane.addcmul_(membrane, shift, value=-1)
    else:
        _subtract(membrane, shift, constants.threshold)


def _subtract(membrane: Tensor, reset: Tensor, threshold: float | Tensor) -> None:
    if isinstance(threshold, Tensor):
        membrane.addcmul_(reset, threshold.to(membrane.dtype), value=-1)
    else:
        membrane.sub_(reset, alpha=threshold)
