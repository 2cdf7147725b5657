"""What a plugin says of its stimuli."""

from __future__ import annotations

import math

from actmax.v1 import session_pb2

from ..spaces import StimulusSpec

MOST_VALUES = 1 << 24
"""Of one stimulus, one latent, or one layer's response."""


def stimulus_of(message: session_pb2.StimulusShape) -> StimulusSpec:
    """The stimuli that a description tells of; an image has three dimensions, a series two.

    Raises
    ------
    ValueError
        They can't be such.
    """
    shape = tuple(message.shape)
    low, high = (message.low, message.high) if message.low or message.high else (0.0, 1.0)
    if not low < high:
        raise ValueError(f"stimuli between {low:g} and {high:g}: low has to be below high")
    modality = {3: "image", 2: "series"}.get(len(shape))
    if modality is None or message.modality not in ("", modality):
        raise ValueError(f"stimuli of {len(shape)} dimensions: an image has (channels, height, width), a series (channels, time)")
    if math.prod(shape) > MOST_VALUES:
        raise ValueError(f"stimuli of {math.prod(shape)} values; at most {MOST_VALUES} work")
    return StimulusSpec(shape, low, high, "image" if modality == "image" else "series")
