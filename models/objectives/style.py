"""The style of a given image, apart from its content."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Self

import torch
from pydantic import Field
from torch import Tensor

from ..options import InvalidOption
from ..units import UnitAddress
from .channels import Channels, channel_axis, places
from .gram import gram
from .options import WeightedLayers
from .reference import ReferenceOptions
from .setting import Setting
from .unit import read


class Style:
    """Minus the squared distance of Gram matrices to those of a given image, summed over layers.

    Gatys, Ecker and Bethge, "Image style transfer using convolutional neural networks", 2016, equations 3 to 5: each layer's
    Σ (G - A)² / (4 channels² places²), times its weight.
    """

    class Options(ReferenceOptions):
        """Options of the objective."""

        layers: WeightedLayers = Field(description="Addresses of layers, each with a weight.")
        channels: Channels = "auto"

    def __init__(self, terms: Sequence[tuple[UnitAddress, int, Tensor, float]]) -> None:
        self.terms = tuple(terms)

    @classmethod
    def from_setting(cls, options: Options, unit: UnitAddress, setting: Setting) -> Self:
        """Return the objective; the job's unit is not used.

        Raises
        ------
        InvalidOption
            A layer does not exist or is a single neuron, or the image can't be read.
        """
        del unit
        units = [setting.unit(each.layer, f"layers[{at}].layer") for at, each in enumerate(options.layers)]
        for at, each in enumerate(units):
            if not setting.shape(each):
                raise InvalidOption(f"layers[{at}].layer", f"{each} is one neuron, which has no Gram matrix; name a layer")
        references = setting.reference(options.image, {each.layer for each in units}, "image", options.fit)
        terms: list[tuple[UnitAddress, int, Tensor, float]] = []
        for each, layer in zip(units, options.layers, strict=True):
            axis = channel_axis(len(setting.shape(each)), setting.stimulus, options.channels)
            terms.append((each, axis, gram(read(each, references), axis)[0], layer.weight))
        return cls(terms)

    @property
    def layers(self) -> frozenset[str]:
        """The layers of all terms."""
        return frozenset(unit.layer for unit, _, _, _ in self.terms)

    def __call__(self, responses: Mapping[str, Tensor], /) -> Tensor:
        """Return the scores of responses, ≤ 0 for positive weights: {layer: (n, *layer)} -> (n,)."""
        scores: list[Tensor] = []
        for unit, axis, reference, weight in self.terms:
            values = read(unit, responses)
            _, count, channels = places(values, axis).shape
            squares = (gram(values, axis) - reference.to(values)).square()
            scores.append(-weight * squares.sum((1, 2)) / (4 * channels**2 * count**2))
        return torch.stack(scores).sum(0)
