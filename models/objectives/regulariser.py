"""The common part of regularisers by a norm: they read stimuli or latents, and are ≥ 0."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import Field
from torch import Tensor

from ..options import InvalidOption, OptionsModel
from ..spaces import Categorical
from ..units import UnitAddress
from .objective import LATENT, STIMULUS
from .setting import Setting

Of = Literal["stimulus", "latent"]


class NormOptions(OptionsModel):
    """Options of norms."""

    of: Of = Field(default="stimulus", description="Of the stimulus, or of the latent (real-valued ones only).")
    centre: float | None = Field(
        default=None,
        ge=-1e6,
        le=1e6,
        allow_inf_nan=False,
        description="Value that counts nothing; by default the middle of the stimulus's range, 0 of a latent.",
    )


def norm_of(options: NormOptions, setting: Setting) -> tuple[str, float]:
    """Return the name of the layer that a norm reads, and its centre.

    Raises
    ------
    InvalidOption
        The latents are codes.
    """
    if options.of == "latent":
        if isinstance(setting.latent, Categorical):
            raise InvalidOption("of", "this generator's latents are codes, which have no size; use stimulus, or code-prior")
        return LATENT, options.centre or 0.0
    middle = (setting.stimulus.low + setting.stimulus.high) / 2
    return STIMULUS, middle if options.centre is None else options.centre


class Norm:
    """Distances of a stimulus's (or latent's) values from a centre.

    Parameters
    ----------
    layer : str
        ``STIMULUS`` or ``LATENT`` of :mod:`actmax.models.objectives.objective`.
    centre : float
        The value at distance 0.
    """

    class Options(NormOptions):
        """Options of the regulariser."""

    def __init__(self, layer: str = STIMULUS, centre: float = 0.5) -> None:
        self.layer, self.centre = layer, centre

    @classmethod
    def from_setting(cls, options: Options, unit: UnitAddress, setting: Setting) -> Self:
        """Return the regulariser; the job's unit is not used."""
        del unit
        return cls(*norm_of(options, setting))

    @property
    def layers(self) -> frozenset[str]:
        """The stimulus, or the latent."""
        return frozenset({self.layer})

    def distances(self, responses: Mapping[str, Tensor]) -> Tensor:
        """Return the signed distances of all values from the centre, (n, values)."""
        return responses[self.layer].flatten(1) - self.centre
