"""A small vision transformer for 32 × 32 images.

Dosovitskiy et al., "An image is worth 16×16 words", 2021, with the convolutional patch embedding of Xiao et al.,
"Early convolutions help transformers see better", 2021, which lets it learn from 50,000 images in few epochs.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .normalize import Normalize


class Attention(nn.Module):
    """Multi-head self-attention over tokens."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Return attended tokens: (n, tokens, dim) -> the same shape."""
        n, tokens, dim = x.shape
        q, k, v = self.qkv(x).view(n, tokens, 3, self.heads, dim // self.heads).permute(2, 0, 3, 1, 4)
        # not fused: over 64 tokens the fused kernel's backward pass is several times slower on a CPU
        mixed = (q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5).softmax(-1) @ v
        return self.proj(mixed.transpose(1, 2).reshape(n, tokens, dim))


class Block(nn.Module):
    """Pre-norm transformer block."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attn = Attention(dim, heads)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim))

    def forward(self, x: Tensor) -> Tensor:
        """Return transformed tokens: (n, tokens, dim) -> the same shape."""
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class SmallViT(nn.Module):
    """A vision transformer from images in [0, 1], (n, 3, 32, 32), to ten logits, with 64 tokens of one 4 × 4 patch each."""

    def __init__(self, dim: int = 128, depth: int = 5, heads: int = 4, classes: int = 10) -> None:
        super().__init__()
        self.normalize = Normalize()
        self.patch = nn.Sequential(
            nn.Conv2d(3, dim // 4, 3, stride=1, padding=1, bias=False),
            nn.BatchNorm2d(dim // 4),
            nn.ReLU(),
            nn.Conv2d(dim // 4, dim // 2, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(dim // 2),
            nn.ReLU(),
            nn.Conv2d(dim // 2, dim, 3, stride=2, padding=1),
        )
        self.position = nn.Parameter(torch.randn(1, 64, dim) * 0.02)
        self.blocks = nn.ModuleList(Block(dim, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits, (n, 10), of images in [0, 1], (n, 3, 32, 32), read from the mean token."""
        x = self.patch(self.normalize(x)).flatten(2).transpose(1, 2) + self.position
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x).mean(1))
