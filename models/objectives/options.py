"""Options that objectives share."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from ..options import OptionsModel

Direction = Literal["up", "down"]
Weight = Annotated[float, Field(ge=-1e12, le=1e12, allow_inf_nan=False)]


class UnitOptions(OptionsModel):
    """Options of every objective that reads a unit."""

    unit: str | None = Field(
        default=None, min_length=1, max_length=500, description="Address of another unit than the job's, as in a sum of several."
    )


class WeightedLayer(OptionsModel):
    """A layer, or a part of one, and its weight."""

    layer: str = Field(min_length=1, max_length=500, description="Address, e.g. conv2.")
    weight: Weight = Field(default=1.0, description="What it counts.")


def _spelled_out(value: Any) -> Any:
    if isinstance(value, str):
        return [{"layer": value}]
    return [{"layer": each} if isinstance(each, str) else each for each in value] if isinstance(value, list | tuple) else value


WeightedLayers = Annotated[list[WeightedLayer], BeforeValidator(_spelled_out), Field(min_length=1, max_length=100)]
"""Option type of one or more layers, by address alone or with a weight."""
