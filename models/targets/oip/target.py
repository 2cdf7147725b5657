"""A model behind the Open Inference Protocol as a target without gradients."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Self
from urllib.parse import urlsplit

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import AfterValidator, Field, field_validator
from torch import Tensor

from ...options import InvalidOption
from ...permissions import permitted_address
from ...spaces import StimulusSpec
from ..layers import name_of, require_layers
from ..stimulus_options import NormalisedOptions
from ..target import LayerInfo
from .connection import DTYPES, Connection, InferenceError, ModelInfo, TensorInfo, TooLarge, retrying
from .grpc_connection import GrpcConnection
from .http_connection import HttpConnection

_CONNECTIONS = {"grpc": GrpcConnection, "grpcs": GrpcConnection, "http": HttpConnection, "https": HttpConnection}
_REQUEST_BYTES = 3 << 20
"""Bytes of the first requests: servers' usual limit is 4 MiB."""


class InferenceTarget:
    """A model behind the Open Inference Protocol v2 (Triton, KServe, MLServer), over gRPC or HTTP; its outputs are layers."""

    class Options(NormalisedOptions):
        """Options of the target."""

        url: Annotated[
            str,
            Field(min_length=8, max_length=2000, description="grpc://host:port, grpcs://, http:// or https://; gRPC is much faster."),
            AfterValidator(permitted_address),
        ]
        model: str = Field(min_length=1, max_length=500, description="The model's name on the server.")
        version: str = Field(default="", max_length=100, description="Its version; the server's choice by default.")
        shape: tuple[int, ...] | None = Field(
            default=None, description="Shape of one stimulus; needed only where the server does not tell it."
        )
        input: str | None = Field(
            default=None, description="Which input takes the stimuli; needed only where there are several, or none told."
        )
        datatype: str | None = Field(default=None, description="Of the input, such as FP32; needed only where the server does not tell.")
        timeout: float = Field(default=30.0, gt=0, le=3600, allow_inf_nan=False, description="Seconds that one call may take.")
        retries: int = Field(default=4, ge=0, le=100, description="Times that a call is tried again while the server is not available.")
        batch: int = Field(default=256, ge=1, le=10**6, description="Most stimuli of one call; fewer where the server takes fewer.")

        @field_validator("url")
        @classmethod
        def _spoken(cls, url: str) -> str:
            parts = urlsplit(url)
            if parts.scheme not in _CONNECTIONS or not parts.hostname:
                raise ValueError("needs a scheme and a host: grpc://host:port, grpcs://, http:// or https://")
            if parts.username or parts.password:
                raise ValueError("holds a password, which would be kept with the job")
            if parts.scheme.startswith("grpc") and (parts.path not in ("", "/") or parts.port is None):
                raise ValueError("gRPC needs host and port alone: grpc://host:port")
            return url

        @field_validator("datatype")
        @classmethod
        def _known(cls, datatype: str | None) -> str | None:
            if datatype is not None and datatype not in DTYPES:
                raise ValueError(f"there is no such type of numbers; there are {', '.join(DTYPES)}")
            return datatype

    differentiable = False

    def __init__(self, connection: Connection, stimulus: StimulusSpec, taken: TensorInfo, options: Options) -> None:
        """Find the layers of the model by sending two grey stimuli.

        Parameters
        ----------
        connection : Connection
            The connection to the model.
        stimulus : StimulusSpec
            The stimuli that it takes.
        taken : TensorInfo
            The model's input; if it has two dimensions, stimuli are sent flat.
        options : InferenceTarget.Options
            Batch size, retries, normalisation, and names of units.

        Raises
        ------
        InferenceError
            The server does not answer, or has no numeric output with a row for each stimulus.
        """
        self.stimulus = stimulus
        self._connection, self._url, self._taken, self._retries = connection, options.url, taken, options.retries
        self._prepare = options.normalise(stimulus.shape[0])
        self._unit_names = options.names
        self._row = (math.prod(stimulus.shape),) if len(taken.shape) == 2 else stimulus.shape
        fixed = taken.shape[0] if taken.shape and taken.shape[0] > 0 else None
        size = math.prod(stimulus.shape) * np.dtype(DTYPES[taken.datatype]).itemsize
        self._batch = min(options.batch, fixed or options.batch, max(1, _REQUEST_BYTES // size))
        probe = torch.full((2, *stimulus.shape), (stimulus.low + stimulus.high) / 2)
        answers = self._ask(probe, ())
        self._layers = {
            name: LayerInfo(name, tuple(answer.shape[1:]) or (1,), "output")
            for name, answer in answers.items()
            if not any(letter in "[]" or letter.isspace() for letter in name)
        }
        if not self._layers:
            raise InferenceError(f"{options.url}: the model answers with no numbers that have a row for each stimulus")

    @classmethod
    def from_options(cls, options: Options) -> Self:
        """Connect, wait until the model is ready, and read its input's description.

        Raises
        ------
        InvalidOption
            No server answers, there is no such model, or its input contradicts the options.
        """
        connection: Connection = _CONNECTIONS[urlsplit(options.url).scheme](options.url, options.model, options.version, options.timeout)
        try:
            if not retrying(connection.ready, options.retries, options.url):
                raise InferenceError(f"{options.url}: model {options.model} is not ready")
            info = retrying(connection.metadata, options.retries, options.url)
            taken = _taken(info, options)
            return cls(connection, options.spec_of(_shape(taken, options)), taken, options)
        except InferenceError as error:
            raise InvalidOption("url", str(error)) from error

    def to(self, device: str, /) -> Self:
        """Return the target: the model runs on its server, and nothing has to be moved."""
        return self

    def layers(self) -> Sequence[LayerInfo]:
        """Return the model's numeric outputs with a row for each stimulus."""
        return list(self._layers.values())

    def unit_name(self, layer: str, index: tuple[int, ...]) -> str:
        """Return the name of a unit; empty where it has none."""
        return name_of(index, self._unit_names, self._layers.get(layer))

    def respond(self, stimuli: Tensor, layers: Collection[str], /) -> Mapping[str, Tensor]:
        """Return the responses to stimuli, without a gradient: (n, *stimulus) -> {layer: (n, *layer)}.

        Raises
        ------
        KeyError
            A layer does not exist; the message suggests near names.
        InferenceError
            The server does not answer, or answers in another shape than before; the message has its URL. No response is ever made up.
        """
        require_layers(layers, self._layers)
        if not stimuli.shape[0] or not layers:
            return {layer: stimuli.new_zeros(0, *self._layers[layer].shape, dtype=torch.float32) for layer in layers}
        answers = self._ask(stimuli, list(layers))
        found: dict[str, Tensor] = {}
        for layer in layers:
            answer = answers.get(layer)
            shape = (stimuli.shape[0], *self._layers[layer].shape)
            if answer is None or answer.size != math.prod(shape):
                said = "not at all" if answer is None else f"in the shape {answer.shape}"
                raise InferenceError(f"{self._url}: output {layer} came {said}, not in the shape {shape}")
            found[layer] = torch.from_numpy(answer.astype(np.float32)).view(shape).to(stimuli.device)
        return found

    def _ask(self, stimuli: Tensor, outputs: Sequence[str]) -> dict[str, NDArray[np.generic]]:
        """Return the outputs with a row for each of ``stimuli``, in as many calls as the server's limits need."""
        shown = stimuli.detach().float()
        values = (shown if self._prepare is None else self._prepare(shown)).cpu().numpy().reshape(-1, *self._row)
        kind = DTYPES[self._taken.datatype]
        if issubclass(kind, np.integer):
            values = np.clip(np.rint(values), np.iinfo(kind).min, np.iinfo(kind).max)
        values = values.astype(kind)
        parts: list[dict[str, NDArray[np.generic]]] = []
        start = 0
        while start < values.shape[0]:
            part = values[start : start + self._batch]
            try:
                answer = retrying(
                    lambda part=part: self._connection.infer(self._taken.name, self._taken.datatype, part, outputs),
                    self._retries,
                    self._url,
                )
            except TooLarge as error:
                if part.shape[0] == 1:
                    raise InferenceError(f"{self._url}: it does not take even one stimulus: {error}") from error
                self._batch = min(error.rows or part.shape[0] // 2, part.shape[0] - 1)
                continue
            parts.append({name: found for name, found in answer.items() if found.ndim and found.shape[0] == part.shape[0]})
            start += part.shape[0]
        common = [name for name in parts[0] if all(name in part and part[name].shape[1:] == parts[0][name].shape[1:] for part in parts)]
        return {name: np.concatenate([part[name] for part in parts]) for name in common}


def _taken(info: ModelInfo, options: InferenceTarget.Options) -> TensorInfo:
    """Return the input that takes stimuli."""
    names = [tensor.name for tensor in info.inputs]
    if options.input is not None and names and options.input not in names:
        raise InvalidOption("input", f"{options.url}: the model's inputs are {', '.join(names)}")
    if options.input is None and len(names) != 1:
        told = f"inputs {', '.join(names)}" if names else "no inputs"
        raise InvalidOption("input", f"{options.url}: the server tells {told}; name the one that takes stimuli")
    if len(names) > 1:
        others = ", ".join(name for name in names if name != options.input)
        raise InvalidOption("input", f"{options.url}: besides {options.input} the model needs {others}; a target has one input")
    told = info.inputs[0] if info.inputs else TensorInfo(options.input or "", "", ())
    datatype = options.datatype or told.datatype or ("FP32" if not info.inputs else "")
    if datatype not in DTYPES:
        raise InvalidOption(
            "datatype", f"{options.url}: {told.name} takes {datatype or 'nothing that the server tells'}, stimuli are numbers"
        )
    return TensorInfo(told.name, datatype, told.shape)


def _shape(taken: TensorInfo, options: InferenceTarget.Options) -> tuple[int, ...]:
    """Return the shape of one stimulus: the server's, completed by the option."""
    told = taken.shape[1:]
    shown = " × ".join("?" if size < 1 else str(size) for size in told) or "nothing"
    if options.shape is None:
        if not told or min(told) < 1 or len(told) not in (2, 3):
            raise InvalidOption("shape", f"{options.url}: the server tells {shown} for one stimulus; give its shape")
        return tuple(told)
    flat = len(told) == 1 and told[0] in (-1, math.prod(options.shape))
    fits = len(told) == len(options.shape) and all(size < 1 or size == given for size, given in zip(told, options.shape, strict=True))
    if told and not (flat or fits):
        raise InvalidOption("shape", f"{options.url}: {' × '.join(map(str, options.shape))} does not fit the input {taken.name}, {shown}")
    return options.shape
