"""A network with a custom ``forward``, called unchanged."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from .forms import Calls, Drive, Form, Layout, States, arranged, first_input, over_time, recognise
from .layerwise import read_neuron
from .memory import own
from .neurons import Fired, Inside, clear, is_neuron, passed_on
from .readout import Readout
from .stepwise import copied


class WholeNetwork:
    """A network that is called unchanged, and whose layers are read by hooks.

    The network may take the input of one step and keep its neurons' state (``init_hidden=True``). Or it loops over time itself, with the
    same input at every step or with time as its first or second dimension; ``recognise`` determines which. Hooks on neurons and weighted
    layers exist during a call only. The call doesn't end at the deepest wanted layer, since later layers may feed back.

    Parameters
    ----------
    network : nn.Module
        The network.
    steps : int
        Time steps.
    """

    def __init__(self, network: nn.Module, steps: int) -> None:
        self.network, self.steps = network, steps
        self.form = Form("step")

    def names(self) -> dict[str, nn.Module]:
        """Return the layers that can be read: neurons, and outermost modules with parameters that contain no neuron."""
        found: dict[str, nn.Module] = {}
        for name, module in self.network.named_modules():
            inside = any(name.startswith(f"{outer}.") for outer in found)
            if not name or inside:
                continue
            if is_neuron(module) or (not any(map(is_neuron, module.modules())) and any(True for _ in module.parameters())):
                found[name] = module
        return found

    def trial(self, stimuli: Tensor) -> list[str]:
        """Determine the network's form by showing it ``stimuli``, and return the names of the layers that can be read.

        Call this within ``preserve_state``, with as many stimuli as the larger of ``batches(steps)``.

        Raises
        ------
        Refused
            The network has no known form, or loops over another number of steps.
        """
        self.form = recognise(self._shown, self.names(), stimuli, self.steps)
        return [name for name in self.names() if name in self.form.layouts]

    def respond(self, inputs: Tensor, wanted: Collection[str], readout: Readout, *, constant: bool) -> dict[str, Tensor]:
        """Return the responses of the layers ``wanted``, (n, *layer) each. Call this within ``preserve_state``.

        Parameters
        ----------
        inputs : Tensor
            (n, *stimulus) where ``constant``, otherwise (steps, n, *stimulus).
        wanted : collection of str
            Names of layers.
        readout : {"count", "rate", "latency", "membrane"}
            Response of neurons.
        constant : bool
            Whether every step has the same input.

        Raises
        ------
        ValueError
            A layer is called another number of times than in the trial.
        """
        modules, form = self.names(), self.form
        calls = self._caught(self._inputs(form.drive, inputs, constant), wanted)
        found = {}
        for name in wanted:
            self._require_calls(name, len(calls[name]))
            layout, times = form.layouts[name], form.calls[name]
            spikes, membranes = (arranged(calls[name], layout, times, self.steps, which) for which in (0, 1))
            if is_neuron(modules[name]):
                found[name] = read_neuron(readout, name, spikes, membranes)
            elif spikes is not None:
                found[name] = spikes.mean(0)
        return found

    def activations(self, inputs: Tensor, wanted: Collection[str], readout: Readout, *, constant: bool) -> dict[str, list[Tensor]]:
        """Return the activations of the layers ``wanted`` at every step, uncopied, (n, *layer) each; parameters are as for ``respond``."""
        modules, form = self.names(), self.form
        calls: dict[str, list[list[Tensor]]] = {name: [] for name in wanted}
        inside = Inside()
        with ExitStack() as stack:
            stack.enter_context(inside.watching([modules[name] for name in wanted]))
            for name, found in calls.items():
                hook = _attach(found, inside, form.layouts[name], self.steps, membranes=readout == "membrane")
                stack.callback(modules[name].register_forward_hook(hook).remove)
            self._called(self._inputs(form.drive, inputs, constant))
        for name, found in calls.items():
            self._require_calls(name, len(found))
        last = {name: max(1, form.calls[name]) - 1 for name in wanted}
        return {name: [part for call in found[last[name] :: last[name] + 1] for part in call] for name, found in calls.items()}

    def _require_calls(self, name: str, count: int) -> None:
        layout, times = self.form.layouts[name], self.form.calls[name]
        expected = 1 if layout != "calls" or not times else times * self.steps
        if count != expected:
            raise ValueError(f"{name} was called {count} times for {self.steps} steps; {expected} were expected")

    def _called(self, each: Sequence[Tensor]) -> None:
        """Call the network from rest."""
        for module in self.names().values():
            if is_neuron(module):
                clear(module)
        for inputs in each:
            self.network(own(inputs))  # a copy: the network may write into it

    def _inputs(self, drive: Drive, inputs: Tensor, constant: bool) -> Sequence[Tensor]:
        """Return the inputs of the network's calls, in order."""
        if drive == "loop":
            return [inputs]
        if drive == "step":
            return [inputs] * self.steps if constant else list(inputs)
        timed = inputs.unsqueeze(0).expand(self.steps, *inputs.shape) if constant else inputs
        return [timed if drive == "time_first" else timed.transpose(0, 1)]

    def _shown(self, drive: Drive, stimuli: Tensor, steps: int) -> tuple[Calls, States]:
        """Run a presentation for ``recognise``; ``step`` is called once more, to observe its initial state."""
        names, states = self.names(), States()
        each = [stimuli] * steps if drive == "step" else self._inputs(drive, stimuli, True)
        with restored_attributes(self.network):  # every presentation starts from the network's original attributes
            return self._caught(each, names, states if drive == "step" and steps == 1 else None), states

    def _caught(self, each: Sequence[Tensor], names: Collection[str], states: States | None = None) -> Calls:
        modules = self.names()
        calls: dict[str, list[Fired]] = {name: [] for name in names}
        neurons = [module for module in modules.values() if is_neuron(module)]
        inside = Inside()
        with ExitStack() as stack:
            stack.enter_context(inside.watching([module for name, module in modules.items() if name in calls]))
            for name, found in calls.items():
                stack.callback(modules[name].register_forward_hook(_catch(found, inside)).remove)
            if states is not None:
                stack.enter_context(_Watch(neurons, states))
            self._called(each)
        if states is not None:
            caught = {name: list(found) for name, found in calls.items()}
            with _Watch(neurons, states, again=True):
                self.network(own(each[-1]))
            return caught
        return calls


