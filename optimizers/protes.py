"""PROTES: a tensor-train density over the latents, fitted to the best samples."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from pydantic import Field, model_validator
from torch import Tensor

from ..models.densities import train as tt
from ..models.densities.diagonal import DiagonalTrain
from ..models.options import OptionsModel
from ..models.spaces import Box, Categorical
from .adam_state import adam_state, load_adam_state
from .optimizer import Evaluations, Problem, State
from .patches import box_masks
from .ranking import Elite
from .searcher import Searcher

LEAST = 1e-6
"""Least entry of a diagonal core."""


class Protes(Searcher):
    """PROTES: samples from a tensor-train density, which Adam pulls towards the best of them.

    Batsheva et al., "PROTES: probabilistic optimization with tensor sampling", 2023. Each round draws ``batch`` latents from the
    train, then takes ``steps`` steps of Adam up the likelihood of the ``top`` best. A box is searched on ``levels`` bins a
    coordinate.

    Blind, this is PROTES at its published settings: batch 100, top 10, 1 step, learning rate 0.05, rank 5, positive random cores,
    an elite of each batch alone. These need 10⁴ evaluations and more: within 3000 of 64 × 512 codes the density stays near its start.

    From a bank, the train starts as a mixture of ``rank`` products of categoricals fitted to it
    (:class:`actmax.models.densities.diagonal.DiagonalTrain`). Its inner cores are diagonal and stay so: Adam moves only the diagonals,
    along a gradient in closed form. A few thousand evaluations change a density of 10⁵ parameters little, so small budgets rely on
    ``crossover``: that share of a batch are members of the elite in which one patch, of up to ``patch`` positions a side, is
    replaced by that of a fresh sample. The elite is then the best ``top`` of all rounds, and its first members come from ``screen``
    latents of the bank itself: without them there is no direction to a spiking unit that is silent at nearly every sample.
    Defaults from a bank: screen 50, batch 20, top 3, crossover 0.9, the rest as published. ``published`` gives the published
    settings from a bank, too.

    Parameters
    ----------
    problem : Problem
        Any space.
    options : Protes.Options
    """

    class Options(OptionsModel):
        """Options of PROTES; what is left out depends on the start."""

        published: bool = Field(
            default=False, description="Take what is left out from the paper also with a bank, which then only starts the density."
        )
        batch: int | None = Field(default=None, ge=1, le=100_000, description="Samples an ask (k). None: 100, from a bank 20.")
        top: int | None = Field(
            default=None, ge=1, le=100_000, description="Best samples learned from (k_top), at most the batch. None: 10, from a bank 3."
        )
        steps: int = Field(default=1, ge=0, le=10_000, description="Adam steps a round (k_gd).")
        learning_rate: float = Field(
            default=0.05, gt=0, le=100, allow_inf_nan=False, description="Of Adam on the cores, whose mean is 0.5."
        )
        rank: int = Field(default=5, ge=1, le=256, description="Rank of the train; from a bank, components of the mixture.")
        levels: int = Field(default=16, ge=2, le=4096, description="Bins a coordinate of a box.")
        crossover: float | None = Field(
            default=None, ge=0, le=1, description="Share of a batch that are patched members of the elite. None: 0, from a bank 0.9."
        )
        screen: int | None = Field(
            default=None,
            ge=0,
            le=100_000,
            description="Latents of the bank evaluated first, at most a tenth of the evaluations. None: 50; published 0.",
        )
        patch: int = Field(default=2, ge=1, le=4096, description="Most positions a side of a patch.")
        smoothing: float = Field(
            default=50.0, gt=0, le=1e9, allow_inf_nan=False, description="Pseudo-counts a position and component in the fit to a bank."
        )

        @model_validator(mode="after")
        def _fits(self) -> Protes.Options:
            if self.batch is not None and self.top is not None and self.top > self.batch:
                raise ValueError(f"top {self.top} is more than the batch, {self.batch}")
            return self

    needs_gradient: ClassVar[bool] = False

    def __init__(self, problem: Problem, options: Options) -> None:
        super().__init__(problem)
        self.options = options
        space = problem.latent
        self._levels = space.cardinality if isinstance(space, Categorical) else options.levels
        natural = problem.bank is not None and not options.published
        self._batch = options.batch or max(options.top or 0, 20 if natural else 100)
        self._top = options.top or min(self._batch, 3 if natural else 10)
        self._crossover = options.crossover if options.crossover is not None else 0.9 if natural else 0.0
        self._elite = Elite(self._top)
        self._memory = natural
        """Whether the elite is kept from round to round."""
        self._diagonal = natural
        """Whether the train's cores are diagonal: the parameters are then its tables."""
        if problem.bank is None:
            parameters = tt.random_train(space.size, self._levels, options.rank, self.generator)
        else:
            train = DiagonalTrain.fit(self._indices(problem.bank.cpu()), self._levels, options.rank, self.generator, options.smoothing)
            parameters = scaled_tables(train) if natural else train.cores()
        self._parameters = parameters.requires_grad_()
        self._adam = self._fresh_adam()
        screen = options.screen if options.screen is not None else 50 if natural else 0
        most = screen if problem.evaluations is None else min(screen, problem.evaluations // 10)
        self._screen = self._screened(problem, most)
        """Levels of the screen still to be asked."""
        self._drawn = torch.empty(0)
        """Levels of the asked candidates."""

    def _screened(self, problem: Problem, most: int) -> torch.Tensor:
        """Return the levels of the screen, (n, size)."""
        most = max(most, 0 if problem.starts is None else len(problem.starts))
        if problem.bank is None:
            latents = self._given(most)
            return self._indices(latents) if len(latents) else torch.empty(0, problem.latent.size, dtype=torch.long)
        return self._indices(self._starts(most))

    def _fresh_adam(self) -> torch.optim.Adam:
        return torch.optim.Adam([self._parameters], lr=self.options.learning_rate, fused=True)

    def _propose(self) -> Tensor:
        if len(self._screen):
            self._drawn, self._screen = self._screen[: self._batch], self._screen[self._batch :]
        elif self._diagonal:
            self._drawn = self._crossed()
        else:
            self._drawn = tt.sample(self._parameters.detach(), self._batch, self.generator)
            crossed = round(self._crossover * self._batch)
            if crossed and len(self._elite):
                self._drawn[:crossed] = torch.where(self._patches(crossed), self._drawn[:crossed], self._parents(crossed))
        return self._latents(self._drawn)

    def _crossed(self) -> Tensor:
        """Return a batch from the diagonal train, (batch, size); only the cells that enter a candidate are drawn."""
        crossed = round(self._crossover * self._batch) if len(self._elite) else 0
        masks = torch.ones(self._batch, self.problem.latent.size, dtype=torch.bool)
        indices = torch.empty(masks.shape, dtype=torch.long)
        if crossed:
            masks[:crossed], indices[:crossed] = self._patches(crossed), self._parents(crossed)
        rows, positions = masks.nonzero().unbind(1)
        train = DiagonalTrain(torch.zeros(self._parameters.shape[1]), self._parameters.detach())
        indices[rows, positions] = train.draws(self._batch, self.generator).values(rows, positions)
        return indices

    def _parents(self, n: int) -> Tensor:
        return self._elite.rows[torch.randint(len(self._elite), (n,), generator=self.generator)]

    def _learn(self, latents: Tensor, scores: Tensor, evaluations: Evaluations) -> None:
        if not self._memory:
            self._elite = Elite(self._top)
        rows = self._drawn
        if len(self._elite) == self._top:  # only scores of at least the last member's can enter
            near = scores >= self._elite.scores[-1]
            rows, scores = rows[near], scores[near]
        if len(scores):
            self._elite.add(rows, scores)
        if not len(self._elite):
            return
        for _ in range(self.options.steps):
            if self._diagonal:
                self._parameters.grad = descent(self._parameters.detach(), self._elite.rows)
            else:
                (self._parameters.grad,) = torch.autograd.grad(
                    -tt.log_likelihood(self._parameters, self._elite.rows).mean(), self._parameters
                )
            self._adam.step()
            if self._diagonal:
                # PROTES takes the absolute value of its cores' products
                self._parameters.detach().abs_().clamp_(min=LEAST)

    def _patches(self, n: int) -> Tensor:
        """Return masks, (n, size), each true in one box of positions, placed uniformly."""

        def sides(length: int) -> Tensor:
            return torch.randint(1, min(self.options.patch, length) + 1, (n, 1), generator=self.generator)

        return box_masks(self.problem.latent.shape, n, sides, self.generator)

    def _indices(self, latents: Tensor) -> Tensor:
        """Return the levels of latents, (n, size)."""
        space, flat = self.problem.latent, latents.flatten(1)
        if isinstance(space, Categorical):
            return flat.long()
        share = (flat.double() - space.low) / (space.high - space.low)
        return (share * self._levels).long().clamp(0, self._levels - 1)

    def _latents(self, indices: Tensor) -> Tensor:
        """Return the latents of levels: codes, or in a box the middle of each bin."""
        space = self.problem.latent
        if isinstance(space, Box):
            middles = space.low + (space.high - space.low) * (torch.arange(self._levels).double() + 0.5) / self._levels
            return middles.float().clamp(space.low, space.high)[indices].view(-1, *space.shape)
        return indices.view(-1, *space.shape)

    def _state(self) -> dict[str, Any]:
        return {
            "parameters": self._parameters.detach().clone(),
            "adam": adam_state(self._adam),
            "screen": self._screen.clone(),
            "elite": self._elite.state(),
        }

    def _restore(self, state: State) -> None:
        self._parameters = state["parameters"].clone().requires_grad_()
        self._adam = self._fresh_adam()
        load_adam_state(self._adam, state["adam"])
        self._screen = state["screen"].clone()
        self._elite.restore(state["elite"])


def scaled_tables(train: DiagonalTrain) -> Tensor:
    """Return the diagonals of a train's cores, scaled as :meth:`DiagonalTrain.cores` scales them, the weights in the first.

    Parameters
    ----------
    train : DiagonalTrain
        Of ``modes`` modes with ``size`` levels each.

    Returns
    -------
    Tensor
        (modes, rank, size).
    """
    tables = train.tables * (0.5 * train.tables.shape[2])
    tables[0] *= train.rank * train.log_weights.exp()[:, None]
    return tables


def descent(tables: Tensor, rows: Tensor) -> Tensor:
    """Return the gradient of the negative mean log likelihood of samples under a diagonal train.

    The likelihood is Σ_k Π_p t_pk[x_p] / Σ_k Π_p s_pk with s_pk = Σ_i t_pk[i]. Let w_k be the components' weights and w_k(x) their weights
    given a row. The log likelihood then has the slope w_k(x) / t_pk[x_p] at the value that the row holds, minus w_k / s_pk everywhere.

    Parameters
    ----------
    tables : Tensor
        (modes, rank, size), positive.
    rows : Tensor
        (b, modes) int64 samples.

    Returns
    -------
    Tensor
        (modes, rank, size).
    """
    modes, rank, size = tables.shape
    sums = tables.sum(2)
    weights = sums.log().sum(0).softmax(0)
    places = (torch.arange(modes)[:, None] * rank + torch.arange(rank)) * size + rows[:, :, None]  # (b, modes, rank)
    chosen = tables.flatten()[places]
    given = chosen.log().sum(1).softmax(1)
    slope = (weights / sums)[:, :, None].expand_as(tables).contiguous()
    slope.view(-1).index_add_(0, places.flatten(), (given[:, None] / chosen).flatten(), alpha=-1.0 / len(rows))
    return slope
