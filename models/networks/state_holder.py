"""One container, object or random number generator of a network, with its saved contents."""

from __future__ import annotations

import operator
import random
from collections.abc import Mapping, MutableMapping, MutableSequence, MutableSet
from enum import IntEnum
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


class Kind(IntEnum):
    """The kinds of values that a network's state consists of."""

    NOTHING = 0
    TENSOR = 1
    MAPPING = 2
    SEQUENCE = 3
    SET = 4
    TUPLE = 5
    ARRAY = 6
    MODULE = 7
    GENERATOR = 8
    OBJECT = 9


KINDS: dict[type, Kind] = {}
"""Kinds of types, filled as types occur."""

CONTAINERS = frozenset({Kind.MAPPING, Kind.SEQUENCE, Kind.SET})


class Holder:
    """One container, object or generator of a network.

    Attributes
    ----------
    owner : object
        The container, object or generator.
    name : str
        Its path in the network.
    kind : Kind
        How its contents are read.
    hidden : object or None
        The object that a later walk has to begin at to reach it: the plain object itself, or an owner inside a plain object.
    saved : object
        The saved contents.
    """

    __slots__ = ("hidden", "kind", "name", "owner", "saved")

    def __init__(self, owner: Any, name: str, kind: Kind, hidden: Any = None) -> None:
        self.owner, self.name, self.kind, self.hidden = owner, name, kind, hidden
        self.saved: Any = _READERS[kind](owner)

    def changed(self) -> bool:
        """Return whether the contents differ from the saved ones."""
        owner, saved = self.owner, self.saved
        if self.kind == Kind.MAPPING:
            same = len(owner) == len(saved) and all(map(operator.is_, owner.values(), saved.values()))
            return not (same and all(map(operator.eq, owner, saved)))
        if self.kind == Kind.SEQUENCE:
            return not (len(owner) == len(saved) and all(map(operator.is_, owner, saved)))
        if self.kind == Kind.GENERATOR:
            return repr(_generator_state(owner)) != repr(saved)
        if self.kind == Kind.ARRAY:
            return bool(owner.tobytes() != saved.tobytes())
        return bool(owner != saved)

    def restore(self) -> None:
        """Restore the saved contents."""
        owner, saved = self.owner, self.saved
        if self.kind == Kind.ARRAY:
            owner[...] = saved
        elif self.kind == Kind.GENERATOR:
            _set_generator_state(owner, saved)
        elif self.kind == Kind.SEQUENCE:
            owner.clear()
            owner.extend(saved)
        elif self.kind == Kind.MAPPING and list(owner) == list(saved):
            for key, value in saved.items():
                if owner[key] is not value:
                    owner[key] = value
        else:
            owner.clear()
            owner.update(saved)

    def replace(self, copies: Mapping[int, Tensor]) -> None:
        """Replace tensors by copies.

        Parameters
        ----------
        copies : mapping of int to Tensor
            Copies by the ids of the tensors; :meth:`restore` puts the tensors back.
        """
        if self.kind in (Kind.MAPPING, Kind.SEQUENCE):
            for key, value in self.saved.items() if self.kind == Kind.MAPPING else enumerate(self.saved):
                copy = copies.get(id(value))
                if copy is not None:
                    self.owner[key] = copy


def kind_of(value: Any) -> Kind:
    """Return the kind of a value, by its type."""
    made = type(value)
    kind = KINDS.get(made)
    if kind is None:
        kind = KINDS[made] = _kind_of_type(made)
    return kind


def _kind_of_type(made: type) -> Kind:
    generators = torch.Generator | np.random.Generator | np.random.RandomState | random.Random
    kinds: tuple[tuple[Any, Kind], ...] = (
        (Tensor, Kind.TENSOR),
        (nn.Module, Kind.MODULE),
        (generators, Kind.GENERATOR),
        (np.ndarray, Kind.ARRAY),
        (MutableMapping, Kind.MAPPING),
        (MutableSequence, Kind.SEQUENCE),
        (MutableSet, Kind.SET),
        (tuple, Kind.TUPLE),
    )
    for contract, kind in kinds:
        if issubclass(made, contract):
            return kind
    outside = made.__module__.partition(".")[0] not in ("builtins", "torch", "numpy", "threading", "_thread")
    return Kind.OBJECT if outside and hasattr(made, "__dict__") and not issubclass(made, type) else Kind.NOTHING


def _generator_state(generator: Any) -> Any:
    if isinstance(generator, random.Random):
        return generator.getstate()
    if isinstance(generator, np.random.Generator):
        return generator.bit_generator.state
    if isinstance(generator, np.random.RandomState):
        return generator.get_state(legacy=False)
    return generator.get_state().tolist()


def _set_generator_state(generator: Any, saved: Any) -> None:
    if isinstance(generator, random.Random):
        generator.setstate(saved)
    elif isinstance(generator, np.random.Generator):
        generator.bit_generator.state = saved
    elif isinstance(generator, np.random.RandomState):
        generator.set_state(saved)
    else:
        generator.set_state(torch.tensor(saved, dtype=torch.uint8))


_READERS: dict[Kind, Any] = {
    Kind.MAPPING: dict,
    Kind.SEQUENCE: list,
    Kind.SET: set,
    Kind.ARRAY: lambda array: array.copy(),
    Kind.GENERATOR: _generator_state,
}
"""Readers of the contents of each kind that a holder may have."""
