"""Channel normalisation inside the network, so that every target takes images in [0, 1]."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Normalize(nn.Module):
    """Subtracts CIFAR-10's channel means and divides by its channel standard deviations."""

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.4914, 0.4822, 0.4465]).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor([0.2470, 0.2435, 0.2616]).view(3, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return normalised images, with about zero mean and unit variance a channel: (n, 3, h, w) in [0, 1] -> the same shape."""
        return (x - self.mean) / self.std
