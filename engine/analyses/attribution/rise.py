"""RISE: which places are visible when the response is strong, over random masks."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from ..analysis import AnalysisContext
from .covered import Covers, mean_over_masks
from .method import Attribution
from .units import Question


class Rise(Attribution):
    """Mean response to randomly covered stimuli in which a place is visible (RISE, Petsiuk et al., 2018); needs no gradient."""

    title = "RISE"
    reading = "The mean response to randomly covered stimuli in which a place is visible, less the mean over all of them."

    class Options(Attribution.Options):
        """Options of the analysis."""

        samples: int = Field(default=500, ge=2, le=100_000, description="Random masks.")
        cells: int = Field(default=7, ge=1, le=64, description="Cells of a mask along each side, before it is smoothed.")
        visible: float = Field(default=0.5, gt=0, lt=1, description="Share of the cells that stay visible.")

    def attribute(self, question: Question) -> Tensor:
        """Return the maps, (units, n, *space)."""
        there, overall = mean_over_masks(question, Covers(self._masks(question), lambda responses: responses, visible=True))
        return there - overall.view(*overall.shape, *[1] * (there.dim() - 2))

    def to_map(self, attributions: Tensor) -> Tensor:
        """Return them as they are."""
        return attributions

    def at_once(self, context: AnalysisContext) -> int:
        """Return few stimuli: each fills passes by its masks."""
        return min(context.batch, 8)

    def _masks(self, question: Question) -> Iterator[Tensor]:
        """Masks, 1 where the stimulus is covered: random cells, enlarged smoothly and moved by a random part of a cell."""
        rng, space = question.rng(), question.stimuli.shape[2:]
        cells = [min(self.options.cells, size) for size in space]
        pitch = [-(-size // count) for size, count in zip(space, cells, strict=True)]
        large = [(count + 1) * step for count, step in zip(cells, pitch, strict=True)]
        for _ in range(self.options.samples):
            hidden = (torch.rand(1, 1, *cells, generator=rng) >= self.options.visible).float()
            smooth = F.interpolate(hidden, large, mode="bilinear" if len(space) == 2 else "linear", align_corners=False)[0, 0]
            starts = [int(torch.randint(0, step, (), generator=rng)) for step in pitch]
            yield smooth[tuple(slice(start, start + size) for start, size in zip(starts, space, strict=True))]
