"""Tensor trains with diagonal inner cores: mixtures of products of categoricals, drawn and tilted without building any core.

Given the component, positions are independent. So single positions can be drawn alone, and a factor on every position's values leaves a
train of the same kind.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

TINY = 1e-30


@dataclass(frozen=True)
class DiagonalTrain:
    """A mixture of ``rank`` products of categoricals over ``modes`` positions of ``size`` values.

    Attributes
    ----------
    log_weights : Tensor
        (rank,) logarithms of the components' weights, up to a constant.
    tables : Tensor
        (modes, rank, size), >= 0: values' probabilities at each position, up to a constant for each position and component, which
        counts towards the component's weight.
    """

    log_weights: Tensor
    tables: Tensor

    @classmethod
    def uniform(cls, modes: int, size: int) -> Self:
        """Return the uniform train: one component, in which all values have equal probability."""
        return cls(torch.zeros(1), torch.full((modes, 1, size), 1.0 / size))

    @classmethod
    def fit(cls, indices: Tensor, size: int, components: int, generator: torch.Generator, smoothing: float, iterations: int = 20) -> Self:
        """Fit a train to data by expectation maximisation.

        Every component's frequencies are smoothed by ``smoothing`` pseudo-counts a mode. A third of them follows the mode's own
        frequencies, a third those of all modes together, a third is uniform.

        Parameters
        ----------
        indices : Tensor
            (m, modes) int64 data.
        size : int
            Number of values of every mode.
        components : int
            Number of components.
        generator : torch.Generator
            Draws the rows from which the components start.
        smoothing : float
            Pseudo-counts, > 0.
        iterations : int
            Steps of expectation maximisation.
        """
        m, d = indices.shape
        one = torch.ones(m, 1)

        def frequencies(weights: Tensor) -> Tensor:  # (m, c) -> counts (d, size, c)
            counts = torch.zeros(d, size, weights.shape[1])
            return counts.scatter_add_(1, indices.T[:, :, None].expand(-1, -1, weights.shape[1]), weights.expand(d, -1, -1))

        each = frequencies(one) / m
        background = smoothing * (each + each.mean(0) + 1.0 / size) / 3.0  # (d, size, 1)
        seeds = indices[torch.randint(m, (components,), generator=generator)]
        # closest seed by Hamming distance, random where equal
        distance = (indices[:, None] != seeds[None]).sum(2) + torch.rand(m, components, generator=generator)
        weights = torch.nn.functional.one_hot(distance.argmin(1), components).float()
        for _ in range(iterations if components > 1 else 1):
            counts = frequencies(weights)
            theta = (counts + background) / (counts.sum(1, keepdim=True) + smoothing)  # (d, size, c)
            shares = (weights.sum(0) + 1.0) / (m + components)
            log = theta.log()[torch.arange(d)[:, None], indices.T].sum(0) + shares.log()
            weights = log.softmax(1)
        return cls(shares.log(), theta.transpose(1, 2).contiguous())  # pyright: ignore[reportPossiblyUnboundVariable]

    @property
    def rank(self) -> int:
        """Number of components."""
        return self.tables.shape[1]

    def cores(self) -> Tensor:
        """Return the train's cores for :mod:`actmax.models.densities.train`: (modes, rank, size, rank).

        The first core holds the weights. Cores are scaled to a mean of 0.5 along their diagonals, as in a random train.
        """
        d, components, size = self.tables.shape
        scaled = self.tables * (0.5 * size)
        first = scaled[0] * self.log_weights.exp()[:, None]
        cores = torch.zeros(d, components, size, components)
        if d == 1:
            cores[0, 0, :, 0] = first.sum(0)
            return cores
        diagonal = torch.arange(components)
        cores[1:-1, diagonal, :, diagonal] = scaled[1:-1].transpose(0, 1)
        cores[0, 0] = first.T * components
        cores[-1, :, :, 0] = scaled[-1]
        return cores

    def component_weights(self) -> Tensor:
        """Return the probability of each component, (rank,)."""
        return (self.log_weights + (self.tables.sum(2) + TINY).log().sum(0)).softmax(0)

    def frequencies(self) -> Tensor:
        """Return the marginal probability of each value at each position, (modes, size)."""
        normal = self.tables / (self.tables.sum(2, keepdim=True) + TINY)
        return torch.einsum("drn,r->dn", normal, self.component_weights())

    def tilted(self, gains: Tensor) -> Self:
        """Return the train times exp(Σ gains[p, value at p]).

        Parameters
        ----------
        gains : Tensor
            (modes, size).
        """
        factor = (gains - gains.amax(1, keepdim=True)).exp_()
        return type(self)(self.log_weights, self.tables * factor[:, None])

    def log_likelihood(self, indices: Tensor) -> Tensor:
        """Return the log probability of each of ``indices``, (b, modes), in nats: (b,)."""
        chosen = self.tables[torch.arange(len(self.tables))[:, None], :, indices.T]  # (modes, b, rank)
        shares = (self.tables.sum(2) + TINY).log().sum(0) + self.log_weights
        return ((chosen + TINY).log().sum(0) + self.log_weights).logsumexp(1) - shares.logsumexp(0)

    @torch.no_grad()
    def draws(self, n: int, generator: torch.Generator) -> Draws:
        """Return ``n`` draws, whose values are drawn position by position on demand."""
        cumulative = self.tables.cumsum(2)
        totals = cumulative[:, :, -1]
        weights = (self.log_weights + (totals + TINY).log().sum(0)).softmax(0)
        components = torch.multinomial(weights, n, replacement=True, generator=generator) if self.rank > 1 else torch.zeros(n).long()
        return Draws(components, cumulative, generator)

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Return ``n`` whole draws: int64, (n, modes)."""
        modes = len(self.tables)
        rows, positions = torch.arange(n).repeat_interleave(modes), torch.arange(modes).repeat(n)
        return self.draws(n, generator).values(rows, positions).view(n, modes)


@dataclass(frozen=True)
class Draws:
    """Draws from a :class:`DiagonalTrain` whose values are drawn on demand; ask each position of a draw once only.

    Attributes
    ----------
    components : Tensor
        (n,) component of each draw.
    cumulative : Tensor
        (modes, rank, size) cumulated tables.
    generator : torch.Generator
        Draws the values.
    """

    components: Tensor
    cumulative: Tensor
    generator: torch.Generator

    def values(self, rows: Tensor, positions: Tensor) -> Tensor:
        """Return the values of draws at positions.

        Parameters
        ----------
        rows, positions : Tensor
            (cells,) int64: draw and position of each value.

        Returns
        -------
        Tensor
            (cells,) int64.
        """
        _, rank, size = self.cumulative.shape
        flat = self.cumulative.view(-1)
        start = (positions * rank + self.components[rows]) * size
        last = start + (size - 1)
        goal = torch.rand(len(rows), generator=self.generator) * flat[last]
        # bisection: the first value whose cumulated probability is above the goal; steps of powers of two add up to no more than the
        # last value where the size is one, too
        found, step, whole = start.clone(), 1 << (size - 1).bit_length(), size & (size - 1) == 0
        while step > 1:
            step >>= 1
            before = found + (step - 1)
            inside = flat[before] <= goal if whole else (before < last) & (flat[torch.minimum(before, last)] <= goal)
            found.add_(inside, alpha=step)
        return found.sub_(start)
