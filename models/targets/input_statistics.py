"""Whether a trained network is given the values that it was trained with, read off its batch normalisation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

LAYERS = 8
"""Normalisation layers, from the input on, that are compared."""
_FLOOR = 1e-3
"""Share of a layer's mean variance that is added to each channel's, so that dead channels don't decide."""


class _Enough(Exception):
    """All layers that are compared were seen."""


@dataclass(frozen=True)
class Normalisation:
    """A layer that keeps the mean and variance of what it was trained with: a BatchNorm, or a frozen one of another name."""

    name: str
    part: nn.Module
    mean: Tensor
    variance: Tensor


def trained_normalisations(module: nn.Module) -> list[Normalisation]:
    """Return the layers of ``module`` that hold running statistics and have been trained."""
    return list(_found(module))


def divergences(module: nn.Module, images: Tensor, layers: list[Normalisation], most: int = LAYERS) -> list[float]:
    """Return how far what reaches each normalisation layer is from what it was trained with.

    Parameters
    ----------
    module : nn.Module
        In evaluation mode.
    images : Tensor
        (n, *stimulus), as the module takes them.
    layers : list of Normalisation
        Of the module.
    most : int
        The forward pass ends once so many have been reached.

    Returns
    -------
    list of float
        In the order of evaluation, at most ``most``: the median over channels of the Kullback-Leibler divergence between two normal
        distributions, of the layer's input now and of its running statistics, in nats.
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
        if not bool(mean.any()) and bool((variance == 1).all()):  # as it was made: nothing was learnt
            continue
        yield Normalisation(name, part, mean.float(), variance.float())
