"""SmoothGrad: the gradient averaged over noisy copies of the stimulus."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from ..analysis import AnalysisContext
from .gradient import Gradient
from .library import captum
from .units import Question


class SmoothGrad(Gradient):
    """Gradient averaged over noisy copies of the stimulus (Smilkov et al., 2017), by Captum."""

    title = "SmoothGrad"
    reading = "The size of the gradient, averaged over noisy copies of the stimulus, summed over channels."
    packages = ("captum",)

    class Options(Gradient.Options):
        """Options of the analysis."""

        samples: int = Field(default=25, ge=1, le=10_000, description="Noisy copies of each stimulus.")
        noise: float = Field(default=0.15, gt=0, le=10, description="Standard deviation of the noise, as a share of the range of values.")

    def attribute(self, question: Question) -> Tensor:
        """Return the averages, (units, n, *stimulus)."""
        return torch.stack([self._of_one(one) for one in question.each()])

    def answer(self, question: Question) -> tuple[Tensor, Tensor | None]:
        """Return the averages; the passes are of noisy copies."""
        return self.attribute(question), None

    def at_once(self, context: AnalysisContext) -> int:
        """Return so many stimuli that their copies fill a pass."""
        return max(1, context.batch // self.options.samples)

    def _of_one(self, question: Question) -> Tensor:
        attr, device = captum().attr, question.stimuli.device
        method = attr.NoiseTunnel(attr.Saliency(question.reader.response()))
        at_once = max(1, min(self.options.samples, question.reader.batch // len(question.stimuli)))
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(question.seed)
            return method.attribute(
                question.stimuli.detach().clone().requires_grad_(),
                nt_type="smoothgrad",
                nt_samples=self.options.samples,
                nt_samples_batch_size=at_once,
                stdevs=self.options.noise * question.spread,
                abs=False,
            )
