"""Readouts: one response a unit from spikes and membranes over time."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Readout = Literal["count", "rate", "latency", "membrane"]

KINDS: dict[str, str] = {
    "count": "spike count",
    "rate": "firing rate",
    "latency": "first-spike earliness",
    "membrane": "peak membrane",
}
"""Kind of a layer's response, by readout."""
RESPONSE_UNITS: dict[str, str] = {"count": "spikes", "rate": "spikes per step", "latency": "", "membrane": "membrane potential"}
"""What a neuron's response is measured in, by readout; earliness is a share of the steps, without a unit."""


def read(readout: Readout, spikes: Tensor, membranes: Tensor) -> Tensor:
    """Return the responses of a layer, differentiable.

    Parameters
    ----------
    readout : {"count", "rate", "latency", "membrane"}
        ``count``: sum of the spikes over steps.
        ``rate``: mean of the spikes over steps, in [0, 1] for plain spikes.
        ``latency``: (steps - t) / steps with t = 0 … steps - 1 the step of the first spike, so that a higher response is an
        earlier spike, 1 the earliest; 0 where there is none. Its gradient is that of the share of steps by which the unit
        has fired, 1 - product of (1 - spike), under the network's own surrogate: a spike that would come k steps earlier
        is worth k / steps.
        ``membrane``: the highest membrane of any step, as the neuron returns it.
    spikes, membranes : Tensor
        Each (steps, n, *units).

    Returns
    -------
    Tensor
        (n, *units).
    """
    if readout == "membrane":
        return membranes.amax(0)
    if readout == "count":
        return spikes.sum(0)
    if readout == "rate":
        return spikes.mean(0)
    # graded spikes count as spikes
    fired = (spikes > 0).to(spikes.dtype) + (spikes - spikes.detach())
    return (1 - (1 - fired).cumprod(0)).mean(0)


class RunningReadout:
    """A readout that is updated step by step without storing the steps, for spikes of 0 or 1 and without gradient."""

    def __init__(self, readout: Readout) -> None:
        self.readout: Readout = readout
        self.steps = 0
        self._total: Tensor | None = None
        self._seen: Tensor | None = None

    def observe(self, spikes: Tensor, membranes: Tensor) -> None:
        """Add one step: spikes and membranes, both (n, *units), may be overwritten afterwards."""
        self.steps += 1
        if self._total is None:
            self._total = (membranes if self.readout == "membrane" else spikes).clone()
            self._seen = spikes.clone() if self.readout == "latency" else None
        elif self.readout == "membrane":
            torch.maximum(self._total, membranes, out=self._total)
        elif self._seen is not None:
            self._total.add_(torch.maximum(self._seen, spikes, out=self._seen))
        else:
            self._total.add_(spikes)

    def response(self) -> Tensor:
        """Return the responses over all steps so far, (n, *units); ValueError without a step."""
        if self._total is None:
            raise ValueError("no step was observed")
        return self._total / self.steps if self.readout in ("rate", "latency") else self._total
