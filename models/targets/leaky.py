"""A leaky integrate-and-fire layer over all time steps at once, with a hand-written backward pass.

The recurrence is snntorch's ``Leaky`` with its delayed, detached reset::

    reset[t]    = [membrane[t-1] > threshold]
    membrane[t] = beta * membrane[t-1] + current[t] - reset[t] * threshold      ("subtract")
    spike[t]    = [membrane[t] > threshold]

and its gradient the arctangent surrogate (Fang et al. 2021, as in ``snntorch.surrogate.atan``).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class _LeakyScan(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, current: Tensor, beta: float, threshold: float, alpha: float) -> tuple[Tensor, Tensor]:  # pyright: ignore[reportIncompatibleMethodOverride]
        # the layout of one step (channels last, say) is kept: mixed layouts cost several times the arithmetic
        membrane = torch.zeros_like(current[0])
        membranes = current.new_empty_strided(current.shape, (membrane.numel(), *membrane.stride()))
        spikes = torch.empty_like(membranes)
        for t in range(current.shape[0]):
            # the reset of this step is the spike of the step before
            membrane = torch.add(current[t], membrane, alpha=beta)
            if t:
                membrane.sub_(spikes[t - 1], alpha=threshold)
            membranes[t] = membrane
            spikes[t] = membrane > threshold
        ctx.save_for_backward(membranes)
        ctx.constants = (beta, threshold, alpha)
        return spikes, membranes

    @staticmethod
    def backward(ctx: Any, grad_spikes: Tensor, grad_membranes: Tensor) -> tuple[Tensor, None, None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        (membranes,) = ctx.saved_tensors
        beta, threshold, alpha = ctx.constants
        # d spike / d membrane = alpha/2 / (1 + (pi/2 * alpha * (membrane - threshold))^2)
        slope = (membranes - threshold).mul_(torch.pi / 2 * alpha).square_().add_(1).reciprocal_().mul_(alpha / 2)
        grads = slope.mul_(grad_spikes).add_(grad_membranes)
        for t in range(grads.shape[0] - 2, -1, -1):
            grads[t].add_(grads[t + 1], alpha=beta)
        return grads, None, None, None


def leaky_scan(current: Tensor, beta: float, threshold: float = 1.0, alpha: float = 2.0) -> tuple[Tensor, Tensor]:
    """Spikes and membranes of a leaky layer.

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
        Each (steps, n, *units); spikes are 0 or 1, membranes are those that the spikes were read from.
    """
    return _LeakyScan.apply(current, beta, threshold, alpha)  # pyright: ignore[reportReturnType]
