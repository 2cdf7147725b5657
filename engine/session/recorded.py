"""What is recorded, as a target that nobody here can ask."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...models.spaces import StimulusSpec
from ...models.targets.target import LayerInfo
from .spec import RecordedUnitSpec

POPULATION = "population"


class NotAskable(RuntimeError):
    """Something asked a recorded unit for a response; only the rig can."""


class RecordedTarget:
    """The units of a rig: each a layer of its own, and all of them together the layer ``population``.

    Parameters
    ----------
    units : sequence of RecordedUnitSpec
        In the order of their responses.
    stimulus : StimulusSpec
        What they are shown.
    """

    differentiable = False
    noisy = True

    def __init__(self, units: Sequence[RecordedUnitSpec], stimulus: StimulusSpec) -> None:
        self.stimulus = stimulus
        self._units = tuple(units)

    def to(self, device: str, /) -> Self:
        """Nothing to move."""
        return self

    def layers(self) -> Sequence[LayerInfo]:
        """One a unit, and the population."""
        kinds = {"count": "spike count", "rate": "firing rate", "signed": "measurement"}
        alone = [LayerInfo(unit.name, (1,), kinds[unit.kind]) for unit in self._units]
        return [*alone, LayerInfo(POPULATION, (len(self._units),), "recorded units")]

    def signed(self, layer: str) -> bool:
        """Whether responses of a layer may be negative."""
        return any(unit.kind == "signed" for unit in self._units if layer in (unit.name, POPULATION))

    def respond(self, stimuli: Tensor, layers: Collection[str], /) -> Mapping[str, Tensor]:
        """Never answers.

        Raises
        ------
        NotAskable
            Always.
        """
        raise NotAskable("recorded units can't be asked")

    def responses(self, told: NDArray[np.float64]) -> dict[str, Tensor]:
        """What was told, (n, units), by layer: (n, 1) of each unit, (n, units) of the population; float64."""
        values = torch.from_numpy(np.ascontiguousarray(told, dtype=np.float64))
        return {unit.name: values[:, at : at + 1] for at, unit in enumerate(self._units)} | {POPULATION: values}
