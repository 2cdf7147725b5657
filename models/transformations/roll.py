"""Random shifts that wrap around."""

from __future__ import annotations

from typing import Self

import torch
from pydantic import Field
from torch import Tensor

from ..options import OptionsModel
from ..spaces import StimulusSpec
from .transformation import BOTH, Draws


class Roll:
    """Shifts by whole pixels and wraps around, as in Ghiasi, Kazemi et al., "What do vision transformers learn?", 2022."""

    modalities = BOTH
    variates = 2

    class Options(OptionsModel):
        """Options of the transformation."""

        most: int = Field(default=32, ge=1, le=100_000, description="Largest shift either way, in pixels or time steps.")

    def __init__(self, most: int) -> None:
        self.most = most

    @classmethod
    def from_options(cls, options: Options, stimulus: StimulusSpec) -> Self:
        """Return the transformation; it is the same for every stimulus."""
        del stimulus
        return cls(options.most)

    def __call__(self, stimuli: Tensor, draws: Draws, /) -> Tensor:
        """Return the stimuli shifted by -most … most down and right, all shifts equally likely: (n, channels, height, width)."""
        n, _, height, width = stimuli.shape
        down, right = (draws.whole(axis, -self.most, self.most).long() for axis in (0, 1))
        if n == 1:
            return stimuli.roll((int(down), int(right)), (2, 3))
        rows = (torch.arange(height) - down[:, None]) % height
        columns = (torch.arange(width) - right[:, None]) % width
        each = torch.arange(n)[:, None, None]
        # indexing dimensions 0, 2 and 3 around a kept dimension 1 would put the channels last: permute first
        taken = stimuli.permute(0, 2, 3, 1)[
            each.to(stimuli.device), rows[:, :, None].to(stimuli.device), columns[:, None].to(stimuli.device)
        ]
        return taken.permute(0, 3, 1, 2)
