"""Options that objectives share."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

Direction = Literal["up", "down"]
Weight = Annotated[float, Field(ge=-1e12, le=1e12, allow_inf_nan=False)]


class ObjectiveOptions(BaseModel):
    """Options of every objective."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class UnitOptions(ObjectiveOptions):
    """Options of every objective that reads a unit."""

    unit: Annotated[
        str | None, Field(min_length=1, max_length=500, description="Address of another unit than the job's, as in a sum of several.")
    ] = None


class WeightedLayer(BaseModel):
    """A layer, or a part of one, and what it counts."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    layer: Annotated[str, Field(min_length=1, max_length=500, description="Address, e.g. conv2.")]
    weight: Annotated[Weight, Field(description="What it counts.")] = 1.0


def _spelled_out(value: Any) -> Any:
    if isinstance(value, str):
        return [{"layer": value}]
    return [{"layer": each} if isinstance(each, str) else each for each in value] if isinstance(value, list | tuple) else value


WeightedLayers = Annotated[list[WeightedLayer], BeforeValidator(_spelled_out), Field(min_length=1, max_length=100)]
"""Option type of one or more layers, by address alone or with a weight."""
