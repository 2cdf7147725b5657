"""The number of stimuli in one forward pass."""

from __future__ import annotations

import math

import torch

from ...models.spaces import StimulusSpec
from ...models.targets.target import Target

MOST_STIMULI = 250
"""Most stimuli in one forward pass; more are no faster on a CPU."""
CPU_BYTES = 2 << 30
"""Memory that one pass may use on a CPU."""
CUDA_SHARE = 0.25
"""Fraction of a GPU's memory that one pass may use."""
_FLOAT = 4


def pass_size(target: Target, made: StimulusSpec, device: str) -> int:
    """Return the number of stimuli in one pass, 1 to :data:`MOST_STIMULI`: as many as fit in memory.

    A stimulus counts with the responses of all layers, which a gradient keeps, and a few copies of itself. The number depends on the job
    and the device's size alone, never on free memory, so that a resumed job forms the same passes.

    Parameters
    ----------
    target : Target
        The target.
    made : StimulusSpec
        The generator's stimulus.
    device : str
        Torch device.
    """
    values = sum(math.prod(layer.shape) for layer in target.layers())
    values += 4 * max(math.prod(made.shape), math.prod(target.stimulus.shape))
    return max(1, min(MOST_STIMULI, _bytes(device) // (_FLOAT * values)))


def _bytes(device: str) -> int:
    if device.startswith("cuda"):
        return int(CUDA_SHARE * torch.cuda.get_device_properties(device).total_memory)
    return CPU_BYTES
