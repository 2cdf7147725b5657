"""A comparison of a network's inputs with those of its training, by its batch normalisation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

LAYERS = 8
"""Number of normalisation layers to compare, counted from the input."""
_FLOOR = 1e-3
"""Share of a layer's mean variance that is added to each channel's, so that dead channels have no weight."""


class _Enough(Exception):
    """Ends the forward pass after the last compared layer."""


@dataclass(frozen=True)
class Normalisation:
    """A layer that holds mean and variance of its training inputs: a BatchNorm, or a frozen one of another name."""

    name: str
    part: nn.Module
    mean: Tensor
    variance: Tensor


def trained_normalisations(module: nn.Module) -> list[Normalisation]:
    """Return the layers of ``module`` with running statistics that training has changed."""
    return list(_found(module))


def divergences(module: nn.Module, images: Tensor, layers: list[Normalisation], most: int = LAYERS) -> list[float]:
    """Return the divergence of each normalisation layer's input from the inputs of its training.

    Parameters
    ----------
    module : nn.Module
        The network, in evaluation mode.
    images : Tensor
        (n, *stimulus), prepared for the module.
    layers : list of Normalisation
        Normalisation layers of the module.
    most : int
        Number of layers after which the forward pass ends.

    Returns
    -------
    list of float
        In the order of evaluation, at most ``most`` values in nats. Each is the median over channels of the Kullback-Leibler divergence
        between two normal distributions: that of the layer's input, and that of its running statistics.
    """
    found: list[float] = []

    def see(layer: Normalisation, inputs: Any) -> None:
        if inputs and isinstance(inputs[0], Tensor) and inputs[0].ndim > 1:
            found.append(_divergence(inputs[0], layer))
        if len(found) >= most:
            raise _Enough

    with ExitStack() as stack:
        for layer in layers:
            hook = layer.part.register_forward_pre_hook(partial(_seen_by, see, layer))
            stack.callback(hook.remove)
        try:
            with torch.no_grad():
                module(images)
        except _Enough:
            pass
    return found


def _seen_by(
    see: Callable[[Normalisation, tuple[Any, ...]], None], layer: Normalisation, _part: nn.Module, inputs: tuple[Any, ...]
) -> None:
    see(layer, inputs)


def _divergence(values: Tensor, layer: Normalisation) -> float:
    others = [0, *range(2, values.ndim)]
    mean, variance = values.float().mean(others), values.float().var(others)
    floor = _FLOOR * layer.variance.mean()
    now, then = variance + floor, layer.variance + floor
    each = 0.5 * ((now + (mean - layer.mean).square()) / then - 1 - (now / then).log())
    return float(each.median())


def _found(module: nn.Module) -> Iterator[Normalisation]:
    for name, part in module.named_modules():
        mean, variance = getattr(part, "running_mean", None), getattr(part, "running_var", None)
        if not (isinstance(mean, Tensor) and isinstance(variance, Tensor)) or mean.is_meta:
            continue
        if not bool(mean.any()) and bool((variance == 1).all()):  # initial values: the layer is untrained
            continue
        yield Normalisation(name, part, mean.float(), variance.float())
