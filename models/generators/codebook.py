"""A code book with its decoder as a generator of Categorical latents."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor, nn

from ..networks.preserve_state import preserve_state
from ..spaces import Categorical, StimulusSpec
from .kept_decoder import KeptDecoder
from .prior import Prior


class CodebookGenerator:
    """A map of codes, looked up in a code book and decoded: the second half of a VQ-VAE.

    Parameters
    ----------
    codebook : Tensor
        (codes, width), one vector a code.
    decoder : nn.Module
        Takes vectors, (n, width, *shape), or (n, *shape, width) where ``channels_first`` is False.
    shape : tuple of int
        Shape of the map of codes.
    stimulus : StimulusSpec or None
        The stimuli that it makes; None: images in [0, 1] of the shape of a trial output.
    bank : Tensor or None
        int64 (m, *shape): codes of natural stimuli.

    Raises
    ------
    ValueError
        The decoder does not take such vectors, or the bank is not of the space.
    """

    differentiable = True

    def __init__(
        self,
        codebook: Tensor,
        decoder: nn.Module,
        shape: tuple[int, ...],
        stimulus: StimulusSpec | None = None,
        bank: Tensor | None = None,
        *,
        channels_first: bool = True,
    ) -> None:
        if codebook.ndim != 2:
            raise ValueError(f"a code book has shape (codes, width), got {tuple(codebook.shape)}")
        self.codebook = codebook.detach().float()
        self.latent = Categorical(tuple(shape), codebook.shape[0])
        self.channels_first = channels_first
        self._kept = KeptDecoder(decoder, self._vectors(self.latent.sample(2, torch.Generator().manual_seed(1))))
        self.decoder = self._kept.module
        self.stimulus = stimulus or StimulusSpec(self._kept.shape)
        if bank is not None:
            self.latent.check(bank)
        self.prior = None if bank is None else Prior(bank.long(), self.latent)

    @property
    def notices(self) -> list[str]:
        """Notices about the decoder for the user."""
        return self._kept.notices

    def preserved(self) -> preserve_state:
        """Return a context that restores the decoder's state at its end; see :class:`actmax.models.targets.target.PreservesState`."""
        return self._kept.preserved()

    def to(self, device: str) -> Self:
        """Move code book and decoder to a device, and return the generator."""
        self.codebook = self.codebook.to(device)
        self.decoder.to(device)
        return self

    def _vectors(self, latents: Tensor) -> Tensor:
        vectors = latents @ self.codebook if latents.is_floating_point() else self.codebook[latents]
        return vectors.movedim(-1, 1) if self.channels_first else vectors

    def __call__(self, latents: Tensor, /) -> Tensor:
        """Return the stimuli of codes, (n, *shape), or of weights over the codes, (n, *shape, codes): (n, *stimulus)."""
        return self._kept(self._vectors(latents)).clamp(self.stimulus.low, self.stimulus.high)
