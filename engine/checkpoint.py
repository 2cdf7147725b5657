"""Checkpoints: nested plain data and tensors in one safetensors file, written as a whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from . import durable


class BadCheckpoint(ValueError):
    """A file that is no checkpoint of this kind, or is damaged."""


def save(path: Path, tree: Mapping[str, Any]) -> None:
    """Write ``tree`` under a temporary name, flush it to disk, and rename it to ``path``.

    Parameters
    ----------
    path : Path
        The checkpoint's file; an older checkpoint is replaced at once.
    tree : mapping
        Nested mappings (string keys), lists and tuples of tensors, strings, numbers, booleans and None. Tuples are read back as lists.

    Raises
    ------
    TypeError
        ``tree`` holds another type.
    OSError
        The file can't be written; the older checkpoint is unchanged.
    """
    tensors: dict[str, Tensor] = {}
    text = json.dumps(_encode(tree, tensors))
    data = safetensors.torch.save(tensors, metadata={"tree": text})
    durable.replace(path, data)


def load(path: Path) -> dict[str, Any]:
    """Return the tree in a checkpoint, with tensors on the CPU.

    Raises
    ------
    BadCheckpoint
        The file is damaged or no checkpoint.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a mapping
        return _decode(json.loads(metadata["tree"]), tensors)
    except (safetensors.SafetensorError, KeyError, ValueError) as error:
        raise BadCheckpoint(f"{path} is no checkpoint that can be read: {error}") from error


def require_plain(tree: Mapping[str, Any]) -> None:
    """Raise TypeError if ``tree`` holds a type that :func:`save` can't write."""
    _encode(tree, {})


def _encode(value: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, Tensor):
        key = str(len(tensors))
        tensors[key] = value.detach().cpu().contiguous().clone()
        return {"tensor": key}
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise TypeError("a checkpoint's mappings have string keys")
        return {"map": {key: _encode(item, tensors) for key, item in value.items()}}
    if isinstance(value, list | tuple):
        return [_encode(item, tensors) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"a checkpoint can't hold a {type(value).__name__}")


def _decode(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    if isinstance(value, list):
        return [_decode(item, tensors) for item in value]
    if isinstance(value, dict):
        if "tensor" in value:
            return tensors[value["tensor"]]
        return {key: _decode(item, tensors) for key, item in value["map"].items()}
    return value
