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
        return self.answer(question)[0]

    def answer(self, question: Question) -> tuple[Tensor, Tensor | None]:
        """Return the gradients, and the responses of the same passes."""
        found = [gradient(self.response(one), question.stimuli) for one in question.each()]
        return torch.stack([slopes for slopes, _ in found]), torch.stack([responses for _, responses in found])

    def response(self, question: Question) -> Response:
        """Return the response of the question's first unit, whose gradient is taken."""
        return question.reader.response()

    def to_map(self, attributions: Tensor) -> Tensor:
        """Return the sums of sizes over channels."""
        return attributions.abs().sum(2)


def gradient(response: Response, stimuli: Tensor) -> tuple[Tensor, Tensor]:
    """Return one unit's gradient at each of ``stimuli``, (n, *stimulus), and its responses, (n,).

    The gradient is zero where the autograd graph does not reach the stimuli.
    """
    with torch.enable_grad():
        leaf = stimuli.detach().clone().requires_grad_()
        answered = response(leaf)
        found = torch.autograd.grad(answered.sum(), leaf, allow_unused=True)[0] if answered.requires_grad else None
    return torch.zeros_like(stimuli) if found is None else found, answered.detach()
