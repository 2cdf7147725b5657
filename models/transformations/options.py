"""Options that transformations share."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from ..options import OptionsModel
from .transformation import Fill


def _ordered(limits: tuple[float, float]) -> tuple[float, float]:
    if limits[0] > limits[1]:
        raise ValueError(f"the first must not be above the second; got {list(limits)}")
    return limits


Number = Annotated[float, Field(ge=-1e6, le=1e6, allow_inf_nan=False)]
Limits = Annotated[tuple[Number, Number], AfterValidator(_ordered)]
"""Two numbers, the lower first."""


class GeometricOptions(OptionsModel):
    """Options of every transformation that moves pixels."""

    fill: Fill = Field(
        default="grey",
        description="What lies beyond the stimulus: 'grey' (the middle of its range), its 'edge' values, or its mirror image.",
    )
