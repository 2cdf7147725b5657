"""Code maps near natural ones: only a limited share of the codes may differ from the nearest map of a bank."""

from __future__ import annotations

import math
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional as F

from ..spaces import Categorical

MOST_COUNTED = 32_000_000
"""Most pairs of candidate and natural map whose equal codes are counted in one step."""


class NearCodes:
    """Projects code maps to the nearest ones with at most ``changes`` · size codes other than the nearest natural map's.

    The nearest natural map is the one with the most equal codes at equal positions, the first of equals. Where too many codes differ, the
    projection puts back those nearest to the natural map's own codes, by the code book's squared distances, the first position of equals.
    So the result is the nearest point, in code vectors, among all maps with so few changes of that natural map. The projection is
    deterministic, and leaves its own results unchanged.

    Equal codes are counted by an inverted index from position and code to the natural maps that have it, so that the time grows with the
    number of matches (64 × 512 codes, 4,000 natural maps, 40 candidates: 2 ms on one core).

    Relaxed weights are projected by their heaviest codes. A position that is put back holds the natural code alone and passes no gradient.

    Parameters
    ----------
    space : Categorical
        The space of the maps.
    bank : Tensor
        (m, *latent) natural code maps, m at least 1.
    changes : float
        Share of the codes that may differ, 0 to 1; 0 gives the nearest natural map itself.
    codebook : Tensor or None
        (cardinality, width); None: codes are put back in a fixed order of the positions.
    """

    def __init__(self, space: Categorical, bank: Tensor, changes: float, codebook: Tensor | None = None) -> None:
        self.space = space
        self.changes = changes
        self.most = math.floor(changes * space.size + 1e-9)
        """Most codes that may differ."""
        self._bank = bank.detach().cpu().flatten(1).long()
        self._offsets = torch.arange(space.size) * space.cardinality
        keys = (self._bank + self._offsets).flatten()
        order = keys.argsort(stable=True)
        self._maps = order // space.size
        """Rows of natural maps, sorted by position and code."""
        self._begins = torch.searchsorted(keys[order], torch.arange(space.size * space.cardinality + 1))
        # the order of positions without a code book favours no part of the map
        self._order = torch.randperm(space.size, generator=torch.Generator().manual_seed(0)).float()
        self._codebook = None if codebook is None else codebook.detach().cpu().float()

    def to(self, device: str) -> Self:
        """Move the tables to a device, and return the projection."""
        for name, value in vars(self).items():
            if isinstance(value, Tensor):
                setattr(self, name, value.to(device))
        return self

    def nearest(self, codes: Tensor) -> Tensor:
        """Return the row of the bank, (n,), that shares the most codes with each of ``codes``, (n, *latent)."""
        step = max(1, MOST_COUNTED // len(self._bank))
        return torch.cat([self._equal(part).argmax(1) for part in codes.flatten(1).to(self._bank.device).split(step)])

    def share(self, codes: Tensor) -> Tensor:
        """Return the share of codes that differ from the nearest natural map's: (n, *latent) -> float64, (n,), in [0, 1]."""
        codes = codes.flatten(1).to(self._bank.device)
        return (codes != self._bank[self.nearest(codes)]).double().mean(1)

    def project(self, latents: Tensor) -> Tensor:
        """Return codes or relaxed weights with no more changes than allowed.

        Parameters
        ----------
        latents : Tensor
            (n, *latent) codes, or (n, *latent, cardinality) weights.

        Returns
        -------
        Tensor
            Of the same shape; latents within the limit are unchanged.
        """
        codes = self.space.harden(latents)
        flat = codes.flatten(1).long().to(self._bank.device)
        natural = self._bank[self.nearest(flat)]
        back = self._put_back(flat, natural).view(codes.shape).to(codes.device)
        natural = natural.view(codes.shape).to(codes.device)
        if not latents.is_floating_point():
            return torch.where(back, natural.to(latents.dtype), latents)
        return torch.where(back[..., None], F.one_hot(natural, self.space.cardinality).to(latents), latents)

    def _equal(self, codes: Tensor) -> Tensor:
        """Return the number of codes that each of ``codes``, (n, size), has in common with each natural map: (n, m) int64."""
        keys = (codes.long() + self._offsets).flatten()
        first, counts = self._begins[keys], self._begins[keys + 1] - self._begins[keys]
        # all matches of all keys, in order
        ends = counts.cumsum(0)
        within = torch.arange(int(counts.sum()), device=keys.device) - (ends - counts).repeat_interleave(counts)
        maps = self._maps[first.repeat_interleave(counts) + within]
        rows = (torch.arange(len(keys), device=keys.device) // codes.shape[1]).repeat_interleave(counts)
        m = len(self._bank)
        return torch.bincount(rows * m + maps, minlength=len(codes) * m).view(len(codes), m)

    def _put_back(self, codes: Tensor, natural: Tensor) -> Tensor:
        """Return the positions that take the natural code: bool, (n, size)."""
        differ = codes != natural
        far = self._order if self._codebook is None else (self._codebook[codes] - self._codebook[natural]).square().sum(-1)
        # of the differing codes, the farthest stay; equal codes are no changes
        order = torch.where(differ, far, -torch.inf).argsort(dim=1, descending=True, stable=True)
        stays = torch.zeros_like(differ).scatter(1, order[:, : self.most], True)
        return differ & ~stays
