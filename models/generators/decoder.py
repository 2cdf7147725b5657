"""Any torch decoder as a generator of a Box of latents."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor, nn

from ..spaces import Box, StimulusSpec
from .prior import Prior


class DecoderGenerator:
    """A network that maps real-valued latents to stimuli: a GAN's generator, an autoencoder's decoder.

    Parameters
    ----------
    decoder : nn.Module
        Takes (n, *latent) floats; its output is clipped to the stimulus's range. Run in evaluation mode.
    latent : Box
        Where to search; for a standard normal latent, ±3 is usual.
    stimulus : StimulusSpec or None
        What it makes; by default an image in [0, 1] of the shape that it is seen to make.
    bank : Tensor or None
        (m, *latent) natural latents to start from.

    Raises
    ------
    ValueError
        The decoder does not take such latents, or the bank is not of the space.
    """

    differentiable = True

    def __init__(self, decoder: nn.Module, latent: Box, stimulus: StimulusSpec | None = None, bank: Tensor | None = None) -> None:
        self.decoder = decoder.eval()
        self.latent = latent
        middle = torch.full((1, *latent.shape), (latent.low + latent.high) / 2)
        self.stimulus = stimulus or StimulusSpec(made_shape(decoder, middle))
        if bank is not None:
            latent.check(bank)
        self.prior = None if bank is None else Prior(bank, self.latent)

    def to(self, device: str) -> Self:
        """Move the decoder."""
        self.decoder.to(device)
        return self

    def __call__(self, latents: Tensor, /) -> Tensor:
        """(n, *latent) -> (n, *stimulus)."""
        return self.decoder(latents).float().clamp(self.stimulus.low, self.stimulus.high)


def made_shape(decoder: nn.Module, latents: Tensor) -> tuple[int, ...]:
    """Shape of one stimulus that ``decoder`` makes of ``latents``; ValueError where it does not take them."""
    with torch.no_grad():
        try:
            return tuple(decoder(latents).shape[1:])
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            raise ValueError(f"{type(decoder).__name__} does not take latents of shape {tuple(latents.shape)}: {error}") from error
