"""A small convolutional network for series of 128 samples."""

from __future__ import annotations

from torch import Tensor, nn


class SeriesCNN(nn.Module):
    """Series in [-1, 1], (n, 1, 128), to six logits, through three strided convolutions over time.

    After Wang, Yan and Oates, "Time series classification from scratch with deep neural networks", 2017: convolutions, averaged over time.
    """

    def __init__(self, widths: tuple[int, int, int] = (16, 32, 48), classes: int = 6) -> None:
        super().__init__()
        before = 1
        for number, (width, kernel) in enumerate(zip(widths, (9, 7, 5), strict=True), start=1):
            stage = nn.Sequential(
                nn.Conv1d(before, width, kernel, stride=2, padding=kernel // 2, bias=False), nn.BatchNorm1d(width), nn.ReLU()
            )
            self.add_module(f"stage{number}", stage)
            before = width
        self.stages = len(widths)
        self.pool = nn.AdaptiveAvgPool1d(1)
        self.fc = nn.Linear(before, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits, (n, 6), of series in [-1, 1], (n, 1, 128)."""
        for number in range(1, self.stages + 1):
            x = self.get_submodule(f"stage{number}")(x)
        return self.fc(self.pool(x).flatten(1))
