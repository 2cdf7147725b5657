"""A generative adversarial network with a 128-D latent.

Miyato et al., "Spectral normalization for generative adversarial networks", 2018: the convolutional generator and
discriminator of its appendix, here of a width that trains on a CPU.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

LATENT = 128


class Generator(nn.Module):
    """Latents, (n, 128), standard normal, to images in [0, 1], (n, 3, 32, 32)."""

    def __init__(self, widths: tuple[int, int, int, int] = (256, 160, 96, 48)) -> None:
        super().__init__()
        self.first = widths[0]
        self.dense = nn.Linear(LATENT, widths[0] * 16)
        layers: list[nn.Module] = [nn.BatchNorm2d(widths[0]), nn.ReLU()]
        for before, after in pairwise(widths):
            layers += [nn.ConvTranspose2d(before, after, 4, stride=2, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
        self.blocks = nn.Sequential(*layers, nn.Conv2d(widths[-1], 3, 3, padding=1))

    def forward(self, latents: Tensor) -> Tensor:
        """(n, 128) -> (n, 3, 32, 32) in [0, 1]."""
        return (torch.tanh(self.blocks(self.dense(latents).view(-1, self.first, 4, 4))) + 1) / 2


class Discriminator(nn.Module):
    """Images in [0, 1], (n, 3, 32, 32), to realness, (n,); every layer is spectrally normalised.

    The head sums over positions: with every layer's gain at most 1, a head over the flattened map answers too faintly for the
    hinge loss's margin, and the generator learns nothing.
    """

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 3
        for after in (width, 2 * width, 4 * width):
            layers += [spectral_norm(nn.Conv2d(before, after, 4, stride=2, padding=1)), nn.LeakyReLU(0.1)]
            layers += [spectral_norm(nn.Conv2d(after, after, 3, padding=1)), nn.LeakyReLU(0.1)]
            before = after
        self.blocks = nn.Sequential(*layers)
        self.out = spectral_norm(nn.Linear(before, 1))

    def forward(self, images: Tensor) -> Tensor:
        """(n, 3, 32, 32) -> (n,)."""
        return self.out(self.blocks(2 * images - 1).sum((2, 3))).squeeze(1)
