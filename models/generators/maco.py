"""An image by the phases of its spectrum, whose magnitude is that of natural images."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from ..image_source import folder_stimuli
from ..permissions import FolderSource
from ..spaces import Box, StimulusSpec
from .canvas import MAPPING, Canvas, CanvasOptions, Mapping, images_only, in_range, out_of_range
from .generator import Unfit
from .natural import NaturalStatistics, cifar10


class MacoGenerator(Canvas):
    """Phases of an image's spectrum, its magnitude fixed to that of natural images (MACO, Fel et al., 2023).

    Fel, Boissin, Boutin, Picard, Novello, Colin, Linsley, Rousseau, Cadène, Goetschalckx, Gardes and Serre, "Unlocking feature
    visualization for deeper networks with magnitude constrained optimization", NeurIPS 2023. The magnitude is the mean |FFT| of natural
    images in uncorrelated colour; only phases are searched, so every stimulus has the contrast of natural images at every scale.

    A real image's spectrum is its own conjugate mirror image. On the two columns that mirror themselves, phases below the middle are
    copied from above it, so that the magnitude is kept; the phase of a coefficient that has to be real is 0. The mean colour is that of
    natural images.

    Parameters
    ----------
    stimulus : StimulusSpec
        An image of any size.
    options : MacoGenerator.Options

    Attributes
    ----------
    magnitude : Tensor
        (channels, height, width // 2 + 1): |rfft2| of every :meth:`planes`.
    """

    class Options(CanvasOptions):
        """Options of phases."""

        images: FolderSource | None = Field(
            default=None, description="Folder of images to take colours and spectrum of. None: CIFAR-10's, at any size by their law."
        )
        contrast: float = Field(
            default=1.5,
            gt=0,
            le=100,
            allow_inf_nan=False,
            description="Contrast of what is made: 1 is that of the mean magnitude, 1.5 that of natural images, whose magnitudes vary.",
        )
        mapping: Annotated[Mapping, MAPPING] = "sigmoid"

    BOUND = 4 * math.pi
    """Two turns in either direction, so that few phases reach the bounds."""

    def __init__(self, stimulus: StimulusSpec, options: Options) -> None:
        channels, height, width = images_only(stimulus, "maco")
        self.options = options
        natural = _natural(options.images, stimulus).resized(height, width)
        columns = width // 2 + 1
        latent = Box((channels, height, columns), -self.BOUND, self.BOUND)
        bank = latent.sample(max(16, min(256, (1 << 22) // latent.size)), torch.Generator().manual_seed(0))
        super().__init__(latent, stimulus, bank, step=1.0)
        self.magnitude = natural.magnitude.expand(channels, height, columns).contiguous()
        self._colour = natural.colour if natural.colour.shape[0] == channels else natural.colour[0, 0] * torch.eye(channels)
        self._offset = out_of_range(natural.mean.expand(channels).clamp(0.02, 0.98), options.mapping).view(-1, 1, 1)
        rows = torch.arange(height)
        mirrored = (rows > (height - 1) // 2) if height % 2 else (rows > height // 2)
        own = torch.tensor([column == 0 or 2 * column == width for column in range(columns)])
        self._mirrored = mirrored[:, None] & own
        self._real = ((rows == 0) | (2 * rows == height))[:, None] & own
        if bool((self._mirrored | self._real).all()):
            raise Unfit(f"an image of {height} × {width} has no phases to search; use pixel")

    def planes(self, latents: Tensor) -> Tensor:
        """Return uncorrelated planes of phases, before they are mixed into colours: (n, channels, height, width) of the fixed magnitude."""
        other = -latents.roll(-1, -2).flip(-2)  # of the conjugate row, -k for k
        phase = torch.where(self._mirrored, other, latents).masked_fill(self._real, 0.0)
        return torch.fft.irfft2(torch.polar(self.magnitude.expand_as(phase), phase), s=self.stimulus.shape[1:])

    def _draw(self, latents: Tensor) -> Tensor:
        colours = torch.einsum("rc,nchw->nrhw", self._colour, self.planes(latents))
        # times 4, since in_range has the slope 1/4: the contrast is kept where nothing saturates
        return in_range(4 * self.options.contrast * colours + self._offset, self.stimulus, self.options.mapping)


def _natural(folder: str | None, stimulus: StimulusSpec) -> NaturalStatistics:
    channels = stimulus.shape[0]
    if folder is None:
        return cifar10(channels)
    images = (folder_stimuli(folder, stimulus, "images") - stimulus.low) / (stimulus.high - stimulus.low)
    return NaturalStatistics.of(images if channels == 3 else images[:, :1])
