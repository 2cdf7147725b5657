"""The energy of a spiking network: the number of its spikes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, Self

import torch
from pydantic import Field
from torch import Tensor

from ..options import InvalidOption, OptionsModel
from ..units import UnitAddress
from .setting import Setting
from .unit import read

SPIKING = frozenset({"spike count", "firing rate"})
"""Kinds of layers whose responses are spikes."""

Per = Literal["neuron", "network"]


class Spikes:
    """Spikes over the layers of a spiking network, ≥ 0; subtract it for stimuli that cost little, add it for ones that excite it all.

    The energy that a neuromorphic chip uses grows with its spikes (Davies et al., "Loihi", 2018).
    """

    class Options(OptionsModel):
        """Options of the regulariser."""

        layers: list[Annotated[str, Field(min_length=1, max_length=500)]] | None = Field(
            default=None, min_length=1, max_length=1000, description="Addresses of spiking layers; all of the target's by default."
        )
        per: Per = Field(default="neuron", description="'neuron': mean over neurons. 'network': the sum.")

    def __init__(self, units: Sequence[UnitAddress], per: Per = "neuron") -> None:
        self.units, self.per = tuple(units), per

    @classmethod
    def from_setting(cls, options: Options, unit: UnitAddress, setting: Setting) -> Self:
        """Return the regulariser; the job's unit is not used.

        Raises
        ------
        InvalidOption
            The target has no spiking layer, or a named layer isn't one.
        """
        del unit
        kinds = {layer.name: layer.kind for layer in setting.layers}
        if options.layers is None:
            units = [UnitAddress(name) for name, kind in kinds.items() if kind in SPIKING]
            if not units:
                raise InvalidOption("layers", "the target has no layer whose response is a spike count or a firing rate")
            return cls(units, options.per)
        units = [setting.unit(address, f"layers[{at}]") for at, address in enumerate(options.layers)]
        for at, each in enumerate(units):
            if kinds[each.layer] not in SPIKING:
                raise InvalidOption(f"layers[{at}]", f"{each.layer} answers with a {kinds[each.layer]}, not with spikes")
        return cls(units, options.per)

    @property
    def layers(self) -> frozenset[str]:
        """The spiking layers."""
        return frozenset(unit.layer for unit in self.units)

    def __call__(self, responses: Mapping[str, Tensor], /) -> Tensor:
        """Return the spikes of responses, as a mean or a sum over neurons: {layer: (n, *layer)} -> (n,)."""
        parts = [read(unit, responses) for unit in self.units]
        every = torch.cat([part.flatten(1) if part.ndim > 1 else part[:, None] for part in parts], 1)
        return every.mean(1) if self.per == "neuron" else every.sum(1)
