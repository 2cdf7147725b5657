"""Direct coding: the stimulus as a current."""

from __future__ import annotations

from typing import Self

from torch import Tensor

from ..options import OptionsModel
from .coding import Presentation


class DirectCoding:
    """The stimulus itself, as the same current at every step."""

    class Options(OptionsModel):
        """It has none."""

    binary, constant, differentiable = False, True, True

    @classmethod
    def from_options(cls, options: Options, presentation: Presentation) -> Self:
        """Return the coding; it is the same for every presentation."""
        return cls()

    def __call__(self, stimuli: Tensor, /) -> Tensor:
        """Return ``stimuli``, (n, *stimulus), unchanged."""
        return stimuli
