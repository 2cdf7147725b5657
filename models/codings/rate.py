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

    One table of uniform draws is compared with every stimulus: the same stimulus has the same spikes in every batch, and two stimuli differ
    by their pixels alone (common random numbers). The gradient passes straight through: that of a step's brightness is that of its spike.
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
        """Build it."""
        return cls(presentation, options.seed)

    def __call__(self, stimuli: Tensor, /) -> Tensor:
        """(n, *stimulus) -> spikes, (steps, n, *stimulus), each 0 or 1."""
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
