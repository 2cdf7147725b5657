"""CIFAR-10 from a parquet file: columns ``image`` or ``img`` (encoded bytes, or a struct with ``bytes``) and ``label``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ...pictures.decoding import decode

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
PADDING = 4


@dataclass(frozen=True)
class Images:
    """Labelled images.

    Attributes
    ----------
    pixels : Tensor
        uint8, (n, 3, 32, 32).
    labels : Tensor
        int64, (n,), values 0 to 9.
    """

    source = "CIFAR-10 (Krizhevsky 2009)"
    stimuli = "CIFAR-10 test images"
    classes = CLASSES

    pixels: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return self.pixels.shape[0]

    def unit_range(self, rows: slice | Tensor) -> Tensor:
        """Return the images of ``rows`` as float32 in [0, 1], (n, 3, 32, 32)."""
        return self.pixels[rows].float() / 255


def read_parquet(path: str | Path) -> Images:
    """Return the labelled images of one CIFAR-10 parquet file.

    Raises
    ------
    ValueError
        A column is missing, or an image is not 32 × 32.
    """
    import pyarrow.parquet as pq  # only training reads parquet

    table = pq.read_table(path)
    column = next((name for name in ("image", "img") if name in table.column_names), None)
    if column is None or "label" not in table.column_names:
        raise ValueError(f"{path}: needs the columns image (or img) and label, found {table.column_names}")
    pixels = np.empty((table.num_rows, 32, 32, 3), dtype=np.uint8)
    for row, cell in enumerate(table[column].to_pylist()):
        encoded = cell["bytes"] if isinstance(cell, dict) else cell
        image = decode(encoded).image
        if image.size != (32, 32):
            raise ValueError(f"{path}: row {row} is {image.size[0]} × {image.size[1]} pixels, not 32 × 32")
        pixels[row] = np.asarray(image.convert("RGB"))
    labels = torch.from_numpy(table["label"].to_numpy().astype(np.int64))
    return Images(torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous(), labels)


def shuffled_batches(images: Images, batch: int, generator: torch.Generator, *, crop: bool) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield one epoch of augmented batches: flipped at random, and shifted by up to 4 pixels with ``crop``.

    Parameters
    ----------
    images : Images
        The training images.
    batch : int
        Images of a batch.
    generator : torch.Generator
        Draws order and augmentation.
    crop : bool
        Whether to shift images.

    Yields
    ------
    pixels : Tensor
        float32 in [0, 1], (batch, 3, 32, 32); the last incomplete batch is dropped.
    labels : Tensor
        int64, (batch,).
    """
    order = torch.randperm(len(images), generator=generator)
    for start in range(0, len(images) - batch + 1, batch):
        rows = order[start : start + batch]
        pixels = images.unit_range(rows)
        flip = torch.rand(batch, generator=generator) < 0.5
        pixels[flip] = pixels[flip].flip(-1)
        if crop:
            pixels = _shift(pixels, generator)
        yield pixels, images.labels[rows]


def _shift(pixels: Tensor, generator: torch.Generator) -> Tensor:
    n, _, height, width = pixels.shape
    padded = torch.nn.functional.pad(pixels, [PADDING] * 4, mode="reflect").permute(0, 2, 3, 1)
    offsets = torch.randint(0, 2 * PADDING + 1, (2, n), generator=generator)
    y = (offsets[0, :, None] + torch.arange(height))[:, :, None]
    x = (offsets[1, :, None] + torch.arange(width))[:, None, :]
    return padded[torch.arange(n)[:, None, None], y, x].permute(0, 3, 1, 2)
