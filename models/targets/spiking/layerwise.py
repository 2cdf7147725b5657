"""Evaluates a chain layer by layer, each layer over all time steps at once."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor

from ..leaky import leaky_layer, leaky_spikes
from .chain import Link
from .neurons import FusedLeaky, clear, fused_leaky, gives_binary, step, takes_sequence
from .readout import Readout, RunningReadout, read
from .stages import Signal, Stage, Stateless, stages_of
from .workspace import Workspace

Plan = Sequence[tuple[Stage, FusedLeaky | None]]
"""Stages in order, and what is known of those that are fused neurons."""

_CACHED = 2**17
"""Units of the largest layer, over the stimuli of a chunk, whose state stays in the cache while it is scanned."""


class LayerByLayer:
    """Evaluates a chain.

    What does not change over time is computed once: with direct coding everything before the first neuron. From there on
    stateless layers see all steps as one batch, and neurons are scanned. Plain leaky layers run in a fused scan; other
    neurons are called step by step within their layer.

    Parameters
    ----------
    chain : sequence of Link
        The network.
    steps : int
        Time steps.
    readout : {"count", "rate", "latency", "membrane"}
        What is read from neurons; from other layers it is always the mean over steps.
    units : int
        Units of the largest neuron layer; the size of the chunks of a batch follows from it.
    """

    def __init__(self, chain: Sequence[Link], steps: int, readout: Readout, units: int = 1) -> None:
        self.chain, self.steps = chain, steps
        self.readout: Readout = readout
        self._stateless = Stateless()
        self._units = max(1, units)
        self._workspace = Workspace()

    def __call__(self, inputs: Tensor, wanted: Collection[str], *, constant: bool) -> dict[str, Tensor]:
        """Responses of the layers ``wanted``.

        Parameters
        ----------
        inputs : Tensor
            (n, *stimulus) where ``constant``, otherwise (steps, n, *stimulus). Gradients are recorded if it requires them
            and the grad mode allows it.
        wanted : collection of str
            Names of links.
        constant : bool
            Whether every step has the same input.

        Returns
        -------
        dict of str to Tensor
            (n, *layer) each.
        """
        plan = [(stage, fused_leaky(stage.links[0].module) if stage.links[0].neuron else None) for stage in stages_of(self.chain, wanted)]
        if torch.is_grad_enabled() and inputs.requires_grad:
            return self._differentiable(inputs, plan, wanted, constant)
        batch = 0 if constant else 1
        # chunks of equal size: several, where memory is a cache
        chunks = -(-inputs.shape[batch] * self._units // _CACHED) if inputs.device.type == "cpu" else 1
        with torch.no_grad():
            parts = [self._fast(part, plan, wanted, constant) for part in inputs.tensor_split(min(chunks, inputs.shape[batch]), batch)]
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]} if len(parts) > 1 else parts[0]

    def _signal(self, inputs: Tensor, constant: bool) -> Signal:
        values = inputs if constant else inputs.flatten(0, 1)
        if values.dim() == 4 and values.device.type == "cpu":
            values = values.contiguous(memory_format=torch.channels_last)
        return Signal(values, constant, binary=not constant)

    def _fast(self, inputs: Tensor, plan: Plan, wanted: Collection[str], constant: bool) -> dict[str, Tensor]:
        """Without gradient: spikes are bits, membranes are not kept."""
        signal, found, workspace = self._signal(inputs, constant), {}, self._workspace
        for stage, fused in plan:
            if fused is None:
                signal = self._general(stage, signal, inputs.dtype, wanted, found, workspace)
                continue
            running = RunningReadout(self.readout) if stage.name in wanted else None
            current, store = self._current(signal, inputs.dtype, workspace), None
            if stage is not plan[-1][0]:
                first = current if signal.constant else current[0]
                flat = workspace.flat(f"spikes {stage.name}", self.steps * first.numel(), torch.bool, first.device)
                store = flat.as_strided((self.steps, *first.shape), (first.numel(), *torch.empty_like(first).stride()))
            leaky_spikes(
                current,
                self.steps if signal.constant else None,
                fused.constants,
                store=store,
                observe=None if running is None else running.observe,
            )
            if running is not None:
                found[stage.name] = running.response()
            if store is not None:
                signal = Signal(store.flatten(0, 1), constant=False, binary=True)
        return found

    def _differentiable(self, inputs: Tensor, plan: Plan, wanted: Collection[str], constant: bool) -> dict[str, Tensor]:
        """With gradient: spikes are numbers, and the backward pass of a scan needs its membranes."""
        signal, found = self._signal(inputs, constant), {}
        for stage, fused in plan:
            if fused is not None:
                steps = self.steps if signal.constant else None
                spikes, membranes = leaky_layer(self._current(signal, inputs.dtype), steps, fused.constants, fused.slope)
                if stage.name in wanted:
                    found[stage.name] = read(self.readout, spikes, membranes)
                signal = Signal(spikes.flatten(0, 1), constant=False, binary=True)
            else:
                signal = self._general(stage, signal, inputs.dtype, wanted, found, None)
        return found

    def _general(
        self,
        stage: Stage,
        signal: Signal,
        dtype: torch.dtype,
        wanted: Collection[str],
        found: dict[str, Tensor],
        workspace: Workspace | None,
    ) -> Signal:
        """A stateless stage, or a neuron that is stepped as the module it is."""
        link = stage.links[0]
        if not link.neuron:
            signal = self._stateless(stage, signal, dtype, workspace)
            if stage.name in wanted:
                values = signal.floats(dtype)
                found[stage.name] = values.clone() if signal.constant else values.unflatten(0, (self.steps, -1)).mean(0)
            return signal
        current = self._current(signal, dtype, workspace)
        clear(link.module)
        if takes_sequence(link.module):
            spikes, membranes = step(link.module, current.expand(self.steps, *current.shape) if signal.constant else current)
        else:
            # one tensor at every step would be shared by what a neuron changes in place
            each = (current.clone() for _ in range(self.steps)) if signal.constant else iter(current)
            pairs = [step(link.module, one) for one in each]
            spikes, membranes = torch.stack([pair[0] for pair in pairs]), torch.stack([pair[1] for pair in pairs])
        if stage.name in wanted:
            found[stage.name] = read(self.readout, spikes, membranes)
        return Signal(spikes.flatten(0, 1), constant=False, binary=gives_binary(link.module))

    def _current(self, signal: Signal, dtype: torch.dtype, workspace: Workspace | None = None) -> Tensor:
        values = signal.floats(dtype, workspace)
        return values if signal.constant else values.unflatten(0, (self.steps, -1))


def largest_layer(shapes: Mapping[str, tuple[int, ...]]) -> int:
    """Units of the largest of several layers."""
    return max((int(torch.Size(shape).numel()) for shape in shapes.values()), default=1)
