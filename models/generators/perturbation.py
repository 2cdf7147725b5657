"""A given image, changed within a ball around it."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, Self

import torch
from pydantic import BeforeValidator, Field
from torch import Tensor
from torch.nn import functional as F

from ..image_source import Fit, ImageSource, image_stimulus
from ..options import InvalidOption
from ..spaces import Box, StimulusSpec
from .canvas import Canvas, CanvasOptions, normal_bank

Norm = Literal["linf", "l2", "l1"]


def _number(value: Any) -> Any:
    """Return a fraction in text form, such as 8/255, as its value; any other value unchanged."""
    if isinstance(value, str) and value.count("/") == 1:
        above, below = value.split("/")
        try:
            return float(above) / float(below)
        except (ValueError, ZeroDivisionError):
            return value
    return value


class PerturbationGenerator(Canvas):
    """A given image plus a perturbation inside a ball of L∞, L2 or L1: adversarial examples, by any search.

    Szegedy et al., "Intriguing properties of neural networks", 2014; Madry et al., "Towards deep learning models resistant to adversarial
    attacks", 2018. For L∞ the latent, ±1, is the perturbation in units of ``epsilon``. For L2 and L1 a latent of standard deviation 1 is
    on the sphere of L2, and what leaves the ball is scaled back onto it, its projection for L2. What leaves the stimulus's range is
    clipped, which only ever shortens a perturbation. Searches begin at random corners of the L∞ ball, where its best points lie
    (Moon, An and Song, "Parsimonious black-box adversarial attacks", 2019), or anywhere on the sphere. With ``size`` the latent is a
    coarse grid of tiles (Ilyas, Engstrom and Madry, "Prior convictions", 2019; Andriushchenko et al., "Square attack", 2020), which
    is what searches without gradients need.

    Parameters
    ----------
    image : Tensor
        (*stimulus), the image to change.
    stimulus : StimulusSpec
        An image or a series.
    options : PerturbationGenerator.Options
    """

    class Options(CanvasOptions):
        """Options of a perturbation."""

        image: ImageSource = Field(description="The image: a data URI, in a job file file:NAME.png, in a library call a path.")
        fit: Fit = Field(default="exact", description="What to do about an image of another size.")
        norm: Norm = Field(default="linf", description="What the perturbation's size is measured by.")
        epsilon: Annotated[
            float,
            BeforeValidator(_number),
            Field(gt=0, le=1e9, allow_inf_nan=False, description="Radius of the ball, in the stimulus's unit; 8/255 may be written so."),
        ] = 8 / 255
        size: int | None = Field(
            default=None,
            ge=1,
            le=1_000_000,
            description="Tiles along the longer side; tiles are as near to square as may be. None: one a pixel.",
        )

    def __init__(self, image: Tensor, stimulus: StimulusSpec, options: Options) -> None:
        self.options = options
        self.image = image
        whole = stimulus.shape[1:]
        longest = max(whole)
        if options.size is not None and options.size > longest:
            raise InvalidOption("size", f"the longer side has {longest} values, so at most as many tiles")
        tiles = whole if options.size is None else tuple(max(1, round(side * options.size / longest)) for side in whole)
        # a latent of standard deviation 1 lies on the sphere of L2, and so does a single value at the bound
        bound = 1.0 if options.norm == "linf" else math.prod(stimulus.shape) ** 0.5
        latent = Box((stimulus.shape[0], *tiles), -bound, bound)
        bank = normal_bank(latent, 1.0)
        super().__init__(latent, stimulus, bank.sign() if options.norm == "linf" else bank, step=0.2)
        self._unit = options.epsilon / bound

    @classmethod
    def for_stimulus(cls, options: Options, stimulus: StimulusSpec, /) -> Self:
        """Return a generator of perturbations of the options' image.

        Raises
        ------
        InvalidOption
            The image can't be read or doesn't fit the stimulus, or there are more tiles than values along the longer side.
        """
        return cls(image_stimulus(options.image, stimulus, "image", fit=options.fit), stimulus, options)

    def perturbation(self, latents: Tensor) -> Tensor:
        """Return perturbations within the ball, before clipping to the stimulus's range: (n, *latent) -> (n, *stimulus)."""
        epsilon = self.options.epsilon
        moved = self._unit * latents
        if self.latent.shape != self.stimulus.shape:
            moved = F.interpolate(moved, self.stimulus.shape[1:], mode="nearest-exact")
        if self.options.norm == "linf":  # the box is the ball
            return moved
        flat = moved.flatten(1)
        # offsets: the root has no slope at 0, and rounding must not leave the ball
        length = (flat.square().sum(1) + 1e-24).sqrt() if self.options.norm == "l2" else flat.abs().sum(1)
        share = (epsilon * (1 - 1e-6) / length.clamp(min=1e-12)).clamp(max=1.0)
        return moved * share.view(-1, *[1] * (moved.ndim - 1))

    def _draw(self, latents: Tensor) -> Tensor:
        return torch.clamp(self.image + self.perturbation(latents), self.stimulus.low, self.stimulus.high)
