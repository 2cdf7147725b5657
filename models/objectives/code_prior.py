"""A penalty on unnatural latents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Self

import torch
from pydantic import Field
from torch import Tensor

from ..densities import Density, GaussianDensity, ProductsDensity
from ..densities.diagonal import TINY, DiagonalTrain
from ..options import InvalidOption, OptionsModel
from ..units import UnitAddress
from .objective import LATENT
from .setting import Setting

Measure = Literal["density", "distance"]


class CodePrior:
    """How unnatural a latent is under the generator's prior, ≥ 0 for distances; subtract it.

    ``density``: minus the log-density of natural latents, up to a constant, over the number of coordinates, in nats (the prior term of
    PPGN: Nguyen et al., "Plug & play generative networks", 2017, equation 5). Weights over codes, as gradient searches ask them, get the
    log of the mixture's value at those weights, which for one code a position is the code's. ``distance``: root mean square of the
    latent's whitened coordinates, about 1 for natural ones; real-valued latents only.
    """

    class Options(OptionsModel):
        """Options of the regulariser."""

        measure: Measure = Field(default="density", description="'density', or 'distance' from the prior's mean in standard deviations.")

    def __init__(self, density: Density, measure: Measure = "density") -> None:
        self.density, self.measure = density, measure

    @classmethod
    def from_setting(cls, options: Options, unit: UnitAddress, setting: Setting) -> Self:
        """Return the regulariser; the job's unit is not used.

        Raises
        ------
        InvalidOption
            The generator has no natural latents, or has codes, which have no distance.
        """
        del unit
        if setting.prior is None:
            raise InvalidOption("measure", "this generator has no natural latents to be near to")
        density = setting.prior.density
        if options.measure == "distance" and not isinstance(density, GaussianDensity):
            raise InvalidOption("measure", "codes have no mean to be far from; use density")
        return cls(density, options.measure)

    @property
    def layers(self) -> frozenset[str]:
        """The latent alone."""
        return frozenset({LATENT})

    def __call__(self, responses: Mapping[str, Tensor], /) -> Tensor:
        """Return the penalties of latents, (n, *latent) or relaxed (n, *latent, cardinality): (n,)."""
        latents = responses[LATENT]
        if self.measure == "distance":
            assert isinstance(self.density, GaussianDensity)
            return self.density.whiten(latents).square().mean(1).clamp(min=1e-12).sqrt()
        if isinstance(self.density, ProductsDensity) and latents.is_floating_point():
            found, size = _relaxed(self.density.train, latents.flatten(1, -2)), self.density.space.size
        else:
            found, size = self.density.log_density(latents), latents[0].numel() if latents.shape[0] else 1
        return -found.to(latents.device, latents.dtype if latents.is_floating_point() else torch.float32) / size


def _relaxed(train: DiagonalTrain, weights: Tensor) -> Tensor:
    """Return the log of a mixture at weights over codes, (n, positions, cardinality) -> (n,); the mixture is linear in each position's."""
    tables = train.tables.to(weights)
    chosen = torch.einsum("npc,prc->npr", weights, tables).clamp(min=TINY).log().sum(1)
    everything = tables.sum(2).clamp(min=TINY).log().sum(0)
    log_weights = train.log_weights.to(weights)
    return (chosen + log_weights).logsumexp(1) - (everything + log_weights).logsumexp(0)
