"""An ONNX graph in memory: its input, and the tensors that can be outputs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..options import InvalidOption
from .pretrained import needs

MAX_BYTES = 2 << 30
"""Most bytes of a protocol buffer; larger models keep their weights in separate files, which are not read."""

_FLOATS: dict[int, type[np.floating[Any]]] = {1: np.float32, 10: np.float16, 11: np.float64}
"""ONNX element types of stimuli."""


@dataclass(frozen=True)
class Graph:
    """A checked graph.

    Attributes
    ----------
    model : onnx.ModelProto
        The content of the file, which is never written.
    input : str
        Name of the input that takes stimuli.
    dimensions : tuple of int or None
        Dimensions of that input without the first; None for an open one.
    batch : int or None
        The fixed batch size; None for any.
    dtype : type
        Element type of the input.
    tensors : dict of str to str
        Operators of the tensors that can be outputs, by name, in the order of evaluation.
    outputs : tuple of str
        The file's own outputs.
    """

    model: Any
    input: str
    dimensions: tuple[int | None, ...]
    batch: int | None
    dtype: type[np.floating[Any]]
    tensors: dict[str, str]
    outputs: tuple[str, ...]

    def stimulus_shape(self, asked: tuple[int, ...] | None) -> tuple[int, ...]:
        """Return the shape of one stimulus: the file's dimensions, completed by an option.

        Parameters
        ----------
        asked : tuple of int or None
            The option ``shape``.

        Raises
        ------
        InvalidOption
            At ``shape``: the option is missing, or contradicts the file.
        """
        shown = " × ".join("?" if size is None else str(size) for size in self.dimensions)
        if asked is None:
            if None in self.dimensions or not self.dimensions:
                raise InvalidOption("shape", f"the file leaves it open ({shown}); give the shape of one stimulus")
            return tuple(size for size in self.dimensions if size is not None)
        if len(asked) != len(self.dimensions) or any(size not in (None, given) for size, given in zip(self.dimensions, asked, strict=True)):
            raise InvalidOption("shape", f"{' × '.join(map(str, asked))} does not fit the file's input {self.input}, {shown}")
        return asked

    def answering(self, names: Iterable[str]) -> bytes:
        """Return the serialised model with ``names`` as its outputs instead of its own."""
        import onnx

        changed = onnx.ModelProto()
        changed.CopyFrom(self.model)
        known = {value.name: value for value in (*self.model.graph.output, *self.model.graph.value_info)}
        del changed.graph.output[:]
        changed.graph.output.extend(known.get(name) or onnx.ValueInfoProto(name=name) for name in names)
        return changed.SerializeToString()


def read_graph(path: Path, input_name: str | None, option: str = "file") -> Graph:
    """Read and check an ONNX file.

    Parameters
    ----------
    path : Path
        The file.
    input_name : str or None
        The input that takes stimuli; None for the only one.
    option : str
        The option with the file; errors name it.

    Raises
    ------
    InvalidOption
        At ``option``: the file is missing, too large, damaged, or keeps weights in other files. At ``input``: the input is ambiguous, or
        takes no floats.
    """
    onnx: Any = needs("onnx", "onnx", option=option)
    if not path.is_file():
        raise InvalidOption(option, f"there is no file {str(path)!r}")
    if path.stat().st_size > MAX_BYTES:
        raise InvalidOption(option, f"{path.name} is larger than {MAX_BYTES >> 30} GiB")
    try:
        model = onnx.load_model_from_string(path.read_bytes())
        if not model.graph.node:
            raise ValueError("it holds no graph")
        outside = next((tensor for tensor in model.graph.initializer if tensor.data_location == onnx.TensorProto.EXTERNAL), None)
        if outside is not None:
            # a path inside the file could lead anywhere
            raise ValueError(f"the weights {outside.name} are in another file; save it as one: onnx.save(onnx.load(path), one_file)")
        onnx.checker.check_model(model)
        model = onnx.shape_inference.infer_shapes(model)
    except Exception as error:  # protobuf's, onnx's own and C++ errors
        raise InvalidOption(option, f"{path.name} is no ONNX model that can be used: {_first_line(error)}") from error
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = {value.name: value for value in model.graph.input if value.name not in weights}
    chosen = input_name if input_name is not None else next(iter(inputs), "") if len(inputs) == 1 else ""
    if chosen not in inputs:
        raise InvalidOption("input", f"the file's inputs are {', '.join(inputs) or 'none'}; name the one that takes stimuli")
    if len(inputs) > 1:
        raise InvalidOption(
            "input", f"besides {chosen} it needs {', '.join(name for name in inputs if name != chosen)}; make those constant"
        )
    kind = inputs[chosen].type.tensor_type
    if kind.elem_type not in _FLOATS:
        raise InvalidOption("input", f"{chosen} takes {onnx.TensorProto.DataType.Name(kind.elem_type).lower()}, stimuli are floats")
    sizes = [dimension.dim_value if dimension.HasField("dim_value") else None for dimension in kind.shape.dim]
    if not sizes:
        raise InvalidOption("input", f"{chosen} has no dimensions; it needs a row for each stimulus")
    outputs = tuple(value.name for value in model.graph.output)
    return Graph(model, chosen, tuple(sizes[1:]), sizes[0], _FLOATS[kind.elem_type], _tensors(model, outputs), outputs)


def _tensors(model: Any, outputs: tuple[str, ...]) -> dict[str, str]:
    """Return the operators of every tensor that an address can name; outputs last, since searches prefer the last layer."""
    floats = {value.name for value in model.graph.value_info if value.type.tensor_type.elem_type in _FLOATS}
    made = {name: node.op_type for node in model.graph.node for name in node.output if name and _addressable(name)}
    inner = {name: kind for name, kind in made.items() if name not in outputs and name in floats and kind != "Constant"}
    return {**inner, **{name: made.get(name, "output") for name in outputs if _addressable(name)}}


def _addressable(name: str) -> bool:
    return not any(letter in "[]" or letter.isspace() for letter in name)


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0]}" if text else type(error).__name__
