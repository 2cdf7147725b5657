"""Evolution by patches drawn from a tensor train: the density of natural codes, tilted by all evaluations."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from ..models.densities.diagonal import DiagonalTrain
from ..models.spaces import Categorical
from .optimizer import Problem, Unsuitable
from .patch_evolution import PatchEvolution


class TTEvolution(PatchEvolution):
    """Patches from a tensor-train density of natural codes, tilted towards high scores by a model of all evaluations.

    The density of natural codes is a mixture of products of categoricals, which is a tensor train with diagonal cores
    (:class:`actmax.models.densities.diagonal.DiagonalTrain`); blind, it is uniform. All evaluations fit a linear model of the score,
    s(z) = Σ w_p[z_p]. Their product p(z) exp(β s(z)) is again a tensor train of the same rank: every core's entries for code c at
    position p are multiplied by exp(β w_p[c]). So the tilted density is sampled exactly, mode by mode, without gradient steps, and
    components that the tilt makes improbable drop out: the rank adapts. Since the cores are diagonal, only the cells of the patches
    are drawn (:class:`actmax.models.densities.diagonal.Draws`). Every ask draws a new β, from 0 (natural codes) up to ``tilt`` standard
    deviations of the model's score.

    The drawn patches are set into the best latents as in :class:`PatchEvolution`, with its options and its screening.

    Parameters
    ----------
    problem : Problem
        Over codes.
    options : TTEvolution.Options

    Raises
    ------
    Unsuitable
        The space is a box.
    """

    class Options(PatchEvolution.Options):
        """Options of evolution by patches from a tensor train."""

        rank: int = Field(default=8, ge=1, le=256, description="Components of the mixture, the rank of the train.")
        smoothing: float = Field(
            default=20.0, gt=0, le=1e9, allow_inf_nan=False, description="Pseudo-counts a position and component in the fit to the bank."
        )
        tilt: float = Field(
            default=5.0, ge=0, le=100, allow_inf_nan=False, description="Greatest tilt, in standard deviations of the model's score."
        )

    def __init__(self, problem: Problem, options: Options) -> None:
        super().__init__(problem, options)
        space = problem.latent
        if not isinstance(space, Categorical):
            raise Unsuitable("tt-evolution searches codes, not boxes; tt-grid, thompson, sphere-cma or patch-evolution search boxes")
        self._tt = options
        if self._bank is None:
            self._train = DiagonalTrain.uniform(space.size, space.cardinality)
        else:
            fitted = torch.Generator().manual_seed(problem.seed)
            rank = min(options.rank, len(self._bank))
            self._train = DiagonalTrain.fit(self._bank, space.cardinality, rank, fitted, options.smoothing)
        self._frequencies = self._train.frequencies()

    def _given_shares(self) -> Tensor:
        """Return the weights of elite, train and random draws as donors; blind, too, most patches are drawn from the train."""
        shares = super()._given_shares()
        given = self.options
        if self._bank is None and given.from_elite is given.from_bank is given.from_random is None:
            return torch.tensor([0.1, 0.6, 0.3])
        return shares

    def _natural(self, n: int, rows: Tensor, positions: Tensor, old: Tensor) -> Tensor:
        del old
        return self._tilted().draws(n, self.generator).values(rows, positions)

    def _tilted(self) -> DiagonalTrain:
        """Return the train of natural codes, tilted by a draw of β and of the model's weights."""
        model = self._model
        if model is None or not model.ready or not self._tt.tilt:
            return self._train
        share = float(torch.rand(1, generator=self.generator))
        gains = model.of_codes(model.weights(self.options.explore, self.generator))
        # moments of the gains under the codes' own frequencies, with positions taken as independent
        mean = (self._frequencies * gains).sum(1, keepdim=True)
        deviation = float((self._frequencies * (gains - mean).square()).sum().sqrt())
        return self._train.tilted(gains * (share * self._tt.tilt / deviation)) if deviation > 0 else self._train
