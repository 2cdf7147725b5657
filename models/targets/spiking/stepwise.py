"""The plain loop over the steps of a chain, as in snntorch's tutorials."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from .chain import Link
from .layerwise import read_neuron, through_neuron
from .memory import own
from .neurons import Fired, Inside, clear, is_neuron, passed_on, takes_sequence
from .readout import Readout
from .stages import require_rows

Record = dict[str, list[Fired]]
"""Spikes and membranes of every step of a layer, by name; for layers without a state, both are their output."""


def run_chain(
    chain: Sequence[Link], inputs: Tensor, steps: int, wanted: Collection[str], *, constant: bool, attached: bool = False
) -> Record:
    """Return a record of ``wanted``, after running every link up to the deepest at every step. Call this within ``preserve_state``.

    A chain with a neuron that takes all steps in one call is run link by link, each link over all steps.

    Parameters
    ----------
    chain : sequence of Link
        The network.
    inputs : Tensor
        (n, *stimulus) where ``constant``, otherwise (steps, n, *stimulus).
    steps : int
        Time steps.
    wanted : collection of str
        Names of links.
    constant : bool
        Whether every step has the same input.
    attached : bool
        Whether to record spikes and outputs uncopied, so that following links continue with the recorded tensors.

    Returns
    -------
    Record
        Spikes and membranes of every wanted link, one pair a step, each (n, *units).

    Raises
    ------
    ValueError
        An output has no row for each stimulus.
    """
    deepest = max(index for index, link in enumerate(chain) if link.name in wanted)
    chain = chain[: deepest + 1]
    each = [inputs] * steps if constant else list(inputs)
    if any(takes_sequence(link.module) for link in chain):
        return _link_by_link(chain, each, wanted, attached)
    record: Record = {link.name: [] for link in chain if link.name in wanted}
    for link in chain:
        if link.neuron:
            clear(link.module)
    inside = Inside()
    for x in each:
        x = own(x)  # a module may write into its input
        for link in chain:
            output = link.module(x)
            spikes, membranes = inside.read(link.module, output) if link.neuron else (output, output)
            # snntorch's surrogates return float32 spikes for any input; here the next layer gets the input's precision
            x = require_rows(passed_on(output), x.shape[0], link).to(x.dtype) if link.neuron else require_rows(output, x.shape[0], link)
            if link.name in record:
                if attached:
                    spikes = None if spikes is None else x
                    membranes = membranes if link.neuron and spikes is not None else x
                record[link.name].append((spikes, membranes) if attached else (copied(spikes), copied(membranes)))
                x = own(x) if attached else x
    return record


def _link_by_link(chain: Sequence[Link], each: Sequence[Tensor], wanted: Collection[str], attached: bool) -> Record:
    record: Record = {}
    pairs: list[Fired]
    for link in chain:
        if link.neuron:
            values, spikes, membranes = through_neuron(link, torch.stack(list(each)), None)
            each = list(values)
            if attached:
                spikes, membranes = (None, each) if spikes is None else (each, membranes)
            pairs = [(None if spikes is None else spikes[t], None if membranes is None else membranes[t]) for t in range(len(each))]
        else:
            each = [require_rows(link.module(own(x)), x.shape[0], link) for x in each]
            pairs = [(x, x) for x in each]
        if link.name in wanted:
            record[link.name] = pairs if attached else [(copied(one), copied(other)) for one, other in pairs]
    return record


def copied(values: Tensor | None) -> Tensor | None:
    """Return a copy, protected from later modules; None for None."""
    return None if values is None else values.clone()


def respond_from(record: Record, modules: Mapping[str, nn.Module], readout: Readout) -> dict[str, Tensor]:
    """Return the responses of a record, (n, *layer) each.

    Parameters
    ----------
    record : Record
        Spikes and membranes by layer.
    modules : mapping of str to nn.Module
        The layers' modules.
    readout : {"count", "rate", "latency", "membrane"}
        Response of neurons; other layers respond with their mean over steps.

    Raises
    ------
    ValueError
        A neuron has nothing to read by ``readout``.
    """
    found = {}
    for name, calls in record.items():
        spikes, membranes = (None if any(part is None for part in parts) else torch.stack(parts) for parts in zip(*calls, strict=True))  # type: ignore[arg-type]
        if is_neuron(modules[name]):
            found[name] = read_neuron(readout, name, spikes, membranes)
        elif spikes is not None:
            found[name] = spikes.mean(0)
    return found


@dataclass
class ChainTrial:
    """The results of a few steps of the plain loop.

    Attributes
    ----------
    record : Record
        Every layer's spikes and membranes.
    steady : set of str
        Names of links before the first neuron that returned the same output at every step.
    stateful : set of str
        Names of links without a neuron whose contents changed during the steps.
    """

    record: Record
    steady: set[str] = field(default_factory=set)
    stateful: set[str] = field(default_factory=set)


def try_chain(chain: Sequence[Link], inputs: Tensor, steps: int) -> ChainTrial:
    """Return the results of a few steps of the plain loop with constant input. Call this within ``preserve_state``.

    Parameters
    ----------
    chain : sequence of Link
        The network.
    inputs : Tensor
        (n, *stimulus).
    steps : int
        Number of steps.
    """
    others = [link for link in chain if not link.neuron]
    before = {link.name: contents(link.module) for link in others}
    trial = ChainTrial(run_chain(chain, inputs, steps, {link.name for link in chain}, constant=True))
    trial.stateful = {link.name for link in others if not same_contents(before[link.name], contents(link.module))}
    for link in chain:
        if link.neuron:
            break
        outputs = [call[0] for call in trial.record[link.name]]
        if link.name in trial.stateful or any(output is None or not _same(output, outputs[0]) for output in outputs):
            break
        trial.steady.add(link.name)
    return trial


def _same(one: Tensor, other: Tensor | None) -> bool:
    return other is not None and one.shape == other.shape and bool(torch.equal(one.nan_to_num(), other.nan_to_num()))


Held = list[tuple[str, object, int, list[object]]]
"""Contents of a module: name, value, version of a tensor, members of a container."""


def contents(module: nn.Module) -> Held:
    """Return the contents of a module, for ``same_contents``."""
    found: Held = []
    for part in module.modules():
        for name, value in (*part.__dict__.items(), *part._buffers.items()):
            version = value._version if isinstance(value, Tensor) and not value.is_inference() else 0
            members = list(value.values()) if isinstance(value, dict) else list(value) if isinstance(value, list | tuple | set) else []
            found.append((name, value, version, members))
    return found


def same_contents(before: Held, after: Held) -> bool:
    """Return whether a module holds the same objects, and none of its tensors was written to."""
    return len(before) == len(after) and all(
        one[0] == other[0]
        and _same_object(one[1], other[1])
        and one[2] == other[2]
        and len(one[3]) == len(other[3])
        and all(map(_same_object, one[3], other[3]))
        for one, other in zip(before, after, strict=True)
    )


def _same_object(one: object, other: object) -> bool:
    return one is other or (isinstance(one, int | float | str) and type(one) is type(other) and one == other)
