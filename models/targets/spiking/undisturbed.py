"""Asks a network without leaving a trace in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def undisturbed(network: nn.Module) -> Iterator[None]:
    """Within the block the network is in evaluation mode and its parameters take no gradient; afterwards it is as before.

    Training flags, attributes (a neuron's hidden state among them) and buffers of every module are put back, also when
    the block raises. A graph recorded within the block keeps giving gradients to stimuli, and none to parameters.
    """
    modules = list(network.modules())
    attributes = [(dict(module.__dict__), dict(module._buffers)) for module in modules]
    trainable = [parameter for parameter in network.parameters() if parameter.requires_grad]
    try:
        for module in modules:
            module.__dict__["training"] = False
        for parameter in trainable:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in trainable:
            parameter.requires_grad_(True)
        for module, (attribute, buffers) in zip(modules, attributes, strict=True):
            module.__dict__.clear()
            module.__dict__.update(attribute)
            module._buffers.clear()
            module._buffers.update(buffers)
