"""Colour in which the channels of natural images are uncorrelated."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from .natural import cifar10

Colour = Literal["imagenet", "cifar10", "none"]
COLOUR = Field(
    description="Natural images whose colours' correlations are put back, so that the search has uncorrelated ones; of three channels only."
)

IMAGENET = ((0.26, 0.09, 0.02), (0.27, 0.00, -0.05), (0.27, -0.09, 0.03))
"""Square root of the covariance of ImageNet's colours, as published with Lucid (lucid/optvis/param/color.py; Olah, Mordvintsev and
Schubert, "Feature visualization", 2017)."""


def colour_matrix(colour: Colour, channels: int) -> Tensor | None:
    """Return the matrix from uncorrelated channels to red, green and blue.

    Parameters
    ----------
    colour : {"imagenet", "cifar10", "none"}
        The images whose colours' correlations are used.
    channels : int
        Channels of a stimulus.

    Returns
    -------
    Tensor or None
        (3, 3), its longest column of length 1; None for "none", and for other than three channels.
    """
    if colour == "none" or channels != 3:
        return None
    root = torch.tensor(IMAGENET) if colour == "imagenet" else cifar10(3).colour
    return root / root.norm(dim=0).max()


def coloured(planes: Tensor, matrix: Tensor | None) -> Tensor:
    """Return uncorrelated planes, (n, 3, height, width), as red, green and blue; unchanged without a matrix."""
    return planes if matrix is None else torch.einsum("rc,nchw->nrhw", matrix, planes)
