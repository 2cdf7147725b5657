"""Reading layers of a torch module without leaving a trace in it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn


class _Reached(Exception):
    """The deepest layer that was asked for has answered."""


@contextmanager
def evaluation_mode(module: nn.Module) -> Iterator[None]:
    """Every part of ``module`` in evaluation mode, each one's training flag restored after."""
    flags = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in flags:
            part.training = training


def first_tensor(output: Any) -> Tensor | None:
    """The tensor of a layer's output: itself, or the first of a tuple, list or mapping of tensors."""
    if isinstance(output, Tensor):
        return output
    if isinstance(output, Mapping):
        output = list(output.values())
    if isinstance(output, tuple | list) and output:
        return first_tensor(output[0])
    return None


def capture(module: nn.Module, stimuli: Tensor, calls: Mapping[str, int], *, stop: bool = True) -> dict[str, Tensor]:
    """Run ``module`` and return what the layers of ``calls`` answered.

    Parameters
    ----------
    module : nn.Module
        Run in evaluation mode; hooks and training flags are put back whatever happens.
    stimuli : Tensor
        (n, *stimulus).
    calls : mapping of str to int
        Layers to read, and how many times each is called in one forward pass; the last call is read.
    stop : bool
        Whether to end the forward pass once all have answered.
    """
    answers: dict[str, Tensor] = {}
    left = dict(calls)

    def hook_for(name: str) -> Any:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            left[name] -= 1
            tensor = first_tensor(output)
            if left[name] <= 0 and tensor is not None:
                # a later in-place operation (ReLU(inplace=True)) would overwrite it
                answers[name] = tensor.clone()
                if stop and len(answers) == len(calls):
                    raise _Reached

        return hook

    handles = [module.get_submodule(name).register_forward_hook(hook_for(name)) for name in calls]
    try:
        with evaluation_mode(module):
            module(stimuli)
    except _Reached:
        pass
    finally:
        for handle in handles:
            handle.remove()
    return answers


def trace(module: nn.Module, stimuli: Tensor, names: Collection[str]) -> list[tuple[str, Tensor]]:
    """Every call of the layers ``names`` in one forward pass, in order, with its first tensor output."""
    calls: list[tuple[str, Tensor]] = []

    def hook_for(name: str) -> Any:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            tensor = first_tensor(output)
            if tensor is not None:
                calls.append((name, tensor.detach()))

        return hook

    handles = [module.get_submodule(name).register_forward_hook(hook_for(name)) for name in names]
    try:
        with evaluation_mode(module):
            module(stimuli)
    finally:
        for handle in handles:
            handle.remove()
    return calls
