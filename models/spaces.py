"""Latent spaces and stimuli: the vocabulary that generators, targets and optimizers share."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor


@dataclass(frozen=True)
class Box:
    """Real-valued latents between two bounds.

    Attributes
    ----------
    shape : tuple of int
        Shape of one latent; its geometry (a map of 8 × 8 is a map, 64 is a list).
    low, high : float
        Bounds of every coordinate, finite, ``low < high``.
    """

    shape: tuple[int, ...]
    low: float
    high: float

    def __post_init__(self) -> None:
        _check_shape(self.shape)
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ValueError(f"Box needs finite low < high, got {self.low} and {self.high}")

    @property
    def size(self) -> int:
        """Number of coordinates of one latent."""
        return math.prod(self.shape)

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Return ``n`` latents drawn uniformly: float32, (n, *shape), on the CPU."""
        return torch.rand(n, *self.shape, generator=generator) * (self.high - self.low) + self.low

    def check(self, latents: Tensor) -> None:
        """Raise ValueError unless ``latents`` are (n, *shape) floats within the bounds."""
        if not latents.is_floating_point() or tuple(latents.shape[1:]) != self.shape:
            raise ValueError(f"latents must be floats of shape (n, {_shown(self.shape)}), got {_described(latents)}")
        if not bool(((latents >= self.low) & (latents <= self.high)).all()):
            raise ValueError(f"latents must lie in [{self.low}, {self.high}]")


@dataclass(frozen=True)
class Categorical:
    """Discrete latents: every position holds one of ``cardinality`` codes.

    Attributes
    ----------
    shape : tuple of int
        Shape of one latent, e.g. (8, 8) for a map of codes.
    cardinality : int
        Number of codes, at least 2; codes are 0 … cardinality - 1.
    """

    shape: tuple[int, ...]
    cardinality: int

    def __post_init__(self) -> None:
        _check_shape(self.shape)
        if self.cardinality < 2:
            raise ValueError(f"Categorical needs a cardinality of at least 2, got {self.cardinality}")

    @property
    def size(self) -> int:
        """Number of positions of one latent."""
        return math.prod(self.shape)

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Return ``n`` latents drawn uniformly: int64, (n, *shape), on the CPU."""
        return torch.randint(self.cardinality, (n, *self.shape), generator=generator)

    def check(self, latents: Tensor) -> None:
        """Raise ValueError unless ``latents`` are (n, *shape) integer codes, or (n, *shape, cardinality) float weights."""
        if latents.is_floating_point():
            if tuple(latents.shape[1:]) != (*self.shape, self.cardinality):
                raise ValueError(
                    f"relaxed latents must have shape (n, {_shown((*self.shape, self.cardinality))}), got {_described(latents)}"
                )
            return
        if tuple(latents.shape[1:]) != self.shape:
            raise ValueError(f"latents must be codes of shape (n, {_shown(self.shape)}), got {_described(latents)}")
        if latents.numel() and not (0 <= int(latents.min()) and int(latents.max()) < self.cardinality):
            raise ValueError(f"codes must lie in 0 … {self.cardinality - 1}")

    def harden(self, latents: Tensor) -> Tensor:
        """Return codes: (n, *shape, cardinality) weights -> (n, *shape), each position's heaviest code; codes are returned unchanged."""
        return latents.argmax(-1) if latents.is_floating_point() else latents


LatentSpace = Box | Categorical


@dataclass(frozen=True)
class StimulusSpec:
    """Shape, value range and modality of a stimulus.

    Attributes
    ----------
    shape : tuple of int
        Shape of one stimulus: (channels, height, width) for an image, (channels, time) for a series.
    low, high : float
        Value range; images are in [0, 1].
    modality : {"image", "series"}
        Kind of the stimulus, by which it is displayed.
    """

    shape: tuple[int, ...]
    low: float = 0.0
    high: float = 1.0
    modality: Literal["image", "series"] = "image"

    def __post_init__(self) -> None:
        _check_shape(self.shape)
        dimensions = 3 if self.modality == "image" else 2
        if len(self.shape) != dimensions:
            raise ValueError(f"a stimulus of modality {self.modality} has {dimensions} dimensions, got shape {self.shape}")

    def __str__(self) -> str:
        return f"{self.modality} {' × '.join(map(str, self.shape))} in [{self.low:g}, {self.high:g}]"


def _check_shape(shape: tuple[int, ...]) -> None:
    if not shape or any(size < 1 for size in shape):
        raise ValueError(f"a shape needs at least one dimension and positive sizes, got {shape}")


def _shown(shape: tuple[int, ...]) -> str:
    return ", ".join(map(str, shape))


def _described(latents: Tensor) -> str:
    return f"{latents.dtype} {tuple(latents.shape)}"
