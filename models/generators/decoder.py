"""A torch decoder as a generator over a Box of latents."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor, nn

from ..networks.preserve_state import preserve_state
from ..spaces import Box, StimulusSpec
from .kept_decoder import KeptDecoder
from .prior import Prior


class DecoderGenerator:
    """A network that maps real-valued latents to stimuli: a GAN's generator, an autoencoder's decoder.

    Parameters
    ----------
    decoder : nn.Module
        Takes (n, *latent) floats; its output is clipped to the stimulus's range. It runs in evaluation mode, and its state is restored
        to the bit (:class:`actmax.models.generators.kept_decoder.KeptDecoder`).
    latent : Box
        The space to search; for a standard normal latent, ±3 is usual.
    stimulus : StimulusSpec or None
        The stimuli that it makes; None: images in [0, 1] of the shape of a trial output.
    bank : Tensor or None
        (m, *latent) natural latents to start from.

    Raises
    ------
    ValueError
        The decoder refuses such latents or doesn't make one stimulus of each, or the bank is not in the space.
    """

    differentiable = True

    def __init__(self, decoder: nn.Module, latent: Box, stimulus: StimulusSpec | None = None, bank: Tensor | None = None) -> None:
        self._kept = KeptDecoder(decoder, latent.sample(2, torch.Generator().manual_seed(1)))
        self.decoder = self._kept.module
        self.latent = latent
        self.stimulus = stimulus or StimulusSpec(self._kept.shape)
        if bank is not None:
            latent.check(bank)
        self.prior = None if bank is None else Prior(bank, self.latent)

    @property
    def notices(self) -> list[str]:
        """Notices about the decoder for the user."""
        return self._kept.notices

    def to(self, device: str) -> Self:
        """Move the decoder to a device, and return the generator."""
        self.decoder.to(device)
        return self

    def preserved(self) -> preserve_state:
        """Return a context that restores the decoder's state at its end; see :class:`actmax.models.targets.target.PreservesState`."""
        return self._kept.preserved()

    def __call__(self, latents: Tensor, /) -> Tensor:
        """Return the stimuli of latents: (n, *latent) -> (n, *stimulus), clipped to the range."""
        return self._kept(latents).clamp(self.stimulus.low, self.stimulus.high)
