"""Random crops, resized to the whole frame."""

from __future__ import annotations

import math
from typing import Annotated, Literal, Self

import torch
from pydantic import AfterValidator, Field
from torch import Tensor

from ..spaces import StimulusSpec
from .geometry import Geometric, Move, moved, scaled
from .options import GeometricOptions, Limits
from .transformation import BOTH, Draws, Fill, Size


def _share(limits: tuple[float, float]) -> tuple[float, float]:
    if not 0 < limits[0] <= limits[1] <= 1:
        raise ValueError(f"a crop's side is a share of the stimulus's, above 0 and at most 1; got {list(limits)}")
    return limits


class Crop(Geometric):
    """A random box, resized to the whole frame, as in MACO (Fel et al., "Unlocking feature visualization", 2023, section 3).

    The side of the box is a uniform share of the stimulus's side, within the limits given and never beyond; it lies wholly inside.
    """

    modalities = BOTH
    variates = 3

    class Options(GeometricOptions):
        """Options of the transformation."""

        size: Annotated[
            Limits, AfterValidator(_share), Field(description="Smallest and largest side of the box ÷ the stimulus's side.")
        ] = (
            0.2,
            0.25,
        )
        place: Literal["uniform", "central"] = Field(
            default="uniform",
            description="'uniform' over all places inside, or 'central': normal about the middle with a deviation of 0.15.",
        )

    DEVIATION = 0.15

    def __init__(
        self, low: float, high: float, place: Literal["uniform", "central"] = "uniform", fill: Fill = "grey", middle: float = 0.5
    ) -> None:
        self.low, self.high, self.place, self.fill, self.middle = low, high, place, fill, middle

    @classmethod
    def from_options(cls, options: Options, stimulus: StimulusSpec) -> Self:
        """Return the transformation for stimuli of this range."""
        return cls(*options.size, options.place, options.fill, (stimulus.low + stimulus.high) / 2)

    def boxes(self, draws: Draws) -> tuple[Tensor, Tensor, Tensor]:
        """Return the boxes as shares of the stimulus's sides.

        Returns
        -------
        side, x, y : Tensor
            (n,) each: side of the box, and offset of its middle from the stimulus's middle.
        """
        side = draws.between(0, self.low, self.high)
        room = (1 - side) / 2
        if self.place == "uniform":
            return side, room * (2 * draws.uniform[:, 1] - 1), room * (2 * draws.uniform[:, 2] - 1)
        # the normal's quantile of a uniform draw; the box is pushed inside
        normal = self.DEVIATION * math.sqrt(2) * torch.erfinv((2 * draws.uniform[:, 1:3] - 1).clamp(-1 + 1e-12, 1 - 1e-12))
        return side, torch.clamp(normal[:, 0], -room, room), torch.clamp(normal[:, 1], -room, room)

    def move(self, size: Size, draws: Draws) -> Move:
        """Return the move that fills the frame with the box."""
        side, x, y = self.boxes(draws)
        height, width = size
        zoom = scaled(draws.n, x=side if width > 1 else 1.0, y=side if height > 1 else 1.0)
        place = moved(draws.n, x=x * width if width > 1 else 0.0, y=y * height if height > 1 else 0.0)
        return Move(place @ zoom, size)
