"""A penalty on differences between neighbouring values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import Field
from torch import Tensor

from ..options import OptionsModel
from ..units import UnitAddress
from .objective import STIMULUS

Kind = Literal["anisotropic", "isotropic"]


class TotalVariation:
    """How much neighbouring values of a stimulus differ, averaged over values, ≥ 0; subtract it.

    ``anisotropic``: |across| + |down| (Rudin, Osher and Fatemi, 1992, as in Lucid). ``isotropic``: (across² + down²)^(beta / 2), each
    difference forward, 0 at the far edges (Mahendran and Vedaldi, 2015, equation 4). A series has neighbours in time alone.
    """

    class Options(OptionsModel):
        """Options of the regulariser."""

        kind: Kind = Field(default="anisotropic", description="'anisotropic', or 'isotropic'.")
        beta: float = Field(
            default=1.0, ge=1, le=4, allow_inf_nan=False, description="Power of the isotropic one; above 1 edges cost more."
        )

    def __init__(self, kind: Kind = "anisotropic", beta: float = 1.0) -> None:
        self.kind, self.beta = kind, beta

    @classmethod
    def from_options(cls, options: Options, unit: UnitAddress) -> Self:
        """Return the regulariser; the job's unit is not used."""
        del unit
        return cls(options.kind, options.beta)

    @property
    def layers(self) -> frozenset[str]:
        """The stimulus alone."""
        return frozenset({STIMULUS})

    def __call__(self, responses: Mapping[str, Tensor], /) -> Tensor:
        """Return the penalties of stimuli, (n, channels, height, width) or (n, channels, time): (n,)."""
        stimuli = responses[STIMULUS]
        differences = [stimuli.diff(dim=axis, append=stimuli.narrow(axis, -1, 1)) for axis in range(2, stimuli.ndim)]
        if self.kind == "anisotropic":
            variation = sum((difference.abs() for difference in differences), stimuli.new_zeros(()))
        else:
            squares = sum((difference.square() for difference in differences), stimuli.new_zeros(()))
            # offset, since a root's slope at zero is infinite
            variation = (squares + 1e-8) ** (self.beta / 2)
        return variation.flatten(1).mean(1)
