"""A penalty on high frequencies: the distance of a stimulus from its own blur."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import torch
from pydantic import Field
from torch import Tensor

from ..options import OptionsModel
from ..transformations.blur import kernel
from ..units import UnitAddress
from .objective import STIMULUS


class BlurDistance:
    """Mean squared distance of a stimulus from its own blurred self, ≥ 0: the energy of high frequencies; subtract it.

    A step along its gradient blurs the stimulus a little (Olah et al., "Feature Visualization", 2017, "Frequency penalization";
    Lucid's ``blur_input_each_step``).
    """

    class Options(OptionsModel):
        """Options of the regulariser."""

        sigma: float = Field(default=1.0, gt=0, le=100, allow_inf_nan=False, description="Of the Gaussian, in pixels or time steps.")

    def __init__(self, sigma: float = 1.0) -> None:
        self.sigma = sigma
        self._kernels: dict[int, Tensor] = {}

    @classmethod
    def from_options(cls, options: Options, unit: UnitAddress) -> Self:
        """Return the regulariser; the job's unit is not used."""
        del unit
        return cls(options.sigma)

    @property
    def layers(self) -> frozenset[str]:
        """The stimulus alone."""
        return frozenset({STIMULUS})

    def __call__(self, responses: Mapping[str, Tensor], /) -> Tensor:
        """Return the penalties of stimuli, (n, channels, height, width) or (n, channels, time): (n,)."""
        stimuli = responses[STIMULUS]
        blurred = stimuli @ self._kernel(stimuli, stimuli.shape[-1]).T
        if stimuli.ndim == 4:
            blurred = self._kernel(stimuli, stimuli.shape[2]) @ blurred
        return (stimuli - blurred).square().flatten(1).mean(1)

    def _kernel(self, stimuli: Tensor, length: int) -> Tensor:
        if length not in self._kernels:
            with torch.inference_mode(False):
                self._kernels[length] = kernel(torch.tensor([self.sigma], dtype=torch.float64), length)[0]
        return self._kernels[length].to(stimuli)
