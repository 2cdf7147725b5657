"""What a training script is given, and what it gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from .cifar10 import Images
from .loop import Run


@dataclass(frozen=True)
class Task:
    """Data, seed, device and the checkpoint's place; ``epochs`` is None for the script's own number."""

    train: Images
    test: Images
    seed: int
    device: str
    checkpoint: Path
    epochs: int | None = None


@dataclass(frozen=True)
class Trained:
    """The finished run, the modules whose weights are shipped, and the figures for the card."""

    run: Run
    modules: Mapping[str, nn.Module]
    figures: Mapping[str, float]
