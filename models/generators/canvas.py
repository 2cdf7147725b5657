"""What generators share that have no stimulus of their own: a Box of latents, a bank of starting points, and a value range to end in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated, Any, Literal, Self

import torch
from pydantic import Field
from torch import Tensor

from ..options import OptionsModel
from ..spaces import Box, StimulusSpec
from .generator import Unfit
from .prior import Prior

Mapping = Literal["sigmoid", "clip"]
MAPPING = Field(description="How values end in the stimulus's range: by a sigmoid, or clipped, with the sigmoid's slope in its middle.")

BANK_VALUES = 1 << 22
"""Values of a bank of starting points, about."""


class CanvasOptions(OptionsModel):
    """Options of every generator of this kind."""


class Canvas(ABC):
    """A differentiable generator over a Box that makes whatever stimuli a target takes.

    A subclass takes (stimulus, options), or says in ``for_stimulus`` how it is made, and draws in ``_draw``; every tensor among its
    attributes moves along with :meth:`to`.

    Parameters
    ----------
    latent : Box
        What is searched.
    stimulus : StimulusSpec
        What is made.
    bank : Tensor
        (m, *latent) where searches begin; clipped to the box.
    step : float
        Length of one step of a gradient search, for one coordinate, in the latent's unit.
    """

    differentiable = True

    def __init__(self, latent: Box, stimulus: StimulusSpec, bank: Tensor, step: float) -> None:
        self.latent = latent
        self.stimulus = stimulus
        self.step = step
        self.prior = Prior(bank.float().clamp(latent.low, latent.high), latent)

    @classmethod
    def for_stimulus(cls, options: Any, stimulus: StimulusSpec, /) -> Self:
        """Return a generator of such stimuli."""
        made: Any = cls
        return made(stimulus, options)

    def to(self, device: str, /) -> Self:
        """Move the tensors that it draws with."""
        for name, value in vars(self).items():
            if isinstance(value, Tensor):
                setattr(self, name, value.to(device))
        return self

    def __call__(self, latents: Tensor, /) -> Tensor:
        """(n, *latent) -> (n, *stimulus)."""
        if not latents.shape[0]:  # which neither FFT nor interpolation takes
            return latents.new_zeros(0, *self.stimulus.shape, dtype=torch.float32)
        return self._draw(latents.float())

    @abstractmethod
    def _draw(self, latents: Tensor) -> Tensor:
        """(n, *latent) float32 -> (n, *stimulus) within the range."""


def in_range(values: Tensor, stimulus: StimulusSpec, mapping: Mapping = "sigmoid") -> Tensor:
    """Unbounded values in the stimulus's range: 0 becomes its middle, and 1 a quarter of the range more where nothing saturates."""
    share = values.sigmoid() if mapping == "sigmoid" else (0.5 + values / 4).clamp(0, 1)
    return (stimulus.low + (stimulus.high - stimulus.low) * share).clamp(stimulus.low, stimulus.high)


def out_of_range(share: Tensor, mapping: Mapping = "sigmoid") -> Tensor:
    """The values that :func:`in_range` brings to a ``share`` of the range, (0, 1) exclusively."""
    return share.logit() if mapping == "sigmoid" else 4 * (share - 0.5)


def normal_bank(latent: Box, std: float, mean: float = 0.0) -> Tensor:
    """Starting points: normal draws, always the same, (m, *latent)."""
    rows = max(16, min(256, BANK_VALUES // latent.size))
    noise = torch.randn(rows, *latent.shape, generator=torch.Generator().manual_seed(0))
    return (mean + std * noise).clamp(latent.low, latent.high)


def images_only(stimulus: StimulusSpec, name: str) -> tuple[int, int, int]:
    """Channels, height and width; Unfit for what is no image."""
    if stimulus.modality != "image":
        raise Unfit(f"{name} makes images, the target takes a {stimulus}; use series or pixel")
    channels, height, width = stimulus.shape
    return channels, height, width


Std = Annotated[float, Field(gt=0, le=10, allow_inf_nan=False)]
