"""Gaussian blur of a random width."""

from __future__ import annotations

from typing import Annotated, Self

import torch
from pydantic import AfterValidator, Field
from torch import Tensor

from ..options import OptionsModel
from ..spaces import StimulusSpec
from .options import Limits
from .transformation import BOTH, Draws

TRUNCATE = 4.0
"""Standard deviations at which the kernel ends, as in scipy."""


def _width(limits: tuple[float, float]) -> tuple[float, float]:
    if not 0 < limits[0] <= limits[1] <= 1000:
        raise ValueError(f"standard deviations lie above 0 and at most at 1000 pixels; got {list(limits)}")
    return limits


class Blur:
    """Gaussian blur of a random width, which may fade as the search goes on.

    A blur that fades from 1.5 pixels to .01 is that of most exciting inputs (Walker et al., "Inception loops discover what excites
    neurons most using deep predictive models", 2019). Beyond its edges a stimulus is mirrored.
    """

    modalities = BOTH
    variates = 1

    class Options(OptionsModel):
        """Options of the transformation."""

        sigma: Annotated[
            Limits, AfterValidator(_width), Field(description="Lowest and highest standard deviation, in pixels or time steps.")
        ] = (0.5, 1.5)
        until: float | None = Field(
            default=None,
            gt=0,
            le=1000,
            allow_inf_nan=False,
            description="Standard deviation at the end of the search, reached linearly; none: constant.",
        )

    def __init__(self, low: float, high: float, until: float | None = None) -> None:
        self.low, self.high, self.until = low, high, until

    @classmethod
    def from_options(cls, options: Options, stimulus: StimulusSpec) -> Self:
        """Return the blur; it is the same for every stimulus."""
        del stimulus
        return cls(*options.sigma, options.until)

    def widths(self, draws: Draws) -> Tensor:
        """Return the standard deviations of the blur, in pixels or time steps: (n,)."""
        widths = draws.between(0, self.low, self.high)
        return widths if self.until is None else torch.lerp(widths, torch.full_like(widths, self.until), draws.progress)

    def __call__(self, stimuli: Tensor, draws: Draws, /) -> Tensor:
        """Return the stimuli blurred along both axes: (n, channels, height, width)."""
        widths = self.widths(draws)
        if stimuli.shape[2] > 1:
            stimuli = kernel(widths, stimuli.shape[2]).to(stimuli)[:, None] @ stimuli
        if stimuli.shape[3] > 1:
            stimuli = stimuli @ kernel(widths, stimuli.shape[3]).to(stimuli)[:, None].transpose(2, 3)
        return stimuli


def kernel(widths: Tensor, length: int) -> Tensor:
    """Return blurs as matrices, (n, length, length): faster than a convolution with an own kernel for each row.

    Row i holds the weights of the value at i. Mirror images beyond both edges are folded in (scipy's mode "reflect"), up to one length of
    the stimulus.

    Parameters
    ----------
    widths : Tensor
        (n,) standard deviations, > 0.
    length : int
        Values along the axis.
    """
    radius = (TRUNCATE * widths + 0.5).floor().clamp(max=length)[:, None, None]
    at = torch.arange(length, dtype=torch.float64)
    distances = (at[:, None] - at, at[:, None] + at + 1, 2 * length - 1 - at[:, None] - at)
    variance = 2 * widths.double().square()[:, None, None]
    matrix = sum(torch.where(distance.abs() <= radius, (-distance.square() / variance).exp(), 0.0) for distance in distances)
    assert isinstance(matrix, Tensor)
    return matrix / matrix.sum(2, keepdim=True)
