"""The common part of generators that make stimuli of any size: a Box of latents, a bank of starting points, and a value range."""

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
"""Approximate number of values of a bank of starting points."""


class CanvasOptions(OptionsModel):
    """Options of generators that make stimuli of any size."""


class Canvas(ABC):
    """A differentiable generator over a Box that makes any stimuli that a target takes.

    A subclass is built as ``Class(stimulus, options)`` or overrides ``for_stimulus``, and draws in ``_draw``. :meth:`to` moves all tensors
    among its attributes.

    Parameters
    ----------
    latent : Box
        The space to search.
    stimulus : StimulusSpec
        The stimuli to make.
    bank : Tensor
        (m, *latent) starting points of searches; clipped to the box.
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
        """Return a generator of stimuli of this specification; see :class:`actmax.models.generators.generator.FitsStimulus`."""
        made: Any = cls
        return made(stimulus, options)

    def to(self, device: str, /) -> Self:
        """Move the generator's tensors to a device, and return the generator."""
        for name, value in vars(self).items():
            if isinstance(value, Tensor):
                setattr(self, name, value.to(device))
        return self

    def __call__(self, latents: Tensor, /) -> Tensor:
        """Return the stimuli of latents: (n, *latent) -> float32, (n, *stimulus), within the range."""
        if not latents.shape[0]:  # FFT and interpolation refuse an empty batch
            return latents.new_zeros(0, *self.stimulus.shape, dtype=torch.float32)
        return self._draw(latents.float())

    @abstractmethod
    def _draw(self, latents: Tensor) -> Tensor:
        """Return the stimuli of float32 latents: (n, *latent) -> (n, *stimulus) within the range."""


def in_range(values: Tensor, stimulus: StimulusSpec, mapping: Mapping = "sigmoid") -> Tensor:
    """Return unbounded values mapped into the stimulus's range.

    Parameters
    ----------
    values : Tensor
        Any shape; 0 becomes the middle of the range, and around it 1 is a quarter of the range.
    stimulus : StimulusSpec
        Has the range.
    mapping : {"sigmoid", "clip"}
        How values beyond the range are squashed.

    Returns
    -------
    Tensor
        Of the shape of ``values``.
    """
    share = values.sigmoid() if mapping == "sigmoid" else (0.5 + values / 4).clamp(0, 1)
    return (stimulus.low + (stimulus.high - stimulus.low) * share).clamp(stimulus.low, stimulus.high)


def out_of_range(share: Tensor, mapping: Mapping = "sigmoid") -> Tensor:
    """Return the values that :func:`in_range` maps to a ``share`` of the range, in (0, 1)."""
    return share.logit() if mapping == "sigmoid" else 4 * (share - 0.5)


def normal_bank(latent: Box, std: float, mean: float = 0.0) -> Tensor:
    """Return starting points: normal draws, the same at every call, clipped to the box.

    Parameters
    ----------
    latent : Box
        The space of the latents.
    std, mean : float
        Standard deviation and mean of every coordinate.

    Returns
    -------
    Tensor
        (m, *latent), m from 16 to 256, fewer for larger latents.
    """
    rows = max(16, min(256, BANK_VALUES // latent.size))
    noise = torch.randn(rows, *latent.shape, generator=torch.Generator().manual_seed(0))
    return (mean + std * noise).clamp(latent.low, latent.high)


def images_only(stimulus: StimulusSpec, name: str) -> tuple[int, int, int]:
    """Return channels, height and width of image stimuli.

    Raises
    ------
    Unfit
        The stimuli are no images; the message names the generator, ``name``.
    """
    if stimulus.modality != "image":
        raise Unfit(f"{name} makes images, the target takes a {stimulus}; use series or pixel")
    channels, height, width = stimulus.shape
    return channels, height, width


Std = Annotated[float, Field(gt=0, le=10, allow_inf_nan=False)]
