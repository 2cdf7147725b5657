"""The response of a unit computed with torch alone: a forward hook on a fresh network, no line of actmax."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import snntorch
import torch
from snntorch import utils
from torch import Tensor, nn

from .entry import PublicNetwork

_COPIES = 5
"""Stimuli of a pass, all the same: the dimension of this size has a row for each."""


def bare_response(network: PublicNetwork, stimulus: Tensor, layer: str, index: tuple[int | None, ...], seed: int) -> float | None:
    """Return the response of a unit of ``network``, built anew from ``seed``; None where no plain hook can read it.

    Parameters
    ----------
    network : PublicNetwork
        Where the unit is.
    stimulus : Tensor
        Of the network's shape.
    layer : str
        A submodule, ``output``, or either with ``:`` and the place of a tensor in its answer.
    index : tuple of int or None
        Of the unit in the layer; None stands for all positions, and what is left out is averaged over.
    seed : int
        Of the network's weights.
    """
    module = network.build(seed)
    name, _, path = layer.partition(":")
    part = module if name == "output" else dict(module.named_modules()).get(name)
    if part is None:
        return None  # heads of attention are no submodule
    answers: list[Tensor] = []
    # cloned: a later activation may write in place
    handle = part.register_forward_hook(lambda _part, _inputs, answer: answers.append(_first(answer, path).clone()))
    shown = _normalised(stimulus[None].repeat(_COPIES, *[1] * stimulus.dim()), network.options)
    with torch.no_grad():
        steps = network.steps if network.steps and isinstance(module, nn.Sequential) else 1
        if network.steps:
            utils.reset(module)
        for _ in range(steps):
            module(shown)
    handle.remove()
    if network.steps:
        spiking = isinstance(part, snntorch.SpikingNeuron)
        tensor = torch.stack(answers).sum(0) if spiking else torch.stack(answers).mean(0)
    else:
        tensor = answers[-1]
    rows = next(dimension for dimension, size in enumerate(tensor.shape) if size == _COPIES)  # not first where time or layers lead
    place = tuple(slice(None) if one is None else one for one in index)
    return float(tensor.select(rows, 0)[place].double().mean())


def _normalised(stimulus: Tensor, options: Mapping[str, Any]) -> Tensor:
    mean, std = (torch.tensor(options.get(name, [value])) for name, value in (("mean", 0.0), ("std", 1.0)))
    trailing = [1] * (stimulus.dim() - 2)
    return (stimulus - mean.view(1, -1, *trailing)) / std.view(1, -1, *trailing)


def _first(answer: Any, path: str) -> Tensor:
    """The tensor of ``answer`` at ``path``; without one the first float tensor inside."""
    for step in filter(None, path.split(".")):
        answer = answer[step] if isinstance(answer, Mapping) else answer[int(step)]
    while not isinstance(answer, Tensor):
        answer = next(iter(answer.values() if isinstance(answer, Mapping) else answer))
    return answer
