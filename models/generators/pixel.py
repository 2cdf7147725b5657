"""The stimulus itself, value by value."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import Tensor

from ..spaces import Box, StimulusSpec
from .canvas import MAPPING, Canvas, CanvasOptions, Mapping, Std, in_range, normal_bank, out_of_range
from .colour import COLOUR, Colour, colour_matrix, coloured


class PixelGenerator(Canvas):
    """Every value of a stimulus is a coordinate: pixels of an image, samples of a series (Erhan et al., 2009).

    Without further constraints, gradient searches end at adversarial noise: the baseline for every other generator. With transformations
    the results are pictures.

    Parameters
    ----------
    stimulus : StimulusSpec
        Any.
    options : PixelGenerator.Options
    """

    class Options(CanvasOptions):
        """Options of pixels."""

        mean: float = Field(default=0.5, gt=0, lt=1, description="Mean of the values that searches begin at, as a share of the range.")
        std: Std = Field(default=0.02, description="Their standard deviation, as a share of the range.")
        mapping: Annotated[Mapping, MAPPING] = "sigmoid"
        colour: Annotated[Colour, COLOUR] = "none"

    BOUND = 6.0

    def __init__(self, stimulus: StimulusSpec, options: Options) -> None:
        self.options = options
        bound = self.BOUND if options.mapping == "sigmoid" else 2.0
        latent = Box(stimulus.shape, -bound, bound)
        share = normal_bank(Box(stimulus.shape, 0.003, 0.997), options.std, options.mean)
        super().__init__(latent, stimulus, out_of_range(share, options.mapping), step=0.05 * 4)
        self._matrix = colour_matrix(options.colour, stimulus.shape[0]) if stimulus.modality == "image" else None

    def _draw(self, latents: Tensor) -> Tensor:
        return in_range(coloured(latents, self._matrix), self.stimulus, self.options.mapping)
