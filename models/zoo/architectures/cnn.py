"""A small residual network for 32 × 32 images (He et al., "Deep residual learning", 2016)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from .normalize import Normalize


class BasicBlock(nn.Module):
    """Two 3 × 3 convolutions with a shortcut; halves the resolution when ``stride`` is 2."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)
        self.shortcut = (
            nn.Identity()
            if stride == 1 and before == after
            else nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return features: (n, before, h, w) -> (n, after, h / stride, w / stride)."""
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + self.shortcut(x))


class ResidualCNN(nn.Module):
    """A residual network from images in [0, 1], (n, 3, 32, 32), to ten logits."""

    def __init__(self, widths: tuple[int, ...] = (32, 64, 128, 256), classes: int = 10) -> None:
        super().__init__()
        self.normalize = Normalize()
        self.stem = nn.Sequential(nn.Conv2d(3, widths[0], 3, padding=1, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU())
        before = widths[0]
        for number, width in enumerate(widths, start=1):
            self.add_module(f"layer{number}", BasicBlock(before, width, 1 if number == 1 else 2))
            before = width
        self.stages = len(widths)
        self.pool = nn.AdaptiveMaxPool2d(1)
        self.fc = nn.Linear(before, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits, (n, 10), of images in [0, 1], (n, 3, 32, 32)."""
        x = self.stem(self.normalize(x))
        for number in range(1, self.stages + 1):
            x = self.get_submodule(f"layer{number}")(x)
        return self.fc(self.pool(x).flatten(1))
