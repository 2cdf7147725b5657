"""Unit addresses: ``layer[index]``, in text and on the wire."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

from ..wire.near_names import hint
from .targets.target import LayerInfo

_ADDRESS = re.compile(r"^(?P<layer>[^\[\]\s]+)(?:\[(?P<index>[^\[\]]+)\])?$")
_SLICE = re.compile(r"^(\d*):(\d*)$")


class BadAddress(ValueError):
    """An address that names no unit; the message names what the target has."""


@dataclass(frozen=True)
class UnitAddress:
    """A unit, or a group of units with their mean response.

    Attributes
    ----------
    layer : str
        Name of the layer.
    index : tuple of int or slice
        Index into the layer's response to one stimulus. Missing dimensions and slices are averaged: ``conv2[12]`` is
        channel 12, ``conv2[12, 4, 4]`` one neuron, ``blocks.5[:, 7]`` feature 7 over all tokens.
    """

    layer: str
    index: tuple[int | slice, ...] = ()

    def __str__(self) -> str:
        if not self.index:
            return self.layer
        return f"{self.layer}[{', '.join(_shown(part) for part in self.index)}]"

    @property
    def integers(self) -> tuple[int, ...] | None:
        """The index if it consists of integers alone, else None."""
        whole = tuple(part for part in self.index if isinstance(part, int))
        return whole if len(whole) == len(self.index) else None


def resolve(text: str, layers: Sequence[LayerInfo]) -> list[UnitAddress]:
    """Return the units of an address; several where an index is ``*``.

    Parameters
    ----------
    text : str
        The address, ``layer[index]``.
    layers : sequence of LayerInfo
        The target's layers.

    Raises
    ------
    BadAddress
        The text is no address, the layer does not exist (the message suggests near names), or an index is out of range.
    """
    layer, index = _split(text, layers)
    parts = [part.strip() for part in index.split(",")] if index else []
    if len(parts) > len(layer.shape):
        raise BadAddress(f"{text!r} has {len(parts)} indices, {layer.name} has {len(layer.shape)} dimensions: {_shape(layer)}")
    choices = [_parse(text, part, size, layer) for part, size in zip(parts, layer.shape, strict=False)]
    return [UnitAddress(layer.name, index) for index in itertools.product(*choices)]


def _split(text: str, layers: Sequence[LayerInfo]) -> tuple[LayerInfo, str]:
    """Return the layer of an address and the text in its brackets; a layer's own name may contain spaces and brackets."""
    for name in (text, text.strip()):
        exact = next((layer for layer in layers if layer.name == name), None)
        if exact is not None:
            return exact, ""
    head, bracket, index = text.rstrip().removesuffix("]").rpartition("[")
    known = next((layer for layer in layers if bracket and layer.name in (head, head.strip())), None)
    if known is not None and text.rstrip().endswith("]") and index.strip():
        return known, index
    match = _ADDRESS.match(text.strip())
    if match is None:
        raise BadAddress(f"{text!r} is no unit address; write layer[index], e.g. conv2[12], blocks.5[:, 7] or output[*]")
    return _find(match["layer"], layers), match["index"] or ""


def _find(name: str, layers: Sequence[LayerInfo]) -> LayerInfo:
    for layer in layers:
        if layer.name == name:
            return layer
    names = [layer.name for layer in layers]
    first = f"it has {', '.join(names[:20])}{' …' if len(names) > 20 else ''}"
    raise BadAddress(f"the target has no layer {name!r}; {hint(name, names, first)}")


def _parse(text: str, part: str, size: int, layer: LayerInfo) -> list[int | slice]:
    if part == "*":
        return list(range(size))
    if part.isdecimal():
        if int(part) >= size:
            raise BadAddress(f"{text!r}: index {part} is out of range, {layer.name} has {_shape(layer)}, so 0 … {size - 1}")
        return [int(part)]
    window = _SLICE.match(part)
    if window is None:
        raise BadAddress(f"{text!r}: {part!r} is neither a number, a range such as 2:5, : nor *")
    start, stop = int(window[1] or 0), int(window[2] or size)
    if not start < stop <= size:
        raise BadAddress(f"{text!r}: the range {part} is empty or beyond {layer.name}'s {_shape(layer)}")
    return [slice(start if window[1] else None, stop if window[2] else None)]


def _shape(layer: LayerInfo) -> str:
    return "shape " + " × ".join(map(str, layer.shape))


def _shown(part: int | slice) -> str:
    if isinstance(part, int):
        return str(part)
    return f"{'' if part.start is None else part.start}:{'' if part.stop is None else part.stop}"
