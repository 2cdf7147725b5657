"""A smooth series."""

from __future__ import annotations

import math

import torch
from pydantic import Field, model_validator
from torch import Tensor
from torch.nn import functional as F

from ..options import InvalidOption
from ..spaces import Box, StimulusSpec
from .canvas import Canvas, CanvasOptions, Std, normal_bank
from .generator import Unfit


class SeriesGenerator(Canvas):
    """A series of one or more channels, smoothed by a Gaussian and kept within an amplitude (as in Sequence Dreaming).

    Unbounded samples pass a Gaussian low-pass that keeps the variance of white noise, also at the ends, and a sigmoid onto the amplitude.

    Parameters
    ----------
    stimulus : StimulusSpec
        A series.
    options : SeriesGenerator.Options
    """

    class Options(CanvasOptions):
        """Options of series."""

        smoothing: float = Field(
            default=2.0, ge=0, le=1e4, allow_inf_nan=False, description="Standard deviation of the Gaussian, in samples; 0: none."
        )
        amplitude: tuple[float, float] | None = Field(
            default=None, description="Least and most value that is made. None: all that the target takes."
        )
        std: Std = Field(default=0.5, description="Standard deviation that searches begin with, as a quarter of the amplitude's range.")

        @model_validator(mode="after")
        def _ordered(self) -> SeriesGenerator.Options:
            if self.amplitude is not None and not self.amplitude[0] < self.amplitude[1]:
                raise ValueError(f"amplitude {list(self.amplitude)} has to rise, from the least value to the most")
            return self

    BOUND = 6.0

    def __init__(self, stimulus: StimulusSpec, options: Options) -> None:
        if stimulus.modality != "series":
            raise Unfit(f"series makes series, the target takes an {stimulus}; use fourier, maco or pixel")
        self.options = options
        self._low, self._high = options.amplitude or (stimulus.low, stimulus.high)
        if not stimulus.low <= self._low < self._high <= stimulus.high:
            raise InvalidOption("amplitude", f"the target takes values in [{stimulus.low:g}, {stimulus.high:g}]")
        latent = Box(stimulus.shape, -self.BOUND, self.BOUND)
        super().__init__(latent, stimulus, normal_bank(latent, options.std), step=0.05)
        reach = min(math.ceil(4 * options.smoothing), stimulus.shape[1] - 1)
        offsets = torch.arange(-reach, reach + 1)
        self._kernel = torch.exp(-0.5 * (offsets / max(options.smoothing, 1e-6)) ** 2)
        counted = F.conv1d(torch.ones(1, 1, stimulus.shape[1]), self._kernel.square()[None, None], padding=reach)
        self._gain = counted[0, 0].rsqrt()

    def _draw(self, latents: Tensor) -> Tensor:
        channels, length = self.stimulus.shape
        rows = latents.reshape(-1, 1, length)
        smooth = F.conv1d(rows, self._kernel[None, None], padding=(self._kernel.numel() - 1) // 2) * self._gain
        share = smooth.view(-1, channels, length).sigmoid()
        return (self._low + (self._high - self._low) * share).clamp(self._low, self._high)
