"""Random noise of every value, or of every channel."""

from __future__ import annotations

from typing import Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from ..options import OptionsModel
from ..spaces import StimulusSpec
from .transformation import BOTH, Draws


class Noise:
    """Gaussian noise, which may fade as the search goes on (for MACO: Fel et al., 2023)."""

    modalities = BOTH
    variates = 0

    class Options(OptionsModel):
        """Options of the transformation."""

        std: float = Field(
            default=0.05, ge=0, le=10, allow_inf_nan=False, description="Standard deviation ÷ width of the stimulus's range."
        )
        until: float | None = Field(
            default=None,
            ge=0,
            le=10,
            allow_inf_nan=False,
            description="Standard deviation at the end of the search, reached linearly; none: constant.",
        )
        per: Literal["value", "channel"] = Field(
            default="value", description="'value': each its own. 'channel': one for all of a channel, a tint."
        )

        @model_validator(mode="after")
        def _some(self) -> Self:
            if self.std == 0 and not self.until:
                raise ValueError("set std above 0; noise of 0 is none")
            return self

    def __init__(self, std: float, until: float | None = None, per: Literal["value", "channel"] = "value") -> None:
        self.std, self.until, self.per = std, until, per

    @classmethod
    def from_options(cls, options: Options, stimulus: StimulusSpec) -> Self:
        """Return the transformation for stimuli of this range."""
        width = stimulus.high - stimulus.low
        return cls(options.std * width, None if options.until is None else options.until * width, options.per)

    def __call__(self, stimuli: Tensor, draws: Draws, /) -> Tensor:
        """Return stimuli with added noise: (n, channels, height, width)."""
        shape = stimuli.shape[1:] if self.per == "value" else (stimuli.shape[1], 1, 1)
        noise = draws.normal(shape, stimuli.device)
        if self.until is None:
            return stimuli + self.std * noise
        std = torch.lerp(torch.full_like(draws.progress, self.std), torch.full_like(draws.progress, self.until), draws.progress)
        return stimuli + std.to(stimuli)[:, None, None, None] * noise
