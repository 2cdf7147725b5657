"""The content of a given image, apart from its style."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Self

import torch
from pydantic import Field
from torch import Tensor

from ..units import UnitAddress
from .options import WeightedLayers
from .reference import ReferenceOptions
from .setting import Setting
from .unit import read


class Content:
    """Minus the mean squared difference to the responses to a given image, summed over layers (Gatys et al., 2016, equation 1)."""

    class Options(ReferenceOptions):
        """Options of the objective."""

        layers: WeightedLayers = Field(description="Addresses of layers, each with a weight.")

    def __init__(self, terms: Sequence[tuple[UnitAddress, Tensor, float]]) -> None:
        self.terms = tuple(terms)

    @classmethod
    def from_setting(cls, options: Options, unit: UnitAddress, setting: Setting) -> Self:
        """Return the objective; the job's unit is not used.

        Raises
        ------
        InvalidOption
            A layer does not exist, or the image can't be read.
        """
        del unit
        units = [setting.unit(each.layer, f"layers[{at}].layer") for at, each in enumerate(options.layers)]
        references = setting.reference(options.image, {each.layer for each in units}, "image", options.fit)
        return cls([(each, read(each, references)[0], layer.weight) for each, layer in zip(units, options.layers, strict=True)])

    @property
    def layers(self) -> frozenset[str]:
        """The layers of all terms."""
        return frozenset(unit.layer for unit, _, _ in self.terms)

    def __call__(self, responses: Mapping[str, Tensor], /) -> Tensor:
        """Return the scores of responses, ≤ 0 for positive weights: {layer: (n, *layer)} -> (n,)."""
        scores: list[Tensor] = []
        for unit, reference, weight in self.terms:
            values = read(unit, responses)
            squares = (values - reference.to(values)).square()
            scores.append(-weight * (squares.flatten(1).mean(1) if squares.ndim > 1 else squares))
        return torch.stack(scores).sum(0)
