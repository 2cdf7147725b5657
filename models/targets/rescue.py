"""A second backward pass for stimuli whose gradient is exactly zero."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from ..networks.held_networks import acting_for, current_owner
from .redirect import redirecting

Respond = Callable[[Tensor], Mapping[str, Tensor]]


def rescued(respond: Respond, stimuli: Tensor) -> dict[str, Tensor]:
    """``respond(stimuli)``, with a backward pass that redirects where a stimulus would get a gradient of exactly zero.

    Nothing is done ahead: only when a backward pass brings some stimuli zeros, although their responses got a gradient, are those
    stimuli shown once more, alone, with redirected rectifiers. All others keep their gradients to the bit.

    Parameters
    ----------
    respond : callable
        Stimuli, (n, *stimulus), to responses, each (n, *layer); the same ones for the same stimuli.
    stimuli : Tensor
        (n, *stimulus), requiring gradients.
    """
    entry = stimuli.view_as(stimuli)
    owner = current_owner()  # autograd may run the hook in a thread of its own, for which this one waits
    answers = dict(respond(entry))
    arrived: dict[str, Tensor] = {}

    def rescue(slope: Tensor) -> Tensor | None:
        outer = dict(arrived)
        arrived.clear()
        dead = slope.flatten(1).ne(0).any(1).logical_not()
        if not outer or not bool(dead.any()):
            return None
        asked = torch.stack([gradient.flatten(1).ne(0).any(1) for gradient in outer.values()]).any(0)
        rows = (dead & asked.to(dead.device)).nonzero()[:, 0]
        if not rows.numel():
            return None
        with acting_for(owner):
            redirected = _redirected(respond, stimuli.detach()[rows], {name: gradient[rows] for name, gradient in outer.items()})
        return slope.index_copy(0, rows, redirected.to(slope))

    for name, answer in answers.items():
        if answer.requires_grad:
            answer.register_hook(lambda gradient, name=name: arrived.__setitem__(name, gradient.detach()))
    entry.register_hook(rescue)
    return answers


def _redirected(respond: Respond, stimuli: Tensor, outer: Mapping[str, Tensor]) -> Tensor:
    with torch.enable_grad():
        leaf = stimuli.requires_grad_()
        with redirecting(leaf.shape[0]):
            answers = respond(leaf)
        (slope,) = torch.autograd.grad([answers[name] for name in outer], leaf, list(outer.values()), allow_unused=True)
    return torch.zeros_like(leaf) if slope is None else slope
