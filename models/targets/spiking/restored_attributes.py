"""Starts every presentation of a trial from what the network's author left in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def restored_attributes(network: nn.Module) -> Iterator[None]:
    """After the block, attributes and buffers of every module are those of before: a neuron's hidden state, a counter of steps.

    What is written into in place stays changed: ``preserve_state``, within which this is used, puts that back at its end.
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
