"""A sequential network as a chain of modules."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from .module_kinds import hooked
from .neurons import is_neuron

WHOLE = "output"
"""Name of the layer of a network that is a single neuron."""


@dataclass(frozen=True)
class Link:
    """One module of a chain: a neuron, or a function of the current step's input alone."""

    name: str
    module: nn.Module

    @property
    def neuron(self) -> bool:
        """Whether the module has a state in time."""
        return is_neuron(self.module)


def as_chain(network: nn.Module) -> list[Link] | None:
    """Return the modules of an ``nn.Sequential``, nested ones opened, in order of evaluation.

    Return None for any other graph: a custom ``forward`` around neurons, a neuron used twice, hooks on a container, or
    a normalisation over the batch (which makes steps and stimuli of a call depend on each other). A single neuron is a chain.
    """
    if is_neuron(network):
        return [Link(WHOLE, network)]
    if not is_plain_sequential(network):
        return None
    links = list(_links(network, ""))
    neurons = [id(link.module) for link in links if link.neuron]
    if len(set(neurons)) != len(neurons) or any(_mixes_steps(link.module) for link in links if not link.neuron):
        return None
    return links


def is_plain_sequential(module: nn.Module) -> bool:
    """Return whether a module behaves exactly as ``nn.Sequential``."""
    kind = type(module)
    return (
        isinstance(module, nn.Sequential)
        and kind.forward is nn.Sequential.forward
        and kind.__call__ is nn.Module.__call__
        and "forward" not in module.__dict__
        and not hooked(module)
    )


def _links(container: nn.Module, prefix: str) -> Iterator[Link]:
    for name, module in container._modules.items():
        if module is None:
            continue
        if is_plain_sequential(module):
            yield from _links(module, f"{prefix}{name}.")
        else:
            yield Link(prefix + name, module)


def _mixes_steps(module: nn.Module) -> bool:
    return any(
        is_neuron(part) or isinstance(part, nn.RNNBase | nn.RNNCellBase) or (isinstance(part, _BatchNorm) and part.running_mean is None)
        for part in module.modules()
    )
