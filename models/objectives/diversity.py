"""Stimuli that differ from each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from torch import Tensor
from torch.nn import functional as F

from ..options import InvalidOption
from ..units import UnitAddress
from .channels import Channels, channel_axis
from .gram import gram
from .options import UnitOptions
from .setting import Setting
from .unit import OfUnit, read

MOST_CHANNELS = 4096


class Diversity(OfUnit):
    """How unlike a candidate is to the others of its generation: minus the mean cosine of their Gram matrices, in [-1, 1].

    Olah et al., "Feature Visualization", 2017 ("Diversity"). Add it to another objective of a gradient search with ``batch`` above 1; the
    gradient moves each candidate away from the others. A single candidate scores 0.
    """

    compares = True

    class Options(UnitOptions):
        """Options of the objective."""

        channels: Channels = "auto"

    def __init__(self, unit: UnitAddress, axis: int = 0) -> None:
        self.unit, self.axis = unit, axis

    @classmethod
    def from_setting(cls, options: Options, unit: UnitAddress, setting: Setting) -> Self:
        """Return the objective for one layer of a job, usually an intermediate one.

        Raises
        ------
        InvalidOption
            The layer has more than 4096 channels.
        """
        unit = UnitAddress(unit.layer) if not setting.shape(unit) or unit.integers else unit
        shape = setting.shape(unit)
        axis = channel_axis(len(shape), setting.stimulus, options.channels)
        if shape[axis] > MOST_CHANNELS:
            raise InvalidOption("channels", f"{unit} has {shape[axis]} channels; a Gram matrix is made of at most {MOST_CHANNELS}")
        return cls(unit, axis)

    def __call__(self, responses: Mapping[str, Tensor], /) -> Tensor:
        """Return the scores of responses: {layer: (n, *layer)} -> (n,), in [-1, 1]."""
        own = F.normalize(gram(read(self.unit, responses), self.axis).flatten(1), dim=1)
        n = own.shape[0]
        if n < 2:
            return own.sum(1) * 0
        # the others are constants, so that a candidate's gradient is that of its own score
        cosines = own @ own.detach().T
        return -(cosines.sum(1) - cosines.diagonal()) / (n - 1)
