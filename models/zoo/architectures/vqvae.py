"""A vector-quantised autoencoder with an 8 × 8 map of codes (van den Oord et al., "Neural discrete representation learning", 2017)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

CODES = 512
MAP = 8
WIDTH = 64
"""Length of a code vector."""


class Residual(nn.Module):
    """A residual block: x + conv1x1(relu(conv3x3(relu(x))))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width // 2, 3, padding=1)
        self.conv2 = nn.Conv2d(width // 2, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return features: (n, width, h, w) -> the same shape."""
        return x + self.conv2(F.relu(self.conv1(F.relu(x))))


class Encoder(nn.Sequential):
    """An encoder from images in [0, 1], (n, 3, 32, 32), to vectors, (n, 64, 8, 8)."""

    def __init__(self, hidden: int = 96) -> None:
        super().__init__(
            nn.Conv2d(3, hidden // 2, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(hidden // 2, hidden, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(hidden, hidden, 3, padding=1),
            Residual(hidden),
            Residual(hidden),
            nn.ReLU(),
            nn.Conv2d(hidden, WIDTH, 1),
        )


class Decoder(nn.Sequential):
    """A decoder from code vectors, (n, 64, 8, 8), to images in [0, 1], (n, 3, 32, 32)."""

    def __init__(self, hidden: int = 96) -> None:
        super().__init__(
            nn.Conv2d(WIDTH, hidden, 3, padding=1),
            Residual(hidden),
            Residual(hidden),
            nn.ReLU(),
            nn.ConvTranspose2d(hidden, hidden // 2, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(hidden // 2, 3, 4, stride=2, padding=1),
            nn.Sigmoid(),
        )


class VectorQuantizer(nn.Module):
    """The code book, kept as a running mean of the vectors assigned to each code.

    The moving-average update is that of the appendix of van den Oord et al.; codes that fall out of use are
    restarted on vectors of the batch (Dhariwal et al., "Jukebox", 2020).
    """

    codebook: Tensor
    usage: Tensor
    sums: Tensor

    def __init__(self, codes: int = CODES, width: int = WIDTH, decay: float = 0.99) -> None:
        super().__init__()
        self.decay = decay
        book = torch.randn(codes, width)
        self.register_buffer("codebook", book)
        self.register_buffer("usage", torch.ones(codes))
        self.register_buffer("sums", book.clone())

    def nearest(self, vectors: Tensor) -> Tensor:
        """Return the codes nearest to vectors: (n, width, h, w) -> int64, (n, h, w)."""
        flat = vectors.movedim(1, -1).flatten(0, -2)
        distance = self.codebook.square().sum(1) - 2 * flat @ self.codebook.T
        return distance.argmin(1).view(vectors.shape[0], *vectors.shape[2:])

    def embed(self, codes: Tensor) -> Tensor:
        """Return the vectors of codes: int64, (n, h, w) -> (n, width, h, w)."""
        return self.codebook[codes].movedim(-1, 1)

    @torch.no_grad()
    def update(self, vectors: Tensor, codes: Tensor) -> None:
        """Move the code book towards the encoder's vectors.

        Parameters
        ----------
        vectors : Tensor
            (n, width, h, w).
        codes : Tensor
            int64, (n, h, w): the code assigned to each vector.
        """
        flat = vectors.movedim(1, -1).flatten(0, -2).float()
        chosen = codes.flatten()
        count = torch.zeros_like(self.usage).index_add_(0, chosen, torch.ones_like(chosen, dtype=flat.dtype))
        sums = torch.zeros_like(self.sums).index_add_(0, chosen, flat)
        self.usage.lerp_(count, 1 - self.decay)
        self.sums.lerp_(sums, 1 - self.decay)
        idle = self.usage < 0.05
        restarts = flat[torch.randint(flat.shape[0], (int(idle.sum()),))]
        self.sums[idle] = restarts
        self.usage[idle] = 1.0
        self.codebook.copy_(self.sums / self.usage[:, None])


class VQVAE(nn.Module):
    """A vector-quantised autoencoder: encoder, code book and decoder."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = Encoder()
        self.quantizer = VectorQuantizer()
        self.decoder = Decoder()

    def encode(self, images: Tensor) -> Tensor:
        """Return the codes, int64, (n, 8, 8), of images in [0, 1], (n, 3, 32, 32)."""
        return self.quantizer.nearest(self.encoder(images))

    def decode(self, codes: Tensor) -> Tensor:
        """Return the images in [0, 1], (n, 3, 32, 32), of codes, int64, (n, 8, 8)."""
        return self.decoder(self.quantizer.embed(codes))
