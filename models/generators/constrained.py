"""A generator under an experiment's constraints: near natural latents, at a fixed luminance and contrast."""

from __future__ import annotations

import math
from typing import Self

from torch import Tensor

from ..densities import GaussianDensity
from ..spaces import Categorical, LatentSpace, StimulusSpec
from .generator import Generator, HasCodebook, HasStep
from .near_codes import NearCodes
from .photometry import fixed, most_contrast
from .prior import Prior


class Unconstrainable(ValueError):
    """A constraint that a generator can't keep; ``constraint`` is its name, the message gives the reason and what would work."""

    def __init__(self, constraint: str, message: str) -> None:
        super().__init__(message)
        self.constraint = constraint


class ConstrainedGenerator:
    """A generator whose every stimulus keeps the constraints, so that any optimizer can search it.

    Latents are projected before decoding and stimuli rescaled after it, both with their true gradients.

    Parameters
    ----------
    generator : Generator
        The generator that decodes.
    max_latent_std : float or None
        Largest distance from natural latents in standard deviations: the root mean square of a latent's whitened coordinates (its
        Mahalanobis distance to the prior's mean ÷ √size). Natural latents have about 1. A latent that is farther out is moved
        straight towards the mean. A limit on the whole distance has the same meaning in all coordinates, a limit on each one has not.
    max_code_changes : float or None
        Largest share of a code map's codes that differ from the nearest natural map of the bank. Where more do, natural codes are put back
        (:class:`actmax.models.generators.near_codes.NearCodes`).
    luminance : float or None
        Mean over all values of a stimulus, in its own unit.
    contrast : float or None
        Standard deviation over all values of a stimulus (root-mean-square contrast), in its own unit. A flat stimulus can't be scaled
        and stays flat.

    Raises
    ------
    Unconstrainable
        The prior has no Gaussian density, there are no natural codes, or no stimulus has that luminance or contrast.
    """

    def __init__(
        self,
        generator: Generator,
        *,
        max_latent_std: float | None = None,
        max_code_changes: float | None = None,
        luminance: float | None = None,
        contrast: float | None = None,
    ) -> None:
        self.generator = generator
        self.max_latent_std = max_latent_std
        self.max_code_changes = max_code_changes
        self.luminance = luminance
        self.contrast = contrast
        self._density: GaussianDensity | None = None
        spec = generator.stimulus
        if max_latent_std is not None:
            density = None if generator.prior is None else generator.prior.density
            if not isinstance(density, GaussianDensity):
                raise Unconstrainable("max_latent_std", _no_distance(generator))
            self._density = density
        self._near: NearCodes | None = None
        if max_code_changes is not None:
            space, prior = generator.latent, generator.prior
            if not isinstance(space, Categorical) or prior is None:
                raise Unconstrainable("max_code_changes", _no_changes(generator))
            self._near = NearCodes(space, prior.bank, max_code_changes, generator.codebook if isinstance(generator, HasCodebook) else None)
        if luminance is not None and not spec.low <= luminance <= spec.high:
            raise Unconstrainable("luminance", f"stimuli have values in [{spec.low:g}, {spec.high:g}], so no mean of {luminance:g}")
        if contrast is not None and contrast > (most := 0.98 * most_contrast(luminance, spec)):
            of = "" if luminance is None else f" of luminance {luminance:g}"
            raise Unconstrainable("contrast", f"stimuli{of} in [{spec.low:g}, {spec.high:g}] have a contrast of at most {most:.3g}")
        self._take_extras()

    def _take_extras(self) -> None:
        if isinstance(self.generator, HasCodebook):
            self.codebook = self.generator.codebook
        if isinstance(self.generator, HasStep):
            self.step = self.generator.step

    @property
    def latent(self) -> LatentSpace:
        """The inner generator's space: latents that break a constraint may be asked, and are projected."""
        return self.generator.latent

    @property
    def prior(self) -> Prior | None:
        """The inner generator's prior."""
        return self.generator.prior

    @property
    def stimulus(self) -> StimulusSpec:
        """The inner generator's stimuli."""
        return self.generator.stimulus

    @property
    def differentiable(self) -> bool:
        """Whether the inner generator is differentiable."""
        return self.generator.differentiable

    def to(self, device: str, /) -> Self:
        """Move the inner generator to a device, and return this generator."""
        self.generator = self.generator.to(device)
        if self._near is not None:
            self._near = self._near.to(device)
        self._take_extras()
        return self

    def project(self, latents: Tensor) -> Tensor:
        """Return the latents that are decoded, (n, *latent): within both limits of natural ones."""
        if self._near is not None:
            return self._near.project(latents)
        if self._density is None or self.max_latent_std is None:
            return latents
        density = self._density
        limit = self.max_latent_std * math.sqrt(density.space.size)
        distance = density.whiten(latents).norm(dim=1)
        # towards the mean, which lies in the box since the bank does; just short of the limit, for rounding
        share = (limit * (1 - 1e-6) / distance.clamp(min=limit)).clamp(max=1.0).where(distance > limit, distance.new_ones(()))
        share = share.view(-1, *[1] * (latents.ndim - 1))
        mean = density.mean.to(latents).view(density.space.shape)
        moved = (mean + share * (latents - mean)).clamp(density.space.low, density.space.high)
        return moved.where(share < 1, latents)

    def __call__(self, latents: Tensor, /) -> Tensor:
        """Return stimuli that keep the constraints: (n, *latent) -> (n, *stimulus)."""
        stimuli = self.generator(self.project(latents))
        if self.luminance is None and self.contrast is None:
            return stimuli
        return fixed(stimuli, self.stimulus, self.luminance, self.contrast)


def _no_distance(generator: Generator) -> str:
    if generator.prior is None:
        return "there are no natural latents to stay near; leave it out"
    return "codes have no mean to be k standard deviations from; max_code_changes limits how many differ from the nearest natural map"


def _no_changes(generator: Generator) -> str:
    if not isinstance(generator.latent, Categorical):
        return "real-valued latents have no codes to count; max_latent_std keeps them near natural ones"
    return "there are no natural code maps to stay near; leave it out"
