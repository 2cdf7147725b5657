"""What targets that keep a table of their layers share."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ...wire.near_names import near_names
from .target import LayerInfo


def require_layers(wanted: Collection[str], known: Collection[str]) -> None:
    """Refuse a layer that does not exist.

    Raises
    ------
    KeyError
        With near names, where there are some.
    """
    for layer in wanted:
        if layer not in known:
            near = near_names(layer, known)
            raise KeyError(f"no layer {layer!r}" + (f"; did you mean {' or '.join(near)}?" if near else ""))


def name_of(index: tuple[int, ...], names: Sequence[str], layer: LayerInfo | None) -> str:
    """Of a unit of a ``layer`` that has one name for each unit; empty for others."""
    known = layer is not None and len(index) == 1 and layer.shape == (len(names),)
    return names[index[0]] if known and 0 <= index[0] < len(names) else ""
