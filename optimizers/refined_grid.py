"""A grid over a box whose levels move to where a density has its mass, and the density of natural latents on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from ..models.densities.diagonal import DiagonalTrain
from ..models.spaces import Box

FLAT = 0.1
"""Share of the levels that are spread evenly wherever the mass is, so that a moving density finds levels everywhere."""
TAILS = 2.75
"""Standard deviations of a normal variable within which a bank's levels are equally wide; the outermost levels reach to its ends."""
SMOOTHING = 20.0
"""Pseudo-counts a coordinate and component in the fit to a bank."""


@dataclass(frozen=True)
class NaturalLevels:
    """Natural latents of a box as a diagonal tensor train over each coordinate's levels, evenly spread within a level.

    Attributes
    ----------
    edges : Tensor
        (size, levels + 1) float64, growing: the edges of the levels that the train is fitted on.
    cumulative : Tensor
        (size, rank, levels + 1) float64: each component's share below every edge, from 0 to 1.
    log_weights : Tensor
        (rank,) log weights of the components.
    """

    edges: Tensor
    cumulative: Tensor
    log_weights: Tensor

    @classmethod
    def of(cls, space: Box, bank: Tensor | None, levels: int, rank: int, generator: torch.Generator) -> Self:
        """Return natural latents on levels between quantiles of the bank that are equally wide for a normal bank; blind, on even levels.

        Parameters
        ----------
        space : Box
            The box.
        bank : Tensor or None
            (m, size) natural latents; with less than twice as many latents as levels, the levels are even.
        levels : int
            Levels a coordinate, at least 2.
        rank : int
            Products of the mixture.
        generator : torch.Generator
            Source of the fit's random start.
        """
        even = torch.linspace(0.0, 1.0, levels + 1, dtype=torch.float64)
        if bank is None or len(bank) < 2 * levels:
            edges = (space.low + (space.high - space.low) * even).expand(space.size, -1).contiguous()
        else:
            # where many latents are equal, as at a bound, levels would have no width
            least = 1e-6 * (space.high - space.low) * torch.arange(levels + 1)
            below = torch.special.ndtr(TAILS * (2 * even - 1))
            below[0], below[-1] = 0.0, 1.0
            edges = torch.quantile(bank.double(), below, 0).T.cummax(1).values.contiguous() + least
        if bank is None:
            return cls(edges, even.expand(space.size, 1, -1).contiguous(), torch.zeros(1, dtype=torch.float64))
        at = torch.searchsorted(edges[:, 1:-1].contiguous(), bank.double().T.contiguous(), right=True).T
        train = DiagonalTrain.fit(at, levels, min(rank, len(bank)), generator, SMOOTHING)
        shares = train.tables.double().cumsum(2)
        cumulative = torch.cat([torch.zeros_like(shares[..., :1]), shares / shares[..., -1:]], 2)
        return cls(edges, cumulative, train.log_weights.double())

    def train(self, edges: Tensor) -> DiagonalTrain:
        """Return the density on other levels, given by their edges, (size, levels + 1)."""
        rank = self.cumulative.shape[1]
        lower = torch.searchsorted(self.edges, edges.contiguous(), right=True).clamp_(1, self.edges.shape[1] - 1) - 1
        low, high = self.edges.gather(1, lower), self.edges.gather(1, lower + 1)
        share = ((edges - low) / (high - low)).clamp_(0.0, 1.0)[:, None]
        place = lower[:, None].expand(-1, rank, -1)
        below = torch.lerp(self.cumulative.gather(2, place), self.cumulative.gather(2, place + 1), share)
        return DiagonalTrain(self.log_weights, below.diff(dim=2).clamp_(min=0.0))


def moments(train: DiagonalTrain, edges: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and variance of every coordinate under a train whose levels are evenly spread within.

    Parameters
    ----------
    train : DiagonalTrain
        Over ``size`` coordinates.
    edges : Tensor
        (size, levels + 1) float64.

    Returns
    -------
    mean, variance : Tensor
        (size,) float64.
    """
    shares, middles, widths = train.frequencies(), (edges[:, 1:] + edges[:, :-1]) / 2, edges.diff(dim=1)
    mean = (shares * middles).sum(1)
    return mean, (shares * ((middles - mean[:, None]).square() + widths.square() / 12)).sum(1)


def refined(train: DiagonalTrain, edges: Tensor) -> Tensor:
    """Return edges moved to where the train's margins have their mass; the outermost edges stay.

    The density of levels follows the cube root of the probability density, which minimises the quantization error for a given number of
    levels (Panter and Dite, "Quantization distortion in pulse-count modulation with nonuniform spacing of levels", 1951). Levels of equal
    mass would be too wide in the tails. A tenth of the levels is spread evenly.

    Parameters
    ----------
    train : DiagonalTrain
        On the given levels.
    edges : Tensor
        (size, levels + 1) float64.

    Returns
    -------
    Tensor
        (size, levels + 1) float64.
    """
    widths = edges.diff(dim=1).clamp(min=1e-12)
    shares = widths * (train.frequencies() / widths).pow(1 / 3)
    shares = (1 - FLAT) * shares / shares.sum(1, keepdim=True) + FLAT * widths / widths.sum(1, keepdim=True)
    below = torch.cat([torch.zeros_like(shares[:, :1]), shares.cumsum(1)], 1)
    below = below / below[:, -1:]
    goal = torch.linspace(0.0, 1.0, edges.shape[1], dtype=torch.float64).expand_as(edges).contiguous()
    lower = torch.searchsorted(below, goal, right=True).clamp_(1, edges.shape[1] - 1) - 1
    first, last = below.gather(1, lower), below.gather(1, lower + 1)
    share = ((goal - first) / (last - first).clamp(min=1e-12)).clamp_(0.0, 1.0)
    moved = torch.lerp(edges.gather(1, lower), edges.gather(1, lower + 1), share)
    moved[:, 0], moved[:, -1] = edges[:, 0], edges[:, -1]
    return moved
