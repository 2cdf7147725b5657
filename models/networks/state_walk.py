"""A walk over a network: its parts, its tensors, and the containers and objects among its attributes."""

from __future__ import annotations

import operator
from collections import deque
from collections.abc import Iterable
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from .state_holder import CONTAINERS, KINDS, Holder, Kind, kind_of

LARGEST_SCANNED = 1024
"""Most entries of a container that is followed at every call; larger ones (a vocabulary) are followed at the first call only."""
LARGEST_KEPT = 65_536
"""Most entries of a container, and bytes of an array, whose contents are saved at every call."""
MOST_OBJECTS = 10_000
"""Most plain objects that a deep walk follows."""

_OWN = ("_parameters", "_buffers", "_modules")
Script = tuple[torch.jit.ScriptModule, dict[str, Any]]
"""A TorchScript part, whose state lies outside Python, with its plain attributes."""


class Walk:
    """The parts, tensors and containers of a network at one time.

    Attributes
    ----------
    parts : list of nn.Module
        Every module, also those in plain containers.
    training : list of bool
        Training flag of each part.
    tensors, leaves : list of Tensor
        Every tensor, once; and the leaves among them, which may have a gradient.
    names : list of str
        Path of each tensor in the network.
    holders : list of Holder
        Objects, generators and containers with contents.
    empty : list
        Empty containers, as most of a module's dictionaries of hooks are.
    scripted : list of Script
        TorchScript parts.
    keys : frozenset of int
        Ids of the parts and parameters, for which calls of several threads take turns.
    """

    def __init__(self) -> None:
        self.parts: list[nn.Module] = []
        self.training: list[bool] = []
        self.tensors: list[Tensor] = []
        self.leaves: list[Tensor] = []
        self.names: list[str] = []
        self.holders: list[Holder] = []
        self.empty: list[Any] = []
        self.scripted: list[Script] = []
        self.keys: frozenset[int] = frozenset()

    def finish(self) -> None:
        """Prepare the lists that :meth:`unchanged` compares, so that it takes one pass in C."""
        self.leaves = [tensor for tensor in self.tensors if tensor.is_leaf]
        # frozen parameters too: another thread may have frozen one temporarily
        self.keys = frozenset(map(id, (*self.parts, *(tensor for tensor in self.tensors if isinstance(tensor, nn.Parameter)))))
        mappings = [holder for holder in self.holders if holder.kind == Kind.MAPPING]
        sequences = [holder for holder in self.holders if holder.kind == Kind.SEQUENCE]
        self._others = [holder for holder in self.holders if holder.kind not in (Kind.MAPPING, Kind.SEQUENCE)]
        self._mappings = [holder.owner for holder in mappings]
        self._sequences = [holder.owner for holder in sequences]
        self._keys = list(chain.from_iterable(holder.saved for holder in mappings))
        self._values = [*chain.from_iterable(holder.saved.values() for holder in mappings)]
        self._values += chain.from_iterable(holder.saved for holder in sequences)

    def unchanged(self) -> bool:
        """Return whether every container still has the same contents, by identity."""
        mappings, sequences = self._mappings, self._sequences
        length = sum(map(len, mappings))
        if any(self.empty) or length != len(self._keys) or length + sum(map(len, sequences)) != len(self._values):
            return False
        values = chain(chain.from_iterable([mapping.values() for mapping in mappings]), chain.from_iterable(sequences))
        if not all(map(operator.is_, values, self._values)):
            return False
        if not all(map(operator.eq, chain.from_iterable(mappings), self._keys)):
            return False
        return not any(holder.changed() for holder in self._others) and not self._scripted_changes()

    def restore(self) -> list[Holder]:
        """Restore all contents, and return the holders that had changed."""
        changed = [holder for holder in self.holders if holder.changed()]
        for holder in changed:
            holder.restore()
        for container in self.empty:
            if container:
                changed.append(Holder({}, f"a {type(container).__name__} that was empty", Kind.MAPPING))
                container.clear()
        for part, name, value in self._scripted_changes():
            changed.append(Holder({}, name, Kind.MAPPING))
            setattr(part, name, value)
        return changed

    def _scripted_changes(self) -> list[tuple[torch.jit.ScriptModule, str, Any]]:
        return [(part, name, value) for part, saved in self.scripted for name, value in saved.items() if getattr(part, name) != value]


