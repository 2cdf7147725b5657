"""Requirements of a torch module before its first call, and the message for one that refuses the stimuli."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ..spaces import StimulusSpec

_COMMON_CHANNELS = (1, 3, 4)
_WORDS = "input_ids"
"""Name in transformers of the input for words."""
_STIMULI = ("pixel_values", "input_values", "input_features")
"""Names in transformers of the inputs for pictures and sound."""


class Scripted(nn.Module):
    """A scripted or traced network, of which only the output can be read: TorchScript takes no hooks.

    Parameters
    ----------
    script : ScriptModule
        The network.
    """

    def __init__(self, script: nn.Module) -> None:
        super().__init__()
        self.script = script
        self.training = script.training

    def forward(self, stimuli: Tensor) -> Any:
        """Return the network's output."""
        return self.script(stimuli)


def unwrapped(module: nn.Module) -> nn.Module:
    """Return the network inside ``torch.compile`` and data-parallel wrappers, whose parts can be read individually."""
    if isinstance(module, torch.jit.ScriptModule):
        return Scripted(module)
    while True:
        inner = getattr(module, "_orig_mod", None)
        if not isinstance(inner, nn.Module) and isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel):
            inner = module.module
        if not isinstance(inner, nn.Module):
            return module
        module = inner


def require_ready(module: nn.Module) -> None:
    """Raise ValueError for a network without values to compute with.

    Raises
    ------
    ValueError
        A parameter is on the meta device, or not initialised yet.
    """
    name = _name(module)
    for key, tensor in (*module.named_parameters(), *module.named_buffers()):
        if isinstance(tensor, nn.UninitializedParameter | nn.UninitializedBuffer):
            raise ValueError(
                f"{name}: {key} is not initialised yet, as its module is a lazy one; call the network once on a stimulus first"
            )
        if tensor.is_meta:
            raise ValueError(
                f"{name}: {key} is on the meta device and has no values; load weights first, with to_empty and load_state_dict"
            )


def fixed_batch(module: nn.Module) -> int | None:
    """Return the batch size that a program of ``torch.export`` is fixed to; None where it accepts any, or for another module."""
    graph = getattr(module, "graph", None)
    if not isinstance(module, torch.fx.GraphModule) or graph is None:
        return None
    for node in graph.nodes:
        if node.op == "placeholder":
            value = node.meta.get("val")
            size = value.shape[0] if isinstance(value, Tensor) and value.ndim else None
            return size if isinstance(size, int) else None
    return None


def refusal(module: nn.Module, spec: StimulusSpec, error: Exception, takes: Callable[[tuple[int, ...]], bool]) -> str:
    """Return the reason why a network refuses stimuli, and what would work.

    Parameters
    ----------
    module : nn.Module
        The network.
    spec : StimulusSpec
        The refused stimuli.
    error : Exception
        The network's error.
    takes : callable
        Returns whether the network accepts stimuli of another shape.
    """
    name = _name(module)
    inputs = _inputs(module)
    if inputs and inputs[0].name == _WORDS:
        images = [each.name for each in inputs if each.name in _STIMULI]
        instead = (
            f"wrap it in a module whose forward hands stimuli on as {images[0]} and fills in the rest" if images else "stimuli are no words"
        )
        return f"{name}: its forward takes {_WORDS} first, which are the numbers of words; {instead}"
    lacking = [each.name for each in inputs if each.default is inspect.Parameter.empty]
    if len(lacking) > 1:
        return (
            f"{name}: its forward needs {', '.join(lacking[1:])} besides the stimuli; "
            "wrap it in a module whose forward takes stimuli alone and fills in the rest"
        )
    reason = str(error).strip().split("\n", 1)[0][:300] or type(error).__name__
    said, shape = f"{name} does not take stimuli of {spec}", spec.shape
    if len(shape) == 3 and takes(turned := (shape[2], shape[0], shape[1])):
        return f"{said}: it expects {turned}; got {shape}: channels come first"
    for channels in _COMMON_CHANNELS:
        if channels != shape[0] and takes((channels, *shape[1:])):
            return f"{said}: it expects {channels} channel{'' if channels == 1 else 's'}, as in {(channels, *shape[1:])}; got {shape}"
    if len(shape) == 2 and shape[0] == 1 and takes(shape[1:]):
        return f"{said}: it expects (time,) without channels; wrap it in a module whose forward gives it stimuli[:, 0]"
    return f"{said}: {reason}"


def _name(module: nn.Module) -> str:
    return type(module.script if isinstance(module, Scripted) else module).__name__


def _inputs(module: nn.Module) -> list[inspect.Parameter]:
    """Return the arguments of ``forward`` that have names."""
    try:
        parameters = inspect.signature(module.forward).parameters.values()
    except (TypeError, ValueError):
        return []
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return [each for each in parameters if each.kind in kinds]
