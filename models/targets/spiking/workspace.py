"""Memory that is used again from call to call.

Fresh blocks of megabytes are handed back to the system when they are freed, and every page of the next one is faulted in anew;
for a network of this size that can take as long as its arithmetic.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor


class Workspace:
    """Buffers by name; each grows to the largest size that was asked for."""

    def __init__(self) -> None:
        self._buffers: dict[tuple[str, torch.dtype, torch.device], Tensor] = {}

    def flat(self, name: str, numel: int, dtype: torch.dtype, device: torch.device) -> Tensor:
        """(numel,), of unknown contents; what was asked for by this name before is overwritten."""
        key = (name, dtype, device)
        held = self._buffers.get(key)
        if held is None or held.numel() < numel:
            with torch.inference_mode(False):  # usable in every grad mode
                held = self._buffers[key] = torch.empty(numel, dtype=dtype, device=device)
        return held[:numel]

    def get(self, name: str, shape: Sequence[int], dtype: torch.dtype, device: torch.device) -> Tensor:
        """The same, of a shape."""
        return self.flat(name, math.prod(shape), dtype, device).view(tuple(shape))

    def like(self, name: str, model: Tensor, dtype: torch.dtype) -> Tensor:
        """The same, of the shape and dense layout of a tensor."""
        if model.dim() == 4 and model.is_contiguous(memory_format=torch.channels_last):
            n, c, h, w = model.shape
            return self.get(name, (n, h, w, c), dtype, model.device).permute(0, 3, 1, 2)
        return self.get(name, model.shape, dtype, model.device)
