"""The values that a grid search looks at: a few levels a coordinate, of codes or of a box."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..models.spaces import Box, Categorical
from .optimizer import State


class Palette:
    """``levels`` values for every coordinate; a grid point is one level a coordinate.

    New values come from the bank's at that coordinate, codes in proportion to their frequency there and each but once; blind,
    from all codes alike. In a box half of the later ones lie around those held, at about the distance between neighbouring levels, which
    halves with every second draw. A blind box starts on a regular grid. A ``fixed`` palette is regular (or all codes) and stays.

    Parameters
    ----------
    space : Box or Categorical
        Whose values they are.
    levels : int
        Values a coordinate, at most the number of codes.
    bank : Tensor or None
        (m, *shape) natural latents.
    fixed : bool
        Never draw.
    generator : torch.Generator
        Makes the first draw.
    """

    def __init__(self, space: Box | Categorical, levels: int, bank: Tensor | None, fixed: bool, generator: torch.Generator) -> None:
        self.space, self.levels = space, levels
        self._bank = None if bank is None else bank.cpu().flatten(1)
        self._fixed = fixed or (isinstance(space, Categorical) and levels >= space.cardinality)
        self._draws = 0
        regular = isinstance(space, Box) and bank is None
        self.values = self._regular() if self._fixed or regular else self._drawn(self._regular(), generator)

    def place(self, latents: Tensor) -> Tensor:
        """Grid points for ``latents``, (n, *shape): their values take the first levels, or the nearest one of a fixed box: (n, size)."""
        flat = latents.cpu().flatten(1)
        if isinstance(self.space, Box) and self._fixed:
            return (flat[:, :, None] - self.values).abs().argmin(2)
        if self._fixed:
            return flat.clamp(max=self.levels - 1)
        points = torch.empty(flat.shape, dtype=torch.long)
        for j in range(flat.shape[1]):
            unique, points[:, j] = flat[:, j].unique(return_inverse=True)
            there = torch.isin(self.values[j], unique)
            self.values[j] = torch.cat([unique, self.values[j][~there], self.values[j][there]])[: self.levels]
        return points

    def latents(self, points: Tensor) -> Tensor:
        """Latents at grid points, (n, size) -> (n, *shape)."""
        return self.values[torch.arange(self.space.size), points].view(len(points), *self.space.shape)

    def redraw(self, held: list[Tensor], generator: torch.Generator) -> None:
        """Draw all values anew but those ``held``, a list of levels for each coordinate."""
        if self._fixed:
            return
        self._draws += 1
        keep = torch.zeros(self.values.shape, dtype=torch.bool)
        for j, levels in enumerate(held):
            keep[j, levels] = True
        drawn = self._drawn(torch.where(keep, self.values, self.values.gather(1, _any_held(keep, generator))), generator, keep)
        self.values = torch.where(keep, self.values, drawn)

    def state(self) -> dict[str, Any]:
        """Values and the number of draws."""
        return {"values": self.values.clone(), "draws": self._draws}

    def restore(self, state: State) -> None:
        """Go on from :meth:`state`."""
        self.values, self._draws = state["values"].clone(), state["draws"]

    def _regular(self) -> Tensor:
        if isinstance(self.space, Categorical):
            return torch.arange(self.levels).repeat(self.space.size, 1)
        return (
            torch.linspace(self.space.low, self.space.high, self.levels).clamp(self.space.low, self.space.high).repeat(self.space.size, 1)
        )

    def _drawn(self, around: Tensor, generator: torch.Generator, keep: Tensor | None = None) -> Tensor:
        """New values, (size, levels); none of those to keep comes twice."""
        size, bank = self.space.size, self._bank
        if isinstance(self.space, Categorical):
            weights = torch.full((size, self.space.cardinality), 1e-6)
            if bank is not None:
                weights.scatter_add_(1, bank.T, torch.ones(bank.T.shape))
            if keep is None:
                return torch.multinomial(weights, self.levels, generator=generator)
            # values that stay are left out of the draw
            weights.scatter_reduce_(1, self.values, torch.where(keep, 0.0, 1.0), "prod")
            allowed = int((weights > 0).sum(1).min())
            drawn = torch.multinomial(weights, min(self.levels, allowed), generator=generator)
            return torch.cat([drawn, self.values[:, drawn.shape[1] :]], 1)
        low, high = self.space.low, self.space.high
        if bank is None:
            fresh = torch.rand(size, self.levels, generator=generator) * (high - low) + low
        else:
            fresh = bank[torch.randint(len(bank), (size, self.levels), generator=generator), torch.arange(size)[:, None]].float()
        if keep is not None:
            width = (high - low) / self.levels * 0.5 ** (self._draws / 2)
            near = around + width * torch.randn(size, self.levels, generator=generator)
            fresh = torch.where(torch.rand(size, self.levels, generator=generator) < 0.5, near, fresh)
        return fresh.clamp(low, high)


def _any_held(keep: Tensor, generator: torch.Generator) -> Tensor:
    """For every level one of those held at its coordinate."""
    return torch.multinomial(keep.float() + 1e-9, keep.shape[1], replacement=True, generator=generator)
