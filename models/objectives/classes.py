"""The common part of objectives of one class among others."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from ..options import InvalidOption
from ..units import UnitAddress
from .options import Direction
from .setting import Setting
from .unit import OfUnit


class OfClass(OfUnit):
    """Base of the objectives of one class: the layer's response is a vector of logits, and a sign gives the direction.

    Parameters
    ----------
    unit : UnitAddress
        One index of a layer of classes, e.g. ``fc[3]``.
    direction : {"up", "down"}
        Towards the class, or away from it.
    """

    def __init__(self, unit: UnitAddress, direction: Direction = "up") -> None:
        self.unit = unit
        (self.index,) = unit.integers or (-1,)
        self.sign = 1.0 if direction == "up" else -1.0

    def logits(self, responses: Mapping[str, Tensor]) -> Tensor:
        """Return the logits of the unit's layer, (n, classes)."""
        return responses[self.unit.layer]


def one_class(unit: UnitAddress, setting: Setting, option: str = "unit") -> UnitAddress:
    """Return ``unit`` after checking that it is one class among others.

    Parameters
    ----------
    unit : UnitAddress
        The unit to check.
    setting : Setting
        Has the target's layers.
    option : str
        The option with the unit; errors name it.

    Raises
    ------
    InvalidOption
        The unit is not one index of a layer of at least two logits.
    """
    shape = next(layer.shape for layer in setting.layers if layer.name == unit.layer)
    if len(shape) != 1 or shape[0] < 2 or unit.integers is None or len(unit.integers) != 1:
        raise InvalidOption(
            option, f"{unit} is no class: name one index of a layer of logits, such as fc[3]; {unit.layer} has shape {list(shape)}"
        )
    return unit
