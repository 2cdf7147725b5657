"""An image as a Laplacian pyramid."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import Tensor

from ..spaces import Box, StimulusSpec
from .canvas import MAPPING, Canvas, CanvasOptions, Mapping, Std, in_range, normal_bank
from .colour import COLOUR, Colour, colour_matrix, coloured
from .pyramid import Pyramid


class LaplacianGenerator(Canvas):
    """A sum of grids from fine to coarse, each interpolated to the whole (Lucid's ``laplacian_pyramid_image``; Olah et al., 2017).

    This is a prior towards smooth pictures; unlike a Fourier coefficient, every latent has a place in the picture.

    Parameters
    ----------
    stimulus : StimulusSpec
        An image or a series.
    options : LaplacianGenerator.Options
    """

    class Options(CanvasOptions):
        """Options of a Laplacian pyramid."""

        levels: int = Field(default=4, ge=1, le=16, description="Most grids, each half the size of the one before.")
        std: Std = Field(default=0.05, description="Standard deviation of the values that searches begin at.")
        colour: Annotated[Colour, COLOUR] = "imagenet"
        mapping: Annotated[Mapping, MAPPING] = "sigmoid"

    BOUND = 5.0

    def __init__(self, stimulus: StimulusSpec, options: Options) -> None:
        self.options = options
        self._pyramid = Pyramid(stimulus.shape, options.levels)
        latent = Box((stimulus.shape[0], self._pyramid.points), -self.BOUND, self.BOUND)
        super().__init__(latent, stimulus, normal_bank(latent, options.std), step=0.05)
        self._matrix = colour_matrix(options.colour, stimulus.shape[0]) if stimulus.modality == "image" else None

    def _draw(self, latents: Tensor) -> Tensor:
        return in_range(coloured(self._pyramid.sum(latents), self._matrix), self.stimulus, self.options.mapping)
