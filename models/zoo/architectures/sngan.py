"""A generative adversarial network with a 128-D latent.

Miyato et al., "Spectral normalization for generative adversarial networks", 2018: the convolutional generator and
discriminator of its appendix, here of a width that trains on a CPU.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import spectral_norm

LATENT = 128


class Generator(nn.Module):
    """A generator from standard normal latents, (n, 128), to images in [0, 1], (n, 3, 32, 32)."""

    def __init__(self, widths: tuple[int, int, int, int] = (192, 128, 64, 32)) -> None:
        super().__init__()
        self.first = widths[0]
        self.dense = nn.Linear(LATENT, widths[0] * 16)
        layers: list[nn.Module] = [nn.BatchNorm2d(widths[0]), nn.ReLU()]
        for before, after in pairwise(widths):
            layers += [nn.ConvTranspose2d(before, after, 4, stride=2, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
        self.blocks = nn.Sequential(*layers, nn.Conv2d(widths[-1], 3, 3, padding=1))

    def forward(self, latents: Tensor) -> Tensor:
        """Return images in [0, 1], (n, 3, 32, 32), of latents, (n, 128)."""
        return (torch.tanh(self.blocks(self.dense(latents).view(-1, self.first, 4, 4))) + 1) / 2


class Discriminator(nn.Module):
    """A discriminator from images in [0, 1], (n, 3, 32, 32), to realness, (n,); every layer is spectrally normalised.

    A position of its input is a block of 2 × 2 pixels, which halves the cost of a step.
    """

    def __init__(self, width: int = 48) -> None:
        super().__init__()
        shapes = ((12, width, 1), (width, 2 * width, 2), (2 * width, 2 * width, 1), (2 * width, 4 * width, 2), (4 * width, 4 * width, 1))
        layers: list[nn.Module] = [nn.PixelUnshuffle(2)]
        for before, after, stride in shapes:
            convolution = nn.Conv2d(before, after, 4 if stride == 2 else 3, stride=stride, padding=1)
            layers += [spectral_norm(convolution), nn.LeakyReLU(0.1)]
        self.blocks = nn.Sequential(*layers)
        self.out = spectral_norm(nn.Linear(4 * width * 16, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Return the realness of images in [0, 1], (n, 3, 32, 32): (n,)."""
        return self.out(self.blocks(2 * images - 1).flatten(1)).squeeze(1)

    @contextmanager
    def normalised(self) -> Iterator[None]:
        """Normalise every weight once, and keep the result for the duration of the block.

        Enter the block outside autocast, so that the power iteration runs in float32. In bfloat16 the norm has an error of several per cent
        that changes with each step, and training stalls.
        """
        with parametrize.cached():
            for module in self.modules():
                if parametrize.is_parametrized(module):
                    _ = module.weight
            yield
