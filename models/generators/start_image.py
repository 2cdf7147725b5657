"""A given image to start from, and additions to it at several scales."""

from __future__ import annotations

from typing import Self

import torch
from pydantic import Field
from torch import Tensor

from ..image_source import Fit, ImageSource, image_stimulus
from ..spaces import Box, StimulusSpec
from .canvas import Canvas, CanvasOptions, Std, normal_bank
from .pyramid import Pyramid


class StartImageGenerator(Canvas):
    """A given image plus what the search adds to it, by octaves: for DeepDream, style transfer and inversion.

    Mordvintsev, Olah and Tyka, "Inceptionism", 2015: DeepDream works on an image at sizes that grow by an octave. Here all octaves are
    searched at once, as grids of 1, 1/2, 1/4 … of the size that are interpolated and added to the image.

    Parameters
    ----------
    image : Tensor
        (*stimulus), the image to begin at.
    stimulus : StimulusSpec
        An image or a series.
    options : StartImageGenerator.Options
    """

    class Options(CanvasOptions):
        """Options of an image to begin at."""

        image: ImageSource = Field(description="The image: a data URI, in a job file file:NAME.png, in a library call a path.")
        fit: Fit = Field(default="exact", description="What to do about an image of another size.")
        octaves: int = Field(default=1, ge=1, le=16, description="Grids, each half the size of the one before; 1: pixels alone.")
        std: Std = Field(default=0.01, description="Standard deviation of what is added when a search begins, as a share of the range.")

    def __init__(self, image: Tensor, stimulus: StimulusSpec, options: Options) -> None:
        self.options = options
        self.image = image
        self._pyramid = Pyramid(stimulus.shape, options.octaves)
        latent = Box((stimulus.shape[0], self._pyramid.points), -1.0, 1.0)
        super().__init__(latent, stimulus, normal_bank(latent, options.std / len(self._pyramid.sizes) ** 0.5), step=0.01)

    @classmethod
    def for_stimulus(cls, options: Options, stimulus: StimulusSpec, /) -> Self:
        """Return a generator that begins at the options' image.

        Raises
        ------
        InvalidOption
            The image can't be read or doesn't fit the stimulus.
        """
        return cls(image_stimulus(options.image, stimulus, "image", fit=options.fit), stimulus, options)

    def _draw(self, latents: Tensor) -> Tensor:
        added = (self.stimulus.high - self.stimulus.low) * self._pyramid.sum(latents)
        return torch.clamp(self.image + added, self.stimulus.low, self.stimulus.high)
