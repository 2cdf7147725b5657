"""An image by its Fourier coefficients, in uncorrelated colour."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from ..spaces import Box, StimulusSpec
from .canvas import MAPPING, Canvas, CanvasOptions, Mapping, Std, images_only, in_range, normal_bank
from .colour import COLOUR, Colour, colour_matrix, coloured


class FourierGenerator(Canvas):
    """Fourier coefficients of an image, scaled to the 1/f of natural ones, in uncorrelated colour (Olah et al., 2017).

    Olah, Mordvintsev and Schubert, "Feature visualization", Distill 2017, as in Lucid's ``fft_image``: coefficient × √(h·w) ÷
    max(f, 1 ÷ max(w, h))^decay, transformed back, ÷ 4, mixed into colours, squashed. Steps of equal length in this basis are steepest in
    another metric: low frequencies move as readily as natural images vary in them.

    Parameters
    ----------
    stimulus : StimulusSpec
        An image of any size, odd ones included.
    options : FourierGenerator.Options
    """

    class Options(CanvasOptions):
        """Options of Fourier coefficients."""

        std: Std = Field(default=0.01, description="Standard deviation of the coefficients that searches begin at.")
        decay: float = Field(default=1.0, ge=0, le=4, allow_inf_nan=False, description="Power of 1/f that coefficients are scaled by.")
        colour: Annotated[Colour, COLOUR] = "imagenet"
        mapping: Annotated[Mapping, MAPPING] = "sigmoid"

    BOUND = 5.0

    def __init__(self, stimulus: StimulusSpec, options: Options) -> None:
        channels, height, width = images_only(stimulus, "fourier")
        self.options = options
        latent = Box((2, channels, height, width // 2 + 1), -self.BOUND, self.BOUND)
        super().__init__(latent, stimulus, normal_bank(latent, options.std), step=0.05)
        self._scale = spectrum_scale(height, width, options.decay)
        self._matrix = colour_matrix(options.colour, channels)

    def _draw(self, latents: Tensor) -> Tensor:
        spectrum = torch.complex(latents[:, 0], latents[:, 1]) * self._scale
        planes = torch.fft.irfft2(spectrum, s=self.stimulus.shape[1:]) / 4
        return in_range(coloured(planes, self._matrix), self.stimulus, self.options.mapping)


def spectrum_scale(height: int, width: int, decay: float) -> Tensor:
    """Return √(h·w) ÷ max(f, 1 ÷ max(w, h))^decay, f in cycles per pixel: (height, width // 2 + 1)."""
    y, x = torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)[None]
    frequency = (y.square() + x.square()).sqrt().clamp(min=1 / max(height, width))
    return math.sqrt(height * width) * frequency**-decay
