"""Evaluates a chain layer by layer, each layer over all time steps at once."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor

from ..leaky import leaky_layer, leaky_spikes
from .chain import Link
from .memory import Workspace
from .neurons import FusedLeaky, Inside, clear, fused_leaky, gives_binary, passed_on, takes_sequence
from .readout import Readout, RunningReadout, read
from .stages import Signal, Stage, Stateless, require_rows, stages_of

Plan = Sequence[tuple[Stage, FusedLeaky | None]]
"""Stages in order, each with its constants if it is a fused neuron."""

_CACHED = 2**17
"""Most units of the largest layer, over the stimuli of a chunk, whose state fits the cache during a scan."""


class LayerByLayer:
    """Evaluates a chain.

    Constant signals are computed once: with direct coding, everything before the first neuron. From there on
    stateless layers process all steps as one batch, and neurons are scanned. Plain leaky layers run in a fused scan; other
    neurons are called step by step within their layer.

    Parameters
    ----------
    chain : sequence of Link
        The network.
    steps : int
        Time steps.
    readout : {"count", "rate", "latency", "membrane"}
        Response of neurons; other layers always respond with the mean over steps.
    units : int
        Units of the largest neuron layer; the size of the chunks of a batch follows from it.
    steady : collection of str
        Names of unknown modules that a constant input may pass once for all steps; see ``Stateless``.

    Attributes
    ----------
    at : str
        Name of the layer that is evaluated, or the last one.
    """

    def __init__(self, chain: Sequence[Link], steps: int, readout: Readout, units: int = 1, steady: Collection[str] = ()) -> None:
        self.chain, self.steps = chain, steps
        self.readout: Readout = readout
        self.at = ""
        self._stateless = Stateless(steps, steady)
        self._units = max(1, units)
        self._workspace = Workspace()

    def __call__(self, inputs: Tensor, wanted: Collection[str], *, constant: bool, binary: bool) -> dict[str, Tensor]:
        """Return the responses of the layers ``wanted``.

        Parameters
        ----------
        inputs : Tensor
            (n, *stimulus) where ``constant``, otherwise (steps, n, *stimulus). Gradients are recorded if it requires them
            and the grad mode allows it.
        wanted : collection of str
            Names of links.
        constant : bool
            Whether every step has the same input.
        binary : bool
            Whether every input is 0 or 1.

        Returns
        -------
        dict of str to Tensor
            (n, *layer) each.
        """

        def signal(part: Tensor) -> Signal:
            return Signal(part if constant else part.flatten(0, 1), constant, binary)

        plan = [(stage, fused_leaky(stage.links[0].module) if stage.links[0].neuron else None) for stage in stages_of(self.chain, wanted)]
        if torch.is_grad_enabled() and inputs.requires_grad:
            return self._differentiable(signal(inputs), plan, wanted)
        batch = 0 if constant else 1
        # chunks of equal size: several, where memory is a cache
        chunks = -(-inputs.shape[batch] * self._units // _CACHED) if inputs.device.type == "cpu" else 1
        with torch.no_grad():
            parts = [self._fast(signal(part), plan, wanted) for part in inputs.tensor_split(min(chunks, inputs.shape[batch]), batch)]
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]} if len(parts) > 1 else parts[0]

    def _fast(self, signal: Signal, plan: Plan, wanted: Collection[str]) -> dict[str, Tensor]:
        """Evaluate without gradient: spikes are bits, membranes are not kept."""
        dtype, workspace, found = signal.values.dtype, self._workspace, dict[str, Tensor]()
        for stage, fused in plan:
            self.at = stage.name
            current = self._current(signal, dtype, workspace) if fused is not None else None
            if fused is None or current is None or not fused.fits(current if signal.constant else current[0]):
                signal = self._general(stage, signal, dtype, wanted, found, workspace)
                continue
            running = RunningReadout(self.readout) if stage.name in wanted else None
            store = None
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

    def _differentiable(self, signal: Signal, plan: Plan, wanted: Collection[str]) -> dict[str, Tensor]:
        """Evaluate with gradient: spikes are numbers, and the backward pass of a scan needs its membranes."""
        dtype, found = signal.values.dtype, dict[str, Tensor]()
        for stage, fused in plan:
            self.at = stage.name
            current = self._current(signal, dtype) if fused is not None else None
            if fused is not None and current is not None and fused.fits(current if signal.constant else current[0]):
                steps = self.steps if signal.constant else None
                spikes, membranes = leaky_layer(current, steps, fused.constants, fused.slope)
                if stage.name in wanted:
                    found[stage.name] = read(self.readout, spikes, membranes)
                signal = Signal(spikes.flatten(0, 1), constant=False, binary=True)
            else:
                signal = self._general(stage, signal, dtype, wanted, found, None)
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
        """Evaluate a stateless stage, or a neuron by calls of its module."""
        link = stage.links[0]
        if not link.neuron:
            signal = self._stateless(stage, signal, dtype, workspace)
            if stage.name in wanted:
                values = signal.floats(dtype)
                found[stage.name] = values.clone() if signal.constant else values.unflatten(0, (self.steps, -1)).mean(0)
            return signal
        values, spikes, membranes = through_neuron(link, self._current(signal, dtype, workspace), self.steps if signal.constant else None)
        if stage.name in wanted:
            found[stage.name] = read_neuron(self.readout, link.name, spikes, membranes)
        return Signal(values.flatten(0, 1), constant=False, binary=gives_binary(link.module))

    def _current(self, signal: Signal, dtype: torch.dtype, workspace: Workspace | None = None) -> Tensor:
        values = signal.floats(dtype, workspace)
        return values if signal.constant else values.unflatten(0, (self.steps, -1))


def through_neuron(link: Link, current: Tensor, steps: int | None) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Return a neuron's output, spikes and membranes, from rest over all steps, each (steps, n, *units).

    Parameters
    ----------
    link : Link
        A neuron; it is called once if it takes whole sequences, otherwise once a step.
    current : Tensor
        (steps, n, *units), or (n, *units) for ``steps`` equal steps.
    steps : int or None
        Number of steps of a constant current; None where ``current`` has the steps.

    Raises
    ------
    ValueError
        The output has no row for each stimulus.
    """
    module, dtype = link.module, current.dtype
    clear(module)
    if takes_sequence(module):
        current = current if steps is None else current.expand(steps, *current.shape)
        if current.dim() != 3:
            raise ValueError(f"{link.name} ({type(module).__name__}) takes (steps, n, features), not {current.dim()} dimensions")
        with Inside().watching([module]) as inside:
            output = module(current)
            spikes, membranes = inside.read(module, output)
        values = passed_on(output)
        if values.shape[:2] != current.shape[:2]:
            raise ValueError(f"{link.name} ({type(module).__name__}) answers {tuple(current.shape)} with {tuple(values.shape)}")
        return values.to(dtype), spikes, membranes
    inside, record = Inside(), []
    for one in [current] * steps if steps is not None else current:
        # a copy: a neuron may keep its input, or write into it
        output = module(one.clone())
        record.append((require_rows(passed_on(output), one.shape[0], link).to(dtype), *inside.read(module, output)))
    columns = [None if any(part is None for part in column) else torch.stack(column) for column in zip(*record, strict=True)]
    return columns[0], columns[1], columns[2]  # type: ignore[return-value]


def read_neuron(readout: Readout, name: str, spikes: Tensor | None, membranes: Tensor | None) -> Tensor:
    """Return the response of a neuron layer, (n, *units).

    Parameters
    ----------
    readout : {"count", "rate", "latency", "membrane"}
        The kind of response.
    name : str
        Name of the layer, for messages.
    spikes, membranes : Tensor or None
        (steps, n, *units).

    Raises
    ------
    ValueError
        The neuron has no spikes, or no membranes, to read.
    """
    known = membranes if readout == "membrane" else spikes
    if known is None:
        raise ValueError(f"{name} returns no {'membranes' if readout == 'membrane' else 'spikes'}; choose another readout than {readout!r}")
    return read(readout, known, known)  # one of the two is read


def largest_layer(shapes: Mapping[str, tuple[int, ...]]) -> int:
    """Return the number of units of the largest layer, at least 1."""
    return max((int(torch.Size(shape).numel()) for shape in shapes.values()), default=1)
