"""A forward pass with a separate backward pass, for networks that can't be differentiated as part of a larger graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor

from ..networks.held_networks import acting_for, current_owner

_REENTRANT = "CheckpointFunctionBackward"
"""Graph node of reentrant activation checkpointing, which refuses ``torch.autograd.grad``."""


def isolated(
    respond: Callable[[Tensor], Mapping[str, Tensor]], stimuli: Tensor, preserved: Callable[[], AbstractContextManager[object]]
) -> dict[str, Tensor]:
    """Return ``respond(stimuli)``, differentiated by a separate backward pass.

    Parameters
    ----------
    respond : callable
        Returns the responses, each (n, *layer), to stimuli, (n, *stimulus).
    stimuli : Tensor
        (n, *stimulus), requiring gradients.
    preserved : callable
        Returns a context for the backward pass.

    Returns
    -------
    dict of str to Tensor
        The responses by layer.
    """
    names: list[str] = []

    def listed(shown: Tensor) -> list[Tensor]:
        answers = respond(shown)
        names.extend(answers)
        return list(answers.values())

    answers: Any = _Isolated.apply(stimuli, listed, preserved)
    return dict(zip(names, answers, strict=True))


def needs_isolation(answer: Tensor) -> bool:
    """Return whether the graph of ``answer`` holds a node that refuses ``torch.autograd.grad``."""
    nodes, seen = [answer.grad_fn], set[Any]()
    while nodes:
        node = nodes.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if type(node).__name__ == _REENTRANT:
            return True
        nodes.extend(following for following, _ in node.next_functions)
    return False


class _Isolated(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, stimuli: Tensor, respond: Callable[[Tensor], list[Tensor]], preserved: Any) -> tuple[Tensor, ...]:
        with torch.enable_grad():
            ctx.leaf = stimuli.detach().requires_grad_()
            ctx.answers = respond(ctx.leaf)
        ctx.preserved, ctx.owner = preserved, current_owner()
        return tuple(answer.detach() for answer in ctx.answers)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        joined = [(answer, grad) for answer, grad in zip(ctx.answers, grads, strict=True) if answer.requires_grad]

        def run() -> None:
            with acting_for(ctx.owner), ctx.preserved():
                torch.autograd.backward([answer for answer, _ in joined], [grad for _, grad in joined])

        with ThreadPoolExecutor(1) as pool:  # a thread inside of torch.autograd.grad refuses reentrant checkpoints
            pool.submit(run).result()
        return ctx.leaf.grad, None, None
