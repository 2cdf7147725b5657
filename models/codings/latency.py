"""Latency coding: one spike a pixel, the earlier the brighter."""

from __future__ import annotations

from typing import Self

import torch
from pydantic import Field
from torch import Tensor

from ..options import OptionsModel
from .coding import Presentation, wants_gradient

DARKEST = 0.01
"""Brightness at and below which pixels fire last, as snntorch's ``threshold`` with the same default."""


class LatencyCoding:
    """One timed spike a pixel, linearly earlier the brighter.

    Times are those of ``snntorch.spikegen.latency(..., normalize=True, linear=True)``. The gradient is that of the spike shared linearly
    between the two steps on either side of its unrounded time.
    """

    class Options(OptionsModel):
        """Options of the coding."""

        darkest: float = Field(default=DARKEST, ge=0, lt=1, description="Brightness, from 0 to 1, below which no pixel fires later.")

    binary, constant = True, False

    def __init__(self, presentation: Presentation, darkest: float = DARKEST) -> None:
        self.presentation, self.darkest = presentation, darkest

    @classmethod
    def from_options(cls, options: Options, presentation: Presentation) -> Self:
        """Return the coding for a presentation."""
        return cls(presentation, options.darkest)

    @property
    def differentiable(self) -> bool:
        """Whether a spike can move: False for a single step."""
        return self.presentation.steps > 1

    def __call__(self, stimuli: Tensor, /) -> Tensor:
        """Return the spikes of stimuli: (n, *stimulus) -> (steps, n, *stimulus), each 0 or 1."""
        brightness, last = self.presentation.brightness(stimuli), self.presentation.steps - 1
        time = last * (1 - brightness.clamp(self.darkest, 1)) if last else torch.zeros_like(brightness)
        nearest = self._at(time.detach().round().long(), torch.ones_like(time.detach()))
        if not wants_gradient(brightness):
            return nearest
        floor = time.detach().floor()
        late = time - floor
        shared = self._at(floor.long(), 1 - late) + self._at((floor.long() + 1).clamp(max=last), late)
        return nearest + (shared - shared.detach())

    def _at(self, times: Tensor, values: Tensor) -> Tensor:
        """Return (steps, *values.shape), zero except for ``values`` at ``times``."""
        empty = torch.zeros(self.presentation.steps, *values.shape, dtype=values.dtype, device=values.device)
        return empty.scatter(0, times.unsqueeze(0), values.unsqueeze(0))
