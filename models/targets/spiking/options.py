"""Options of a spiking target, as a job file gives them."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from ..coding import Coding
from .readout import Readout


class SpikingOptions(BaseModel):
    """How a spiking network is asked."""

    model_config = ConfigDict(extra="forbid")

    steps: Annotated[int, Field(ge=1, le=10_000, description="Time steps of one presentation.")] = 20
    readout: Annotated[Readout, Field(description="Response of a spiking unit; latency is higher for an earlier first spike.")] = "count"
    coding: Annotated[Coding, Field(description="How a stimulus enters: as a current, as random spikes, as one timed spike a pixel.")] = (
        "direct"
    )
