"""The layers of a torch module, discovered by running it on batches of two sizes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from torch import nn

from .attention import HEADS, attentions
from .capture import Path, Reading
from .target import LayerInfo
from .trace import Seen, Trace, reading_of

OUTPUT = "output"
"""Name of the layer of the module's own output."""
RETURNED = "returned"
"""Name of the module's own output where a submodule is called ``output``."""


@dataclass
class Layers:
    """The layers of a module, in the order of evaluation.

    Attributes
    ----------
    infos : dict of str to LayerInfo
        Every layer.
    readings : dict of str to Reading
        The place at which each layer is read.
    seen : dict of str to (str, tuple, bool)
        Each layer's key in a :class:`actmax.models.targets.trace.Trace`.
    ends : set of str
        Layers with the module's own output: ``output``, and as a rule the last linear one.
    """

    infos: dict[str, LayerInfo] = field(default_factory=dict)
    readings: dict[str, Reading] = field(default_factory=dict)
    seen: dict[str, tuple[str, Path, bool]] = field(default_factory=dict)
    ends: set[str] = field(default_factory=set)


def layers_of(module: nn.Module, first: Trace, second: Trace, sizes: tuple[int, int]) -> Layers:
    """Return the layers of a module, from the traces of two batches.

    - A tensor whose shapes differ in one dimension, by the sizes of the batches, has a row for each stimulus; only such tensors are layers.
    - A submodule with such an output is a layer of its own name. A row of a single number is a layer of one unit.
    - A submodule that returns a tuple, a mapping, a dataclass or a ``ModelOutput`` is a layer by the first such tensor inside. Several
      tensors, or tensors with keys, are also layers each, by index or key: ``lstm:1``, ``encoder:last_hidden_state``, ``output:logits``.
    - Attention heads are layers of shape (heads, tokens, features): ``blocks.5.attn.heads``.
    - ``output`` is the module's own output; ``returned`` where a submodule has that name.
    - Padding, and identities and dropouts that return their input, are left out.

    Parameters
    ----------
    module : nn.Module
        The network.
    first, second : Trace
        Traces of two batches.
    sizes : tuple of int
        Their numbers of stimuli, which differ.
    """
    found = Layers()
    names = {name for name, _ in module.named_modules()}
    output = RETURNED if OUTPUT in names else OUTPUT
    rows = {key: row for key, seen in first.seen.items() if (row := row_dimension(seen, second.seen.get(key), sizes)) is not None}
    groups: dict[tuple[str, bool], list[Seen]] = {}
    for key in rows:
        seen = first.seen[key]
        group = groups.pop((seen.module, bool(seen.heads)), [])  # in the order of the last tensors
        groups[seen.module, bool(seen.heads)] = [*group, seen]
    end = next((seen for seen in groups.get(("", False), [])), None)
    for (name, heads), group in groups.items():
        if name in first.passed and name:
            continue
        shown = _heads_name(name, module) if heads else name or output
        for layer, seen in _named(shown, group, names if name else names | {""}):
            key = (seen.module, seen.path, bool(seen.heads))
            row = rows[key]
            shape = seen.shape[:row] + seen.shape[row + 1 :]
            found.infos[layer] = LayerInfo(layer, shape or (1,), seen.kind)
            found.readings[layer] = reading_of(seen, row)
            found.seen[layer] = key
            if end is not None and seen.returned == end.path:
                found.ends.add(layer)
    return found


def row_dimension(first: Seen, second: Seen | None, sizes: tuple[int, int]) -> int | None:
    """Return the dimension of a tensor that counts the stimuli.

    Parameters
    ----------
    first, second : Seen
        The tensor in two traces; None for ``second`` if it is missing there.
    sizes : tuple of int
        Numbers of stimuli of both traces.

    Returns
    -------
    int or None
        None where no single dimension changes with the number of stimuli.
    """
    if second is None or len(first.shape) != len(second.shape) or first.calls != second.calls:
        return None
    differing = [dim for dim, pair in enumerate(zip(first.shape, second.shape, strict=True)) if pair[0] != pair[1]]
    if len(differing) != 1 or (first.shape[differing[0]], second.shape[differing[0]]) != sizes:
        return None
    return differing[0]


def named(layer: str, path: Path) -> str:
    """Return the name of a layer that is one of several tensors of an output."""
    return f"{layer}:{'.'.join(map(str, path))}"


def _named(shown: str, group: list[Seen], taken: set[str]) -> Iterable[tuple[str, Seen]]:
    yield shown, group[0]
    if len(group) > 1 or (group[0].path and isinstance(group[0].path[0], str)):
        for seen in group:
            name = named(shown, seen.path)
            while name in taken:  # a key of a ModuleDict may hold a colon
                name += "'"
            yield name, seen


def _heads_name(read: str, module: nn.Module) -> str:
    """Return the name of the layer of heads that are read at the submodule ``read``."""
    name = next(attention.name for attention in attentions(module) if attention.reads == read)
    return f"{name}.{HEADS}" if name else HEADS
