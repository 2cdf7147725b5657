"""Guided backpropagation: the gradient along which every rectifier lets back only what raises the response."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ....models.options import InvalidOption
from ....models.targets.redirect import guided
from ....models.targets.target import HasModule, Target
from ....models.units import UnitAddress
from .gradient import Gradient
from .stimuli import probe
from .units import Question, Response

_RELUS = frozenset({"relu", "relu6", "hardtanh"})


class GuidedBackpropagation(Gradient):
    """Gradient that passes each ReLU only where it is above zero (Springenberg et al., 2015)."""

    title = "Guided backpropagation"
    reading = (
        "The gradient that passes each ReLU only where it is above zero, its size summed over channels. It sharpens edges of the stimulus, "
        "also of a network that has learned nothing: look at the column randomisation."
    )
    needs = (HasModule,)

    def check_units(self, target: Target, units: Sequence[UnitAddress]) -> None:
        """Refuse units before which the network calls no ReLU, or a rectifier that is none."""
        super().check_units(target, units)
        for unit in {unit.layer: unit for unit in units}.values():
            with guided() as called, torch.no_grad():
                target.respond(probe(target.stimulus), frozenset({unit.layer}))
            others = sorted({*called} - _RELUS)
            if others or not called:
                why = f"the network calls {', '.join(others)} before {unit}" if others else f"the network calls no ReLU before {unit}"
                raise InvalidOption("", f"{self.title} is about ReLUs, and {why}; smoothgrad and integrated-gradients need none")

    def response(self, question: Question) -> Response:
        """Return the response of the question's first unit; its backward pass is guided."""
        response = question.reader.response()

        def answer(stimuli: Tensor) -> Tensor:
            with guided():
                return response(stimuli)

        return answer
