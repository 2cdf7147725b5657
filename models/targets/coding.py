"""How a stimulus enters a spiking network: as a current, as random spikes or as one timed spike a pixel.

All three take stimuli of (n, *stimulus) in the range of their specification. "direct" presents the stimulus itself; the
other two read it as a brightness in [0, 1] and are differentiable by a stated choice, since spikes have no derivative.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from ..spaces import StimulusSpec

Coding = Literal["direct", "rate", "latency"]

DARKEST = 0.01
"""Brightness below which latency coding fires no later, as snntorch's ``threshold`` of the same default."""


class Encoder:
    """Turns stimuli into the input of every time step.

    Parameters
    ----------
    coding : {"direct", "rate", "latency"}
        ``direct``: the same current at every step.
        ``rate``: a spike with the probability of the brightness, independently at every step and pixel. One table of
        uniform draws, made from ``seed``, is compared with every stimulus: the same stimulus has the same spikes in
        every batch, and two stimuli differ by their pixels alone (common random numbers). The gradient passes straight
        through: that of a step's brightness is that of its spike.
        ``latency``: one spike a pixel, linearly earlier the brighter, at the times of ``snntorch.spikegen.latency(...,
        normalize=True, linear=True)``. The gradient is that of the spike shared linearly between the two steps on
        either side of its unrounded time.
    stimulus : StimulusSpec
        Shape and range of a stimulus.
    steps : int
        Time steps, at least 1.
    seed : int
        Seed of the draws of ``rate``.
    """

    def __init__(self, coding: Coding, stimulus: StimulusSpec, steps: int, seed: int = 0) -> None:
        if coding not in ("direct", "rate", "latency"):
            raise ValueError(f"coding must be 'direct', 'rate' or 'latency', got {coding!r}")
        self.coding: Coding = coding
        self.stimulus, self.steps, self.seed = stimulus, steps, seed
        self._draws: Tensor | None = None

    @property
    def constant(self) -> bool:
        """Whether every step sees the same input; then there is no leading time dimension."""
        return self.coding == "direct"

    def __call__(self, stimuli: Tensor) -> Tensor:
        """(n, *stimulus) -> the same where ``constant``, otherwise spikes of (steps, n, *stimulus), each 0 or 1."""
        if self.coding == "direct":
            return stimuli
        brightness = (stimuli - self.stimulus.low) / (self.stimulus.high - self.stimulus.low)
        return self._bernoulli(brightness) if self.coding == "rate" else self._timed(brightness)

    def _bernoulli(self, brightness: Tensor) -> Tensor:
        with torch.no_grad():
            spikes = (self._uniform(brightness.device).unsqueeze(1) < brightness).to(brightness.dtype)
        if not (torch.is_grad_enabled() and brightness.requires_grad):
            return spikes
        return spikes + (brightness - brightness.detach())

    def _uniform(self, device: torch.device) -> Tensor:
        if self._draws is None or self._draws.device != device:
            with torch.inference_mode(False):
                generator = torch.Generator().manual_seed(self.seed)
                self._draws = torch.rand(self.steps, *self.stimulus.shape, generator=generator).to(device)
        return self._draws

    def _timed(self, brightness: Tensor) -> Tensor:
        last = self.steps - 1
        time = last * (1 - brightness.clamp(DARKEST, 1)) if last else torch.zeros_like(brightness)
        nearest = _at(time.detach().round().long(), torch.ones_like(time.detach()), self.steps)
        if not (torch.is_grad_enabled() and brightness.requires_grad):
            return nearest
        floor = time.detach().floor()
        late = time - floor
        shared = _at(floor.long(), 1 - late, self.steps) + _at((floor.long() + 1).clamp(max=last), late, self.steps)
        return nearest + (shared - shared.detach())


def _at(times: Tensor, values: Tensor, steps: int) -> Tensor:
    """(steps, *values.shape), zero but for ``values`` at ``times``."""
    return torch.zeros(steps, *values.shape, dtype=values.dtype, device=values.device).scatter(0, times.unsqueeze(0), values.unsqueeze(0))
