"""A direction in a layer's space, such as a concept vector."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from ..units import UnitAddress
from .channels import places
from .setting import Setting
from .unit import OfUnit, read
from .vectors import VectorOptions, read_vector

LEAST_COSINE = 0.1
"""Lower bound of the cosine in the product, so that a start in another direction still has a gradient (as in Lucid)."""


class Direction(OfUnit):
    """How far the response goes along a vector, averaged over places: the projection, times a power of the cosine where asked.

    Olah et al., "Feature Visualization", 2017 (direction), and Carter et al., "Activation Atlas", 2019 (dot × cosine^k, which keeps what
    is found from being merely strong). With a concept activation vector (Kim et al., "TCAV", 2018) it shows the concept.
    """

    class Options(VectorOptions):
        """Options of the objective."""

        cosine_power: float = Field(default=0.0, ge=0, le=20, allow_inf_nan=False, description="Power of the cosine; 0 leaves it out.")

    def __init__(self, unit: UnitAddress, vector: Tensor, axis: int | None = 0, cosine_power: float = 0.0) -> None:
        self.unit, self.axis, self.cosine_power = unit, axis, cosine_power
        self.vector = F.normalize(vector.flatten().float(), dim=0)

    @classmethod
    def from_setting(cls, options: Options, unit: UnitAddress, setting: Setting) -> Self:
        """Return the objective for one layer of a job."""
        return cls(unit, *read_vector(options, unit, setting), options.cosine_power)

    def __call__(self, responses: Mapping[str, Tensor], /) -> Tensor:
        """Return the scores of responses: {layer: (n, *layer)} -> (n,)."""
        at = along(read(self.unit, responses), self.axis)
        dots = at @ self.vector.to(at)
        if self.cosine_power:
            cosines = F.normalize(at, dim=2) @ self.vector.to(at)
            dots = dots * cosines.clamp(min=LEAST_COSINE) ** self.cosine_power
        return dots.mean(1)


def along(response: Tensor, axis: int | None) -> Tensor:
    """Return responses along the vector's axis: (n, *response) -> (n, places, channels).

    Parameters
    ----------
    response : Tensor
        (n, *response).
    axis : int or None
        Axis of the channels, counted without the batch. None: the vector has all values of a response, and the result is (n, 1, values).
    """
    return response.flatten(1)[:, None] if axis is None else places(response, axis)
