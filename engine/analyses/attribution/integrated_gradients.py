"""Integrated gradients: the gradient averaged on the way from a baseline to the stimulus."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from .library import captum
from .method import Attribution
from .units import Question


class IntegratedGradients(Attribution):
    """Integrated gradients from a baseline to the stimulus (Sundararajan et al., 2017), by Captum."""

    title = "Integrated gradients"
    reading = "Each place's share of the difference between the responses to the stimulus and to the baseline, summed over channels."
    gradients = True
    completes = True
    packages = ("captum",)

    class Options(Attribution.Options):
        """Options of the analysis."""

        steps: int = Field(default=50, ge=2, le=2000, description="Points on the way from the baseline to the stimulus.")

    def attribute(self, question: Question) -> Tensor:
        """Return the integrals times the way, (units, n, *stimulus)."""
        return torch.stack([self._of_one(one) for one in question.each()])

    def expected_sum(self, question: Question, responses: Tensor) -> Tensor:
        """Return the difference of the responses to stimulus and baseline."""
        return responses - question.reader.responses(question.baselines)

    def _of_one(self, question: Question) -> Tensor:
        method = captum().attr.IntegratedGradients(question.reader.response())
        batch = max(question.reader.batch, len(question.stimuli))
        return method.attribute(
            question.stimuli.detach().clone().requires_grad_(),
            baselines=question.baselines,
            n_steps=self.options.steps,
            internal_batch_size=batch,
        )