class _Watch:
    """Records the initial states of neurons while a network is called."""

    def __init__(self, neurons: Sequence[nn.Module], states: States, *, again: bool = False) -> None:
        self._states, self._again = states, again
        self._before = {id(neuron): _holds(getattr(neuron, "mem", None)) for neuron in neurons}
        self._neurons, self._seen, self._handles = neurons, set(), []
        self._first: tuple[nn.Module, Tensor] | None = None

    def __enter__(self) -> _Watch:
        for neuron in self._neurons:
            self._handles.append(neuron.register_forward_pre_hook(self._hook, with_kwargs=True))
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()

    def _hook(self, module: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
        current = first_input(inputs)
        if not self._again and current is not None:
            if self._first is None:
                self._first = (module, current.detach().clone())
            elif self._first[0] is module:
                known = self._first[1]
                self._states.same_input &= known.shape == current.shape and bool(torch.equal(known, current))
        if self._again and id(module) not in self._seen:
            self._seen.add(id(module))
            start = inputs[-1] if len(inputs) > 1 else named.get("mem")
            start = getattr(module, "mem", None) if start is None else start
            self._states.reset |= self._before[id(module)] and not _holds(start)


def _holds(state: Any) -> bool:
    """Return whether a neuron's state differs from rest."""
    if isinstance(state, tuple):
        return any(_holds(part) for part in state)
    return isinstance(state, Tensor) and bool(state.numel()) and bool(state.detach().ne(0).any())


def _catch(calls: list[Fired], inside: Inside) -> Any:
    def hook(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        if is_neuron(module):
            spikes, membranes = inside.read(module, output)
            calls.append((copied(spikes), copied(membranes)))
        elif isinstance(output, Tensor):
            calls.append((copied(output), copied(output)))

    return hook


def _attach(calls: list[list[Tensor]], inside: Inside, layout: Layout, steps: int, *, membranes: bool) -> Any:
    """Return a hook that splits a layer's outputs into steps and lets the network continue with these parts."""

    def hook(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> Any:
        held = inside.read(module, output) if is_neuron(module) else None
        if held is not None and held[0] is not None and membranes:
            calls.append([] if held[1] is None else over_time(held[1], layout, steps)[0])
            return None
        parts, again = over_time(passed_on(output), layout, steps)
        calls.append(parts)
        return (again, *output[1:]) if isinstance(output, tuple) else again

    return hook


@contextmanager
def restored_attributes(network: nn.Module) -> Iterator[None]:
    """Restore attributes and buffers of every module after the block, such as a neuron's hidden state or a counter of steps.

    Changes within a tensor remain: ``preserve_state``, within which this is used, restores them at its end.
    """
    modules = list(network.modules())
    attributes = [(dict(module.__dict__), dict(module._buffers)) for module in modules]
    try:
        yield
    finally:
        for module, (attribute, buffers) in zip(modules, attributes, strict=True):
            module.__dict__.clear()
            module.__dict__.update(attribute)
            module._buffers.clear()
            module._buffers.update(buffers)
