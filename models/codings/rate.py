"""Rate coding: random spikes, the more of them the brighter."""

from __future__ import annotations

from typing import Self

import torch
from pydantic import Field
from torch import Tensor

from ..options import OptionsModel
from .coding import Presentation, wants_gradient


class RateCoding:
    """Random spikes: at every step and pixel, independently, one with the probability of the brightness.

    All stimuli are compared with one table of uniform draws: the same stimulus has the same spikes in every batch, and spikes of two
    stimuli differ through their pixels alone (common random numbers). The gradient is straight-through: a step's brightness gets the
    gradient of its spike.
    """

    class Options(OptionsModel):
        """Options of the coding."""

        seed: int | None = Field(default=None, ge=0, lt=2**63, description="Of the random spikes; the target's by default.")

    binary, constant, differentiable = True, False, True

    def __init__(self, presentation: Presentation, seed: int | None = None) -> None:
        self.presentation = presentation
        self.seed = presentation.seed if seed is None else seed
        self._draws: Tensor | None = None

    @classmethod
    def from_options(cls, options: Options, presentation: Presentation) -> Self:
        """Return the coding for a presentation."""
        return cls(presentation, options.seed)

    def __call__(self, stimuli: Tensor, /) -> Tensor:
        """Return the spikes of stimuli: (n, *stimulus) -> (steps, n, *stimulus), each 0 or 1."""
        brightness = self.presentation.brightness(stimuli)
        with torch.no_grad():
            spikes = (self._uniform(brightness.device).unsqueeze(1) < brightness).to(brightness.dtype)
        return spikes + (brightness - brightness.detach()) if wants_gradient(brightness) else spikes

    def _uniform(self, device: torch.device) -> Tensor:
        if self._draws is None or self._draws.device != device:
            with torch.inference_mode(False):
                generator = torch.Generator().manual_seed(self.seed)
                drawn = torch.rand(self.presentation.steps, *self.presentation.stimulus.shape, generator=generator)
                self._draws = drawn.to(device)
        return self._draws
