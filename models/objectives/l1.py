"""Few values away from grey."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from torch import Tensor

from ..units import UnitAddress
from .objective import STIMULUS
from .regulariser import NormOptions, flat, norm_of
from .setting import Setting


class L1:
    """Mean absolute distance of a stimulus's (or latent's) values from a centre, ≥ 0; subtract it (as in Lucid's recipes)."""

    class Options(NormOptions):
        """Options of the regulariser."""

    def __init__(self, layer: str = STIMULUS, centre: float = 0.5) -> None:
        self.layer, self.centre = layer, centre

    @classmethod
    def from_setting(cls, options: Options, unit: UnitAddress, setting: Setting) -> Self:
        """The job's unit plays no part."""
        del unit
        return cls(*norm_of(options, setting))

    @property
    def layers(self) -> frozenset[str]:
        """The stimulus, or the latent."""
        return frozenset({self.layer})

    def __call__(self, responses: Mapping[str, Tensor], /) -> Tensor:
        """-> (n,)."""
        return (flat(responses[self.layer]) - self.centre).abs().mean(1)
