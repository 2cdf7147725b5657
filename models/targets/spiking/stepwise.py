"""The plain loops: the whole network, one step after another, as snntorch's tutorials run it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .chain import Link
from .neurons import clear, is_neuron, split, step, takes_sequence
from .readout import Readout, read

Record = dict[str, list[tuple[Tensor, Tensor]]]
"""Spikes and membranes of every call of a neuron, by name; for other layers twice their output."""


def run_chain(chain: Sequence[Link], inputs: Tensor, steps: int, wanted: Collection[str], *, constant: bool) -> Record:
    """Every link at every step, as far as the deepest of ``wanted``. To be called within ``undisturbed``.

    Parameters
    ----------
    chain : sequence of Link
        The network; ValueError where a neuron takes all steps in one call.
    inputs : Tensor
        (n, *stimulus) where ``constant``, otherwise (steps, n, *stimulus).
    steps : int
        Time steps.
    wanted : collection of str
        Names of links.
    constant : bool
        Whether every step has the same input.
    """
    deepest = max(index for index, link in enumerate(chain) if link.name in wanted)
    chain = chain[: deepest + 1]
    record: Record = {link.name: [] for link in chain if link.name in wanted}
    for link in chain:
        if link.neuron:
            if takes_sequence(link.module):
                raise ValueError(f"{link.name} ({type(link.module).__name__}) takes all time steps at once: it has no step-by-step loop")
            clear(link.module)
    for t in range(steps):
        x = inputs if constant else inputs[t]
        for link in chain:
            spikes, membranes = step(link.module, x) if link.neuron else (link.module(x),) * 2
            if link.name in record:
                record[link.name].append((spikes, membranes))
            x = spikes
    return record


class WholeNetwork:
    """A network with a ``forward`` of its own.

    Either it takes the input of one step and its neurons keep their state (``init_hidden=True``): then it is called once a
    step. Or it takes a stimulus and loops over time itself, returning its record: then it is called once, which a trial call
    tells by its neurons being called several times. In both, what neurons and weighted layers return is caught by hooks that
    live as long as the call; nothing is skipped after the deepest layer asked for, since later layers may feed back.
    """

    def __init__(self, network: nn.Module) -> None:
        self.network = network
        self.loops = False

    def names(self) -> dict[str, nn.Module]:
        """Layers whose calls can be caught: neurons, and outermost modules with parameters that hold no neuron."""
        found: dict[str, nn.Module] = {}
        for name, module in self.network.named_modules():
            inside = any(name.startswith(f"{outer}.") for outer in found)
            if not name or inside:
                continue
            if is_neuron(module) or (not any(map(is_neuron, module.modules())) and any(True for _ in module.parameters())):
                found[name] = module
        return found

    def trial(self, stimulus: Tensor, steps: int, *, direct: bool) -> Record:
        """One call, which tells whether the network loops by itself; ValueError where it does so for another number of steps."""
        record: Record = {name: [] for name in self.names()}
        self._call(record, [stimulus])
        modules = self.names()
        most = max((len(calls) for name, calls in record.items() if is_neuron(modules[name])), default=0)
        self.loops = most > 1
        if self.loops and most != steps:
            raise ValueError(f"the network loops over {most} time steps by itself; give steps={most}")
        if self.loops and not direct:
            raise ValueError("the network loops over time by itself and sees one input: only direct coding works with it")
        return {name: calls for name, calls in record.items() if calls}

    def run(self, inputs: Tensor, steps: int, wanted: Collection[str], *, constant: bool) -> Record:
        """As ``run_chain``."""
        record: Record = {name: [] for name in wanted}
        self._call(record, [inputs] if self.loops else [inputs if constant else inputs[t] for t in range(steps)])
        return record

    def _call(self, record: Record, each: Sequence[Tensor]) -> None:
        modules = self.names()
        handles = [modules[name].register_forward_hook(_catch(calls)) for name, calls in record.items()]
        try:
            for module in modules.values():
                if is_neuron(module):
                    clear(module)
            for inputs in each:
                self.network(inputs)
        finally:
            for handle in handles:
                handle.remove()


def respond_from(record: Record, modules: Mapping[str, nn.Module], readout: Readout) -> dict[str, Tensor]:
    """Responses out of a record, (n, *layer) each."""
    found = {}
    for name, calls in record.items():
        spikes = torch.stack([call[0] for call in calls])
        if is_neuron(modules[name]):
            found[name] = read(readout, spikes, torch.stack([call[1] for call in calls]))
        else:
            found[name] = spikes.mean(0)
    return found


def _catch(calls: list[tuple[Tensor, Tensor]]) -> Any:
    def hook(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        if is_neuron(module):
            calls.append(split(module, output))
        elif isinstance(output, Tensor):
            calls.append((output, output))

    return hook
