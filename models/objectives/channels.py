"""The axes of a response: the one of its channels, and those of its places."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor

from ..spaces import StimulusSpec

Channels = Annotated[
    Literal["auto", "first", "last"],
    Field(
        description="Which axis of the response counts channels. 'auto': the first of a map (channels, height, width), the last of tokens "
        "(tokens, features); of a series' layers the first."
    ),
]


def channel_axis(dimensions: int, stimulus: StimulusSpec, channels: str = "auto") -> int:
    """Return the axis of a response's channels, counted from 0 without the batch.

    Parameters
    ----------
    dimensions : int
        Dimensions of the response to one stimulus.
    stimulus : StimulusSpec
        The target's stimuli, by whose modality "auto" decides.
    channels : {"auto", "first", "last"}
        Which axis it is.
    """
    if channels == "auto":
        channels = "last" if dimensions == 2 and stimulus.modality == "image" else "first"
    return 0 if channels == "first" else dimensions - 1


def places(response: Tensor, axis: int) -> Tensor:
    """Return responses by places and channels, (n, *response) -> (n, places, channels); a vector has one place."""
    return response.movedim(axis + 1, -1).flatten(1, -2) if response.ndim > 2 else response[:, None]
