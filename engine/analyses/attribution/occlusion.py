"""Occlusion: what is lost when a window of the stimulus is covered."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import torch
from pydantic import Field
from torch import Tensor

from ..analysis import AnalysisContext
from .covered import Covers, mean_over_masks
from .method import Attribution
from .units import Question


class Occlusion(Attribution):
    """Response that is lost when a sliding window is covered (Zeiler and Fergus, 2014); needs no gradient."""

    title = "Occlusion"
    reading = "The response that is lost when a window is covered by the baseline, averaged over the windows that a place lies in."

    class Options(Attribution.Options):
        """Options of the analysis."""

        window: int = Field(default=0, ge=0, le=4096, description="Side of the window; 0: an eighth of the stimulus's shorter side.")
        stride: int = Field(default=0, ge=0, le=4096, description="Way from one window to the next; 0: half a window.")

    def attribute(self, question: Question) -> Tensor:
        """Return the maps, (units, n, *space)."""
        full = question.reader.responses(question.stimuli)
        covers = Covers(self._windows(question.stimuli.shape[2:]), lambda covered: full[..., None] - covered)
        return mean_over_masks(question, covers)[0]

    def to_map(self, attributions: Tensor) -> Tensor:
        """Return them as they are."""
        return attributions

    def at_once(self, context: AnalysisContext) -> int:
        """Return few stimuli: each fills passes by its windows."""
        return min(context.batch, 8)

    def _windows(self, space: torch.Size) -> Iterator[Tensor]:
        """Masks, 1 in the window; the last window of each row lies at its end."""
        side = self.options.window or max(1, min(space) // 8)
        stride = self.options.stride or max(1, side // 2)
        ways = [sorted({*range(0, max(1, size - side), stride), max(0, size - side)}) for size in space]
        for corner in itertools.product(*ways):
            mask = torch.zeros(space)
            mask[tuple(slice(start, start + side) for start in corner)] = 1
            yield mask
