"""The module at which the autograd graph ends on the way from the stimuli to a layer."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from .capture import Reading, tensor_at, tensors_in


@dataclass
class _Call:
    """One call of a submodule: whether its inputs and outputs have gradients."""

    module: str
    given: bool = False
    answer: Tensor | None = None
    done: bool = False
    lost: bool = False


@dataclass
class _Calls:
    """All calls of one forward pass, in the order of their beginnings and of their ends."""

    begun: list[_Call] = field(default_factory=list)
    ended: list[_Call] = field(default_factory=list)
    layer: Tensor | None = None


class _Reached(BaseException):
    """Ends the forward pass at the layer."""


def graph_end(module: nn.Module, stimuli: Tensor, reading: Reading) -> str | None:
    """Return the name of the module at which the autograd graph ends on the way from ``stimuli`` to a layer.

    Parameters
    ----------
    module : nn.Module
        The network, in evaluation mode, within :class:`actmax.models.networks.preserve_state.preserve_state`, so that its parameters take
        no gradient.
    stimuli : Tensor
        (n, *stimulus), as the network takes them.
    reading : Reading
        The layer.

    Returns
    -------
    str or None
        None where a gradient reaches the stimuli. Otherwise the innermost module that has a gradient at its input but not at its output,
        that fails in the backward pass, or that raises while gradients are recorded. Empty for the network's own ``forward``.
    """
    with torch.inference_mode(False), torch.enable_grad():
        leaf = stimuli.detach().clone().requires_grad_()
        calls, error = _watched(module, leaf.clone(), reading)
        if error is not None:
            running = [call for call in calls.begun if not call.done]
            return running[-1].module if running else ""
        if calls.layer is not None and calls.layer.requires_grad:
            if _reaches(calls.layer, leaf):
                return None
            return next((call.module for call in calls.ended if call.answer is not None and not _reaches(call.answer, leaf)), "")
        return next((call.module for call in calls.ended if call.given and call.lost), "")


def _watched(module: nn.Module, stimuli: Tensor, reading: Reading) -> tuple[_Calls, Exception | None]:
    calls, left = _Calls(), [reading.calls]
    open_calls: list[_Call] = []

    def begin(name: str, inputs: Iterable[Any]) -> None:
        call = _Call(name, any(tensor.requires_grad for _, tensor in tensors_in(list(inputs))))
        open_calls.append(call)
        calls.begun.append(call)

    def end(name: str, answer: Any) -> None:
        call = open_calls.pop()
        call.done = True
        tensors = [tensor for _, tensor in tensors_in(answer)]
        call.lost = bool(tensors) and not any(tensor.requires_grad for tensor in tensors)
        call.answer = next((tensor for tensor in tensors if tensor.requires_grad), None)
        calls.ended.append(call)
        if name == reading.module and not reading.heads:
            left[0] -= 1
            if not left[0]:
                calls.layer = tensor_at(answer, reading.path)
                raise _Reached

    def heads(name: str, inputs: tuple[Any, ...]) -> None:
        if name == reading.module and reading.heads:
            left[0] -= 1
            if not left[0]:
                calls.layer = next((tensor for _, tensor in tensors_in(list(inputs))), None)
                raise _Reached

    with ExitStack() as stack:
        for name, part in module.named_modules():
            if isinstance(part, torch.jit.ScriptModule):
                continue  # TorchScript takes no hooks
            for hook in (
                part.register_forward_pre_hook(lambda _part, inputs, named, name=name: begin(name, (inputs, named)), with_kwargs=True),
                part.register_forward_pre_hook(lambda _part, inputs, name=name: heads(name, inputs)),
                part.register_forward_hook(lambda _part, _inputs, answer, name=name: end(name, answer)),
            ):
                stack.callback(hook.remove)
        try:
            with suppress(_Reached):
                module(stimuli)
        except Exception as error:  # operations that work only without gradients raise any class, such as x.numpy()
            return calls, error
    return calls, None


def _reaches(answer: Tensor, leaf: Tensor) -> bool:
    """Return whether a backward pass from ``answer`` reaches ``leaf``."""
    try:
        (slope,) = torch.autograd.grad(answer.sum(), leaf, retain_graph=True, allow_unused=True)
    except Exception:  # a function without a backward pass may raise any class
        return False
    return slope is not None
