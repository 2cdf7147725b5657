"""Generated labelled signals: six kinds, drawn from a seed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image, ImageDraw
from torch import Tensor

KINDS = ("sine", "chirp", "square", "sawtooth", "heartbeat", "noise burst")
LENGTH = 128


@dataclass(frozen=True)
class Signals:
    """Labelled series.

    Attributes
    ----------
    values : Tensor
        float32, (n, 1, 128), in [-1, 1].
    labels : Tensor
        int64, (n,): indices into ``KINDS``.
    """

    source = "six kinds of generated signals (models/zoo/training/signals.py)"
    stimuli = "generated test signals"
    classes = KINDS

    values: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return self.values.shape[0]

    def unit_range(self, rows: slice | Tensor) -> Tensor:
        """Return the series of ``rows``, prepared for the target: float32 in [-1, 1], (n, 1, 128)."""
        return self.values[rows]


def draw(n: int, seed: int) -> Signals:
    """Return ``n`` signals, their kinds in turn.

    Each has a random frequency of 2 to 10 cycles, phase, amplitude of .4 to .9 and offset, and a little white noise. A chirp's frequency
    rises or falls to two to five times the other end; heartbeats are a small wave, a sharp complex and a broad wave each; a noise burst is
    white noise under a bell of random place and width.
    """
    rng = torch.Generator().manual_seed(seed)

    def between(low: float, high: float) -> Tensor:
        return torch.rand(n, 1, generator=rng) * (high - low) + low

    time = torch.linspace(0, 1, LENGTH)[None]
    frequency, shift = between(2, 10), between(0, 1)
    phase = frequency * time + shift
    ratio = between(2, 5)
    start = between(1.5, 4)
    swept = start * (time + (ratio - 1) * time**2 / 2) + shift
    backwards = torch.rand(n, 1, generator=rng) < 0.5
    place, width = between(0.2, 0.8), between(0.05, 0.15)
    white = torch.randn(n, LENGTH, generator=rng)
    kinds = torch.stack(
        [
            (math.tau * phase).sin(),
            torch.where(backwards, (math.tau * swept).sin().flip(-1), (math.tau * swept).sin()),
            (math.tau * phase).sin().sign(),
            2 * (phase % 1) - 1,
            _heartbeat((frequency * 0.6 + 1) * time + shift),
            (white * 0.7 * (-(((time - place) / width) ** 2) / 2).exp()).clamp(-1.1, 1.1),
        ],
        1,
    )
    labels = torch.arange(n) % len(KINDS)
    clean = kinds[torch.arange(n), labels]
    noisy = between(0.4, 0.9) * clean + between(-0.1, 0.1) + 0.05 * torch.randn(n, LENGTH, generator=rng)
    return Signals(noisy.clamp(-1, 1)[:, None], labels)


def _heartbeat(phase: Tensor) -> Tensor:
    """Return P wave, QRS complex and T wave of each cycle, as bells in its phase."""
    inside = phase % 1
    waves = ((0.2, 0.035, 0.15), (0.36, 0.012, -0.2), (0.4, 0.014, 1.1), (0.44, 0.012, -0.3), (0.65, 0.05, 0.3))
    return sum((height * (-(((inside - at) / width) ** 2) / 2).exp() for at, width, height in waves), torch.zeros_like(inside))


def shuffled(signals: Signals, batch: int, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield one epoch of batches, half of them flipped upside down (except heartbeats); the last incomplete batch is dropped."""
    order = torch.randperm(len(signals), generator=generator)
    for start in range(0, len(signals) - batch + 1, batch):
        rows = order[start : start + batch]
        values, labels = signals.values[rows], signals.labels[rows]
        flip = (torch.rand(batch, generator=generator) < 0.5) & (labels != KINDS.index("heartbeat"))
        yield torch.where(flip[:, None, None], -values, values), labels


def sheet(series: Tensor, columns: int, path: Path, width: int = 72, height: int = 40) -> None:
    """Write a grid of line plots, row by row, as PNG.

    Parameters
    ----------
    series : Tensor
        (n, 1, 128) in [-1, 1].
    columns : int
        Plots of a row.
    path : Path
        The file to write.
    width, height : int
        Size of a plot, in pixels.
    """
    rows = -(-series.shape[0] // columns)
    canvas = Image.new("L", (columns * (width + 4), rows * (height + 4)), 255)
    pen = ImageDraw.Draw(canvas)
    for number, values in enumerate(series[:, 0].tolist()):
        left, top = number % columns * (width + 4) + 2, number // columns * (height + 4) + 2
        points = [(left + x * (width - 1) / (len(values) - 1), top + (1 - y) / 2 * (height - 1)) for x, y in enumerate(values)]
        pen.line(points, fill=40, width=1)
    canvas.save(path, optimize=True)
