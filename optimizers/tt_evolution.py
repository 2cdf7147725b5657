"""Evolution by patches drawn from a tensor train: what natural codes look like, tilted by all that was evaluated."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from ..models.densities import train as tt
from ..models.spaces import Categorical
from .optimizer import Problem, Unsuitable
from .patch_evolution import PatchEvolution


class TTEvolution(PatchEvolution):
    """Patches from a tensor-train density of natural codes, tilted towards high scores by a model of all evaluations.

    The density of natural codes is a mixture of products of categoricals, which is a tensor train with diagonal cores
    (:func:`actmax.models.densities.train.fit_mixture`); blind, it is uniform. All evaluations fit a linear model of the score,
    s(z) = Σ w_p[z_p]. Their product p(z) exp(β s(z)) is again a tensor train of the same rank: every core's entries for code c at
    position p are multiplied by exp(β w_p[c]). So the tilted density is sampled exactly, mode by mode, with no gradient steps to learn
    it, and its components that the tilt makes improbable drop out by themselves: the rank adapts. β is drawn anew for every ask, from 0
    (natural codes) up to ``tilt`` standard deviations of the model's score.

    What is drawn is set patch by patch into the best latents (:class:`PatchEvolution`, whose options and screening these are).

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

        rank: Annotated[int, Field(ge=1, le=256, description="Components of the mixture, the rank of the train.")] = 8
        smoothing: Annotated[
            float, Field(gt=0, le=1e9, allow_inf_nan=False, description="Pseudo-counts a position and component in the fit to the bank.")
        ] = 20.0
        tilt: Annotated[
            float, Field(ge=0, le=100, allow_inf_nan=False, description="Greatest tilt, in standard deviations of the model's score.")
        ] = 5.0

    def __init__(self, problem: Problem, options: Options) -> None:
        super().__init__(problem, options)
        space = problem.latent
        if not isinstance(space, Categorical):
            raise Unsuitable("tt-evolution searches codes, not boxes; surrogate, sphere-cma or patch-evolution search boxes")
        self._tt = options
        if self._bank is None:
            self._cores = torch.full((space.size, 1, space.cardinality, 1), 0.5)
        else:
            fitted = torch.Generator().manual_seed(problem.seed)
            rank = min(options.rank, len(self._bank))
            self._cores = tt.fit_mixture(self._bank, space.cardinality, rank, fitted, options.smoothing)

    def _given_shares(self) -> Tensor:
        """Blind, too, most patches are drawn from the train."""
        shares = super()._given_shares()
        given = self.options
        if self._bank is None and given.from_elite is given.from_bank is given.from_random is None:
            return torch.tensor([0.1, 0.6, 0.3])
        return shares

    def _natural(self, n: int) -> Tensor:
        cores, model = self._cores, self._model
        if model is not None and model.ready and self._tt.tilt:
            share = float(torch.rand(1, generator=self.generator))
            gains = model.of_codes(model.weights(self.options.explore, self.generator))
            # under the codes' own frequencies, positions taken as independent
            frequencies = cores.sum((1, 3))
            frequencies = frequencies / frequencies.sum(1, keepdim=True)
            mean = (frequencies * gains).sum(1, keepdim=True)
            deviation = float((frequencies * (gains - mean).square()).sum().sqrt())
            if deviation > 0:
                factor = (share * self._tt.tilt / deviation * (gains - gains.max(1, keepdim=True).values)).exp()
                cores = cores * factor[:, None, :, None]
        return tt.sample(cores, n, self.generator)
