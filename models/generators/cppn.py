"""An image as a small network over its coordinates."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from pydantic import Field
from torch import Tensor

from ..spaces import Box, StimulusSpec
from .canvas import Canvas, CanvasOptions, images_only, in_range


class CppnGenerator(Canvas):
    """Weights of a compositional pattern-producing network from a pixel's place to its colour (Mordvintsev et al., 2018).

    Mordvintsev, Pezzotti, Schubert and Olah, "Differentiable image parameterizations", Distill 2018: layers of arctangents and their
    squares over the coordinates, which lie in ±√3 along the longer side. Its pictures are smooth and have no pixels.

    Parameters
    ----------
    stimulus : StimulusSpec
        An image.
    options : CppnGenerator.Options
    """

    class Options(CanvasOptions):
        """Options of the network."""

        width: int = Field(default=24, ge=1, le=256, description="Units of a hidden layer.")
        layers: int = Field(default=8, ge=1, le=32, description="Hidden layers.")

    BOUND = 5.0
    """Bound of the weights, in units of their initial standard deviation, 1 ÷ √(inputs)."""

    def __init__(self, stimulus: StimulusSpec, options: Options) -> None:
        channels, height, width = images_only(stimulus, "cppn")
        self.options = options
        inputs = [2, *[2 * options.width] * options.layers]
        outputs = [*[options.width] * options.layers, channels]
        self._layers = list(zip(inputs, outputs, strict=True))
        sizes = [(before + 1) * after for before, after in self._layers]
        self._bounds = list(pairwise([0, *torch.tensor(sizes).cumsum(0).tolist()]))
        latent = Box((sum(sizes),), -self.BOUND, self.BOUND)
        bank = torch.randn(256, latent.size, generator=torch.Generator().manual_seed(0))
        for (start, stop), (_, after) in zip(self._bounds, self._layers, strict=True):
            bank[:, stop - after : stop] = 0  # biases
            if stop == latent.size:
                bank[:, start:stop] *= 0.3  # near grey
        super().__init__(latent, stimulus, bank, step=0.03)
        self._gain = torch.cat([torch.full((size,), 1 / math.sqrt(before)) for size, (before, _) in zip(sizes, self._layers, strict=True)])
        longest = max(height, width, 2) - 1
        y, x = (math.sqrt(3) * (2 * torch.arange(size) - (size - 1)) / longest for size in (height, width))
        self._places = torch.stack([x[None].expand(height, width), y[:, None].expand(height, width)], -1).reshape(-1, 2)

    def _draw(self, latents: Tensor) -> Tensor:
        weights = latents * self._gain
        x = self._places.expand(latents.shape[0], -1, -1)
        for number, ((start, stop), (before, after)) in enumerate(zip(self._bounds, self._layers, strict=True)):
            matrix = weights[:, start : stop - after].reshape(-1, before, after)
            x = x @ matrix + weights[:, None, stop - after : stop]
            if number < self.options.layers:
                x = x.atan()
                x = torch.cat([x / 0.67, x.square() / 0.6], -1)  # each of about unit size
        return in_range(x.transpose(1, 2).reshape(-1, *self.stimulus.shape), self.stimulus)
