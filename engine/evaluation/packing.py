"""How many stimuli go through a target at once."""

from __future__ import annotations

import math

import torch

from ...models.spaces import StimulusSpec
from ...models.targets.target import Target

MOST_STIMULI = 250
"""In one forward pass; more gain nothing on a CPU."""
CPU_BYTES = 2 << 30
"""What one pass may keep."""
CUDA_SHARE = 0.25
"""Of a device's memory."""
_FLOAT = 4


def pass_size(target: Target, made: StimulusSpec, device: str) -> int:
    """Stimuli of one pass: as many as fit, by what the target's layers hold of each; 1 to :data:`MOST_STIMULI`.

    Counted are the responses of all layers, as a gradient needs them kept, and a few copies of the stimulus. It depends on the job and the
    device's size alone, never on what is free just now, so that a resumed job packs its passes alike.
    """
    values = sum(math.prod(layer.shape) for layer in target.layers())
    values += 4 * max(math.prod(made.shape), math.prod(target.stimulus.shape))
    return max(1, min(MOST_STIMULI, _bytes(device) // (_FLOAT * values)))


def _bytes(device: str) -> int:
    if device.startswith("cuda"):
        return int(CUDA_SHARE * torch.cuda.get_device_properties(device).total_memory)
    return CPU_BYTES