class _Walker:
    """A walk in progress."""

    def __init__(self, deep: bool) -> None:
        self.deep = deep
        self.found = Walk()
        self._seen: set[int] = set()
        self._queue: deque[tuple[Any, str, Kind, bool]] = deque()
        self._followed = 0

    def add(self, thing: Any, name: str, hidden: bool) -> None:
        """Queue an object to be followed, if its kind has contents."""
        kind = kind_of(thing)
        if kind == Kind.NOTHING or (kind == Kind.OBJECT and not (self.deep or hidden)):
            return
        if kind in CONTAINERS and not thing:
            self.found.empty.append(thing)
            return
        if id(thing) in self._seen:
            return
        self._seen.add(id(thing))
        if kind == Kind.TENSOR:
            self.found.tensors.append(thing)
            self.found.names.append(name)
        else:
            self._queue.append((thing, name, kind, hidden))

    def run(self) -> Walk:
        """Follow all queued objects and their contents, and return the walk."""
        while self._queue:
            thing, name, kind, hidden = self._queue.popleft()
            if kind == Kind.MODULE:
                self._part(thing, name)
            elif kind == Kind.OBJECT:
                self._object(thing, name)
            elif kind == Kind.TUPLE:
                self._follow(enumerate(thing), name, hidden)
            else:
                self._container(thing, name, kind, hidden)
        self.found.finish()
        return self.found

    def _part(self, part: nn.Module, name: str) -> None:
        self.found.parts.append(part)
        self.found.training.append(bool(part.training))
        if isinstance(part, torch.jit.ScriptModule):
            self.found.scripted.append((part, _script_attributes(part)))
            for key, inner in (*part.named_parameters(recurse=False), *part.named_buffers(recurse=False), *part.named_children()):
                self.add(inner, f"{name}.{key}", False)
            return
        inside = part.__dict__
        self.found.holders.append(Holder(inside, name, Kind.MAPPING))
        for key, value in inside.items():
            if KINDS.get(type(value)) != Kind.NOTHING:
                self.add(value, name if key in _OWN else f"{name}.{key}", False)

    def _object(self, thing: Any, name: str) -> None:
        inside = getattr(thing, "__dict__", None)
        self._followed += 1
        if isinstance(inside, dict) and self._followed <= MOST_OBJECTS:
            self.found.holders.append(Holder(inside, name, Kind.MAPPING, thing))
            self._follow(inside.items(), name, True)

    def _container(self, thing: Any, name: str, kind: Kind, hidden: bool) -> None:
        size = thing.nbytes if kind == Kind.ARRAY else 1 if kind == Kind.GENERATOR else len(thing)
        if size <= LARGEST_KEPT or self.deep:
            self.found.holders.append(Holder(thing, name, kind, thing if hidden else None))
        if kind in (Kind.MAPPING, Kind.SEQUENCE) and (size <= LARGEST_SCANNED or self.deep):
            self._follow(list(thing.items()) if kind == Kind.MAPPING else enumerate(thing), name, hidden)

    def _follow(self, values: Iterable[tuple[Any, Any]], name: str, hidden: bool) -> None:
        for key, value in values:
            if KINDS.get(type(value)) != Kind.NOTHING:
                self.add(value, f"{name}.{key}", hidden and self.deep)


def walk(module: nn.Module, objects: Iterable[Any] = (), *, deep: bool = False) -> Walk:
    """Return the parts, tensors and containers of ``module``.

    Parameters
    ----------
    module : nn.Module
        The network.
    objects : iterable of object
        Further plain objects, and owners inside of plain objects, to follow.
    deep : bool
        Whether to follow all plain objects and large containers.
    """
    walker = _Walker(deep)
    walker.add(module, type(module).__name__, False)
    for thing in objects:
        walker.add(thing, type(thing).__name__, True)
    return walker.run()


def contents_differ(tensor: Tensor, copy: Tensor) -> bool:
    """Return whether two tensors differ in at least one bit."""
    if tensor.shape != copy.shape or tensor.dtype != copy.dtype:
        return True
    if tensor.layout != torch.strided or tensor.is_quantized:
        one, other = (part if part.layout == torch.strided else part.to_dense() for part in (tensor, copy))
        return not torch.equal(one, other)
    one, other = (part.detach().contiguous().view(-1).view(torch.uint8) for part in (tensor, copy))
    return not torch.equal(one, other)


def _script_attributes(part: torch.jit.ScriptModule) -> dict[str, Any]:
    """Return the numbers, texts, lists and dictionaries without tensors among one scripted module's own attributes."""
    described: Any = getattr(part, "_concrete_type", None)
    names = () if described is None else described.get_attributes()
    values = {name: getattr(part, name) for name in names if name != "training"}
    plain = int | float | str | list | dict
    return {name: value for name, value in values.items() if isinstance(value, plain) and "tensor(" not in repr(value)}
