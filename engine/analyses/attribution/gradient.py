"""The plain gradient: how the response changes with each value of the stimulus."""

from __future__ import annotations

import torch
from torch import Tensor

from .method import Attribution
from .units import Question, Response


class Gradient(Attribution):
    """Gradient of the unit's response at the stimulus (Simonyan et al., 2014)."""

    title = "Gradient"
    reading = "The gradient's size at each place, summed over channels: where a small change would change the response."
    signed = False
    gradients = True

    def attribute(self, question: Question) -> Tensor:
        """Return the gradients, (units, n, *stimulus)."""
        return torch.stack([gradient(one.reader.response(), question.stimuli) for one in question.each()])

    def to_map(self, attributions: Tensor) -> Tensor:
        """Return the sums of sizes over channels."""
        return attributions.abs().sum(2)


def gradient(response: Response, stimuli: Tensor) -> Tensor:
    """Return the gradient of one unit's response at each of ``stimuli``, (n, *stimulus); zero where the graph does not reach them."""
    with torch.enable_grad():
        leaf = stimuli.detach().clone().requires_grad_()
        answered = response(leaf)
        if not answered.requires_grad:
            return torch.zeros_like(stimuli)
        (found,) = torch.autograd.grad(answered.sum(), leaf, allow_unused=True)
    return torch.zeros_like(stimuli) if found is None else found
