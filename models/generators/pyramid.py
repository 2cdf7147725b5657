"""Scales of a stimulus: coarse and fine grids, interpolated and added up."""

from __future__ import annotations

import math

from torch import Tensor
from torch.nn import functional as F


class Pyramid:
    """Grids of 1, 1/2, 1/4 … of the size, interpolated linearly and summed (Lucid's ``laplacian_pyramid``).

    Parameters
    ----------
    shape : tuple of int
        (channels, *size) of one stimulus, its size in one or two dimensions.
    levels : int
        Most grids; grids after the first one of a single point are left out.
    """

    def __init__(self, shape: tuple[int, ...], levels: int) -> None:
        self.shape = shape
        self.sizes: list[tuple[int, ...]] = []
        for level in range(levels):
            self.sizes.append(tuple(-(-size // 2**level) for size in shape[1:]))
            if max(self.sizes[-1]) == 1:
                break

    @property
    def points(self) -> int:
        """Number of points of all grids of one channel."""
        return sum(math.prod(size) for size in self.sizes)

    def sum(self, values: Tensor) -> Tensor:
        """Return the sum of the interpolated grids: (n, channels, points), the finest grid first -> (n, *shape)."""
        total: Tensor | None = None
        parts = values.split([math.prod(size) for size in self.sizes], -1)
        mode = "linear" if len(self.shape) == 2 else "bilinear"
        for part, size in zip(parts, self.sizes, strict=True):
            grid = part.reshape(*part.shape[:2], *size)
            if size != self.shape[1:]:
                grid = F.interpolate(grid, self.shape[1:], mode=mode, align_corners=False)
            total = grid if total is None else total + grid
        assert total is not None  # there is at least one level
        return total
