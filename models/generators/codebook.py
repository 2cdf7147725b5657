"""Any code book with its decoder as a generator of Categorical latents."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor, nn

from ..spaces import Categorical, StimulusSpec
from .decoder import made_shape
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
        What it makes; by default an image in [0, 1] of the shape that it is seen to make.
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
        self.decoder = decoder.eval()
        self.latent = Categorical(tuple(shape), codebook.shape[0])
        self.channels_first = channels_first
        codes = torch.zeros(1, *shape, dtype=torch.int64)
        self.stimulus = stimulus or StimulusSpec(made_shape(decoder, self._vectors(codes)))
        if bank is not None:
            self.latent.check(bank)
        self.prior = None if bank is None else Prior(bank.long(), self.latent)

    def to(self, device: str) -> Self:
        """Move code book and decoder."""
        self.codebook = self.codebook.to(device)
        self.decoder.to(device)
        return self

    def _vectors(self, latents: Tensor) -> Tensor:
        vectors = latents @ self.codebook if latents.is_floating_point() else self.codebook[latents]
        return vectors.movedim(-1, 1) if self.channels_first else vectors

    def __call__(self, latents: Tensor, /) -> Tensor:
        """Codes, (n, *shape), or weights over the codes, (n, *shape, codes) -> (n, *stimulus)."""
        return self.decoder(self._vectors(latents)).float().clamp(self.stimulus.low, self.stimulus.high)
