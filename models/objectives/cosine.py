"""The angle between a response and a vector."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from torch import Tensor
from torch.nn import functional as F

from ..units import UnitAddress
from .direction import along
from .setting import Setting
from .unit import OfUnit, read
from .vectors import VectorOptions, read_vector


class Cosine(OfUnit):
    """Cosine between the response and a vector, averaged over places, in [-1, 1] (Olah et al., "Feature Visualization", 2017)."""

    class Options(VectorOptions):
        """Options of the objective."""

    def __init__(self, unit: UnitAddress, vector: Tensor, axis: int | None = 0) -> None:
        self.unit, self.axis = unit, axis
        self.vector = F.normalize(vector.flatten().float(), dim=0)

    @classmethod
    def from_setting(cls, options: Options, unit: UnitAddress, setting: Setting) -> Self:
        """Return the objective for one layer of a job."""
        return cls(unit, *read_vector(options, unit, setting))

    def __call__(self, responses: Mapping[str, Tensor], /) -> Tensor:
        """Return the scores of responses: {layer: (n, *layer)} -> (n,), in [-1, 1]."""
        at = along(read(self.unit, responses), self.axis)
        return (F.normalize(at, dim=2) @ self.vector.to(at)).mean(1)
