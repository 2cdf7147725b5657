"""Look-ups in a target's table of layers."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ...wire.near_names import near_names
from .target import LayerInfo


def require_layers(wanted: Collection[str], known: Collection[str]) -> None:
    """Raise KeyError for a layer that does not exist.

    Raises
    ------
    KeyError
        A layer is not among ``known``; the message suggests near names.
    """
    for layer in wanted:
        if layer not in known:
            near = near_names(layer, known)
            raise KeyError(f"no layer {layer!r}" + (f"; did you mean {' or '.join(near)}?" if near else ""))


def name_of(index: tuple[int, ...], names: Sequence[str], layer: LayerInfo | None) -> str:
    """Return the name of a unit; empty where the layer hasn't one name for each unit.

    Parameters
    ----------
    index : tuple of int
        Index of the unit in its layer.
    names : sequence of str
        One name for each unit of a layer.
    layer : LayerInfo or None
        The unit's layer.
    """
    known = layer is not None and len(index) == 1 and layer.shape == (len(names),)
    return names[index[0]] if known and 0 <= index[0] < len(names) else ""
