"""Any torch module as a target."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
from typing import Self

import torch
from torch import Tensor, nn

from ..spaces import StimulusSpec
from .capture import capture, trace
from .target import LayerInfo

OUTPUT = "output"
"""Name of what the module itself returns."""


class ModuleTarget:
    """A differentiable network; every submodule that answers with a tensor is a layer.

    Parameters
    ----------
    module : nn.Module
        Takes (n, *stimulus). It is run in evaluation mode and never changed: no hook, flag or gradient stays behind.
    stimulus : StimulusSpec
        What it takes; normalisation belongs inside the module.

    Notes
    -----
    The forward pass ends at the deepest layer that is asked for. A submodule that is called several times answers with
    its last call.

    Raises
    ------
    ValueError
        The module does not take stimuli of that shape, or answers with nothing that has a row for each stimulus.
    """

    differentiable = True

    def __init__(self, module: nn.Module, stimulus: StimulusSpec) -> None:
        self.module = module
        self.stimulus = stimulus
        names = [name for name, _ in module.named_modules() if name]
        with torch.no_grad():
            try:
                parameter = next(module.parameters(), None)
                probe = torch.full((2, *stimulus.shape), (stimulus.low + stimulus.high) / 2)
                calls = trace(module, probe if parameter is None else probe.to(parameter.device), ["", *names])
            except (RuntimeError, ValueError, TypeError, IndexError) as error:
                raise ValueError(f"{type(module).__name__} does not take stimuli of {stimulus}: {error}") from error
        self._calls: dict[str, int] = {}
        self._layers: dict[str, LayerInfo] = {}
        for name, answer in calls:
            if answer.ndim < 2 or answer.shape[0] != 2 or not answer.is_floating_point():
                continue
            shown = name or OUTPUT
            self._calls[shown] = self._calls.get(shown, 0) + 1
            self._layers.pop(shown, None)  # order by the last call
            kind = type(module.get_submodule(name)).__name__
            self._layers[shown] = LayerInfo(shown, tuple(answer.shape[1:]), kind)
        if not self._layers:
            raise ValueError(f"{type(module).__name__} answers with no float tensor that has a row for each stimulus")

    def to(self, device: str) -> Self:
        """Move the module."""
        self.module.to(device)
        return self

    def layers(self) -> Sequence[LayerInfo]:
        """Every layer, in the order of evaluation; ``output`` is what the module returns."""
        return list(self._layers.values())

    def respond(self, stimuli: Tensor, layers: Collection[str], /) -> Mapping[str, Tensor]:
        """(n, *stimulus) -> {layer: (n, *layer)}.

        Raises
        ------
        KeyError
            A layer does not exist; near names are told.
        """
        for layer in layers:
            if layer not in self._layers:
                near = difflib.get_close_matches(layer, self._layers, n=3, cutoff=0.4)
                raise KeyError(f"no layer {layer!r}" + (f"; did you mean {' or '.join(near)}?" if near else ""))
        wanted = {"" if layer == OUTPUT else layer: self._calls[layer] for layer in layers}
        answers = capture(self.module, stimuli, wanted)
        return {name or OUTPUT: answer for name, answer in answers.items()}
