"""Statistics of natural images: their colours, and the magnitude of their spectrum."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Self

import safetensors.torch
import torch
from torch import Tensor
from torch.nn import functional as F

FOLDER = Path(__file__).parent / "statistics"
BAND = (1.0, 12.0)
"""Cycles per image over which the power law of 32 × 32 images is fitted; higher frequencies are shaped by the camera as well."""


@dataclass(frozen=True)
class NaturalStatistics:
    """Colours and spectrum of a set of natural images with values in [0, 1].

    Attributes
    ----------
    mean : Tensor
        (channels,) mean colour.
    colour : Tensor
        (channels, channels), a root of the colours' covariance, which is ``colour @ colour.T``: columns are its principal axes, the longest
        first, each as long as its standard deviation.
    magnitude : Tensor
        (channels, height, width // 2 + 1): mean |rfft2| of the images in uncorrelated colour; 0 at frequency 0.
    height, width : int
        Size of the images.
    """

    mean: Tensor
    colour: Tensor
    magnitude: Tensor
    height: int
    width: int

    @classmethod
    def of(cls, images: Tensor) -> Self:
        """Return the statistics of ``images``, float (n, channels, height, width) in [0, 1].

        Uncorrelated planes are ``colour⁻¹ (image - mean)``: ``colour`` times these planes is the image again, without its mean.
        """
        n, channels, height, width = images.shape
        planes = images.double()
        mean = planes.mean((0, 2, 3))
        centred = planes - mean.view(-1, 1, 1)
        flat = centred.permute(1, 0, 2, 3).flatten(1)
        values, vectors = torch.linalg.eigh(flat @ flat.T / flat.shape[1])
        order = values.argsort(descending=True)
        colour = vectors[:, order] * values[order].clamp(min=1e-10).sqrt()
        colour = colour * torch.where(colour.sum(0) < 0, -1.0, 1.0)  # the sign of an axis is free; positive is brighter
        inverse = torch.linalg.inv(colour)
        total = torch.zeros(channels, height, width // 2 + 1, dtype=torch.float64)
        for part in centred.split(1000):
            total += torch.fft.rfft2(torch.einsum("rc,nchw->nrhw", inverse, part)).abs().sum(0)
        total[:, 0, 0] = 0
        return cls(mean.float(), colour.float(), (total / n).float(), height, width)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a file that :meth:`save` wrote."""
        tensors = safetensors.torch.load_file(path)
        height, width = (int(size) for size in tensors["size"])
        return cls(tensors["mean"], tensors["colour"], tensors["magnitude"], height, width)

    def save(self, path: Path) -> None:
        """Write the statistics as a safetensors file."""
        tensors = {"mean": self.mean, "colour": self.colour, "magnitude": self.magnitude}
        tensors["size"] = torch.tensor([self.height, self.width])
        safetensors.torch.save_file({name: value.contiguous() for name, value in tensors.items()}, path)

    def resized(self, height: int, width: int) -> Self:
        """Return the statistics of such images at another size, as if a finer or coarser camera had taken all of them.

        The longer sides are taken to show the same extent of the world. Between its grid points the magnitude is interpolated after
        division by its power law; beyond its highest frequency the law continues in each direction. The spectrum of a section of a scene is
        that of the scene times the square root of its area, which accounts for unequal sides.

        Parameters
        ----------
        height, width : int
            The new size, in pixels.
        """
        if (height, width) == (self.height, self.width):
            return self
        own, longest = max(self.height, self.width), max(height, width)
        # |FFT| is (pixels of the longer side) × √(all pixels) × a density that doesn't depend on the camera
        density = self.magnitude.double() / (own * math.sqrt(self.height * self.width))
        y, x = cycles(self.height, self.width)
        radius = (y.square() + x.square()).sqrt()
        exponents = [_power(plane, radius) for plane in density]
        ny, nx = cycles(height, width)
        new_radius = (ny.square() + nx.square()).sqrt()
        # beyond the last frequency, its value is continued by the law in the same direction
        last = ((self.height - 1) // 2 * own / self.height, (self.width - 1) // 2 * own / self.width)
        shrink = torch.minimum(_ratio(last[0], ny), _ratio(last[1], nx)).clamp(max=1.0)
        down = ny * shrink * self.height / own / max(self.height // 2, 1)
        across = 2 * nx * shrink * self.width / own / max(self.width // 2, 1) - 1
        grid = torch.stack([across, down], -1)
        planes: list[Tensor] = []
        for plane, exponent in zip(density, exponents, strict=True):
            white = torch.where(radius > 0, plane.clamp(min=1e-12) * radius**exponent, 0.0)
            white[0, 0] = (white[0, 1] + white[1, 0]) / 2  # the law has its pole here
            centred = torch.fft.fftshift(white, 0)
            if self.height % 2 == 0:  # its lowest frequency is its highest too
                centred = torch.cat([centred, centred[:1]])
            found = F.grid_sample(centred[None, None], grid[None], mode="bilinear", align_corners=True, padding_mode="border")[0, 0]
            planes.append(torch.where(new_radius > 0, found * new_radius.clamp(min=1e-9) ** -exponent, 0.0))
        magnitude = torch.stack(planes) * (longest * math.sqrt(height * width))
        for column in {0, width // 2} if width % 2 == 0 else {0}:  # these columns hold both signs of their frequencies
            magnitude[..., column] = (magnitude[..., column] + magnitude[..., column].roll(-1, -1).flip(-1)) / 2
        return type(self)(self.mean, self.colour, magnitude.float(), height, width)


def cycles(height: int, width: int) -> tuple[Tensor, Tensor]:
    """Return the vertical and horizontal frequencies of ``rfft2``, in cycles per longer side: two of (height, width // 2 + 1)."""
    longest = max(height, width)
    y = torch.fft.fftfreq(height, dtype=torch.float64) * longest
    x = torch.fft.rfftfreq(width, dtype=torch.float64) * longest
    return y[:, None].expand(height, x.numel()), x[None].expand(height, x.numel())


def _power(density: Tensor, radius: Tensor) -> float:
    """Return α of density ∝ radius^-α, by least squares on logarithms."""
    used = (radius >= BAND[0]) & (radius <= min(BAND[1], float(radius.max()) / 1.5))
    if int(used.sum()) < 8:
        return 1.0
    x, y = radius[used].log(), density[used].clamp(min=1e-12).log()
    return float(-((x - x.mean()) * (y - y.mean())).sum() / (x - x.mean()).square().sum())


def _ratio(limit: float, frequency: Tensor) -> Tensor:
    return torch.where(frequency.abs() > 0, limit / frequency.abs().clamp(min=1e-12), torch.inf)


@cache
def cifar10(channels: int) -> NaturalStatistics:
    """Return the statistics of CIFAR-10's 50,000 training images, in colour for 3 channels, else of one grey plane."""
    return NaturalStatistics.load(FOLDER / ("cifar10-colour.safetensors" if channels == 3 else "cifar10-grey.safetensors"))
