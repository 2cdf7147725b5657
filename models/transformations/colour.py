"""Random offset and contrast of each channel."""

from __future__ import annotations

from typing import Self

from pydantic import Field
from torch import Tensor

from ..options import OptionsModel
from ..spaces import StimulusSpec
from .transformation import IMAGES, Draws

CHANNELS = 4
"""Channels with draws of their own; an image of more channels reuses them in turn."""


class Colour:
    """Shifts and stretches every channel by itself: (x - shift) ÷ exp(u).

    The "ColorJitter" of Ghiasi, Kazemi et al., "What do vision transformers learn?", 2022, and of Ghiasi et al., "Plug-in inversion",
    2022. Without it, images for a ViT have a single colour.
    """

    modalities = IMAGES
    variates = 2 * CHANNELS

    class Options(OptionsModel):
        """Options of the transformation."""

        shift: float = Field(default=0.1, ge=0, le=10, allow_inf_nan=False, description="Largest shift either way ÷ width of the range.")
        stretch: float = Field(
            default=0.1, ge=0, le=5, allow_inf_nan=False, description="Contrast is changed by a factor of exp(-stretch) to exp(stretch)."
        )

    def __init__(self, shift: float, stretch: float) -> None:
        self.shift, self.stretch = shift, stretch

    @classmethod
    def from_options(cls, options: Options, stimulus: StimulusSpec) -> Self:
        """Return the transformation for stimuli of this range."""
        return cls(options.shift * (stimulus.high - stimulus.low), options.stretch)

    def __call__(self, stimuli: Tensor, draws: Draws, /) -> Tensor:
        """Return stimuli with shifted and stretched channels: (n, channels, height, width)."""
        own = [channel % CHANNELS for channel in range(stimuli.shape[1])]
        signed = (2 * draws.uniform - 1)[:, :, None, None]
        shift = (self.shift * signed[:, own]).to(stimuli)
        factor = (self.stretch * signed[:, [CHANNELS + channel for channel in own]]).exp().to(stimuli)
        return (stimuli - shift) / factor
