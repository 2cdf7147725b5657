"""The Open Inference Protocol over gRPC."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import grpc
import numpy as np
from numpy.typing import NDArray

from ....wire.arrays import from_raw, raw_bytes
from ....wire.status import status_of, text_of
from ....wire.transport import channel_to
from . import open_inference_pb2 as messages
from .connection import DTYPES, InferenceError, ModelInfo, TensorInfo, TooLarge, TransientFailure

_SERVICE = "/inference.GRPCInferenceService/"
_TRANSIENT = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.ABORTED, grpc.StatusCode.RESOURCE_EXHAUSTED}
_LARGER = re.compile(r"larger than (?:the )?max|exceeds? (?:the )?max", re.IGNORECASE)
_ROWS = re.compile(r"batch[- ]size must be <= (\d+)", re.IGNORECASE)
"""Triton's message about a model's largest number of rows."""


class GrpcConnection:
    """A connection to ``grpc://host:port`` or ``grpcs://host:port``."""

    def __init__(self, url: str, model: str, version: str, timeout: float) -> None:
        parts = urlsplit(url)
        options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        tls = grpc.ssl_channel_credentials() if parts.scheme == "grpcs" else None
        self._channel: grpc.Channel = channel_to(parts.netloc, tls, options)
        self._url, self._model, self._version, self._timeout = url, model, version, timeout

    def ready(self) -> bool:
        """Return whether server and model are ready; see ``Connection``."""
        server = self._call("ServerReady", messages.ServerReadyRequest(), messages.ServerReadyResponse)
        return server.ready and self._call("ModelReady", self._named(messages.ModelReadyRequest), messages.ModelReadyResponse).ready

    def metadata(self) -> ModelInfo:
        """Return the model's inputs and outputs; see ``Connection``."""
        found = self._call("ModelMetadata", self._named(messages.ModelMetadataRequest), messages.ModelMetadataResponse)
        inputs, outputs = (
            tuple(TensorInfo(tensor.name, tensor.datatype, tuple(tensor.shape)) for tensor in tensors)
            for tensors in (found.inputs, found.outputs)
        )
        return ModelInfo(inputs, outputs)

    def infer(self, name: str, datatype: str, values: NDArray[np.generic], outputs: Sequence[str]) -> dict[str, NDArray[np.generic]]:
        """Return the outputs of one inference; see ``Connection``. Values are sent as raw little-endian bytes."""
        request = messages.ModelInferRequest(
            model_name=self._model,
            model_version=self._version,
            inputs=[messages.ModelInferRequest.InferInputTensor(name=name, datatype=datatype, shape=values.shape)],
            outputs=[messages.ModelInferRequest.InferRequestedOutputTensor(name=output) for output in outputs],
            raw_input_contents=[raw_bytes(values)],
        )
        answer = self._call("ModelInfer", request, messages.ModelInferResponse)
        found: dict[str, NDArray[np.generic]] = {}
        for place, tensor in enumerate(answer.outputs):
            dtype = DTYPES.get(tensor.datatype)
            if dtype is None:
                continue
            if answer.raw_output_contents:
                flat = from_raw(answer.raw_output_contents[place], dtype)
            else:
                flat = np.asarray(_contents(tensor), dtype)
            try:
                found[tensor.name] = flat.reshape(tuple(tensor.shape))
            except ValueError:
                raise InferenceError(
                    f"{self._url}: output {tensor.name} has {flat.size} values, its shape is {list(tensor.shape)}"
                ) from None
        return found

    def _named(self, kind: Any) -> Any:
        return kind(name=self._model, version=self._version)

    def _call(self, method: str, request: Any, answer: Any) -> Any:
        call = self._channel.unary_unary(_SERVICE + method, type(request).SerializeToString, answer.FromString)
        try:
            return call(request, timeout=self._timeout)
        except grpc.RpcError as error:
            code, details = status_of(error), text_of(error)
            if rows := _ROWS.search(details):
                raise TooLarge(details, int(rows[1])) from error
            if code == grpc.StatusCode.RESOURCE_EXHAUSTED and _LARGER.search(details):
                raise TooLarge(details) from error
            if code in _TRANSIENT:
                raise TransientFailure(f"{code.name}: {details}") from error
            raise InferenceError(f"{self._url}: model {self._model}: {code.name}: {details}") from error


def _contents(tensor: Any) -> Sequence[Any]:
    """Return the values of a tensor that was not sent raw: those of its only filled field."""
    return next((list(values) for _, values in tensor.contents.ListFields()), [])
