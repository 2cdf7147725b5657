"""The Open Inference Protocol over HTTP, tensors as JSON."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlsplit

import numpy as np
from numpy.typing import NDArray

from .connection import DTYPES, InferenceError, ModelInfo, TensorInfo, TooLarge, TransientFailure

_TRANSIENT = {408, 425, 429, 502, 503, 504}
_MOST = 1 << 30
"""Most bytes of an answer."""


class HttpConnection:
    """A connection to ``http://host:port`` or ``https://host:port``, with a path before ``/v2`` if needed."""

    def __init__(self, url: str, model: str, version: str, timeout: float) -> None:
        parts = urlsplit(url)
        self._url, self._model, self._host, self._timeout = url, model, parts.netloc, timeout
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._base = parts.path.rstrip("/")
        self._path = f"/v2/models/{quote(model, safe='')}" + (f"/versions/{quote(version, safe='')}" if version else "")
        self._open: http.client.HTTPConnection | None = None

    def ready(self) -> bool:
        """Return whether server and model are ready; see ``Connection``."""
        return all(self._ask("GET", path)[0] == 200 for path in ("/v2/health/ready", f"{self._path}/ready"))

    def metadata(self) -> ModelInfo:
        """Return the model's inputs and outputs; see ``Connection``."""
        found = self._json("GET", self._path)
        inputs, outputs = (
            tuple(
                TensorInfo(str(each.get("name", "")), str(each.get("datatype", "")), tuple(each.get("shape") or ())) for each in part or ()
            )
            for part in (found.get("inputs"), found.get("outputs"))
        )
        return ModelInfo(inputs, outputs)

    def infer(self, name: str, datatype: str, values: NDArray[np.generic], outputs: Sequence[str]) -> dict[str, NDArray[np.generic]]:
        """Return the outputs of one inference; see ``Connection``. Values are sent as JSON."""
        body: dict[str, Any] = {
            "inputs": [{"name": name, "shape": list(values.shape), "datatype": datatype, "data": values.ravel().tolist()}]
        }
        if outputs:
            body["outputs"] = [{"name": output} for output in outputs]
        answer = self._json("POST", f"{self._path}/infer", json.dumps(body).encode())
        found: dict[str, NDArray[np.generic]] = {}
        for tensor in answer.get("outputs") or ():
            dtype = DTYPES.get(tensor.get("datatype"))
            if dtype is None:
                continue
            try:
                # servers write NaN as null in strict JSON
                plain = [np.nan if value is None else value for value in np.asarray(tensor["data"], object).ravel()]
                found[str(tensor["name"])] = np.asarray(plain, dtype).reshape(tensor["shape"])
            except (KeyError, TypeError, ValueError) as error:
                raise InferenceError(f"{self._url}: an output that can't be read: {type(error).__name__}: {error}") from error
        return found

    def _json(self, method: str, path: str, body: bytes | None = None) -> Mapping[str, Any]:
        status, data = self._ask(method, path, body)
        try:
            answer = json.loads(data)
        except ValueError:
            answer = None
        if status == 200 and isinstance(answer, dict):
            return answer
        said = answer.get("error") if isinstance(answer, dict) else None
        lines = data.decode(errors="replace").strip().splitlines()
        details = f"{status}: {said or ''.join(lines[-1:])[:300]}"  # the last line of a traceback is the error
        if status == 413:
            raise TooLarge(details)
        if status in _TRANSIENT:
            raise TransientFailure(details)
        raise InferenceError(f"{self._url}: model {self._model}: {details}")

    def _ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        for again in (False, True):
            fresh = self._open is None
            if self._open is None:
                kind = http.client.HTTPConnection if self._tls is None else http.client.HTTPSConnection
                extra: dict[str, Any] = {} if self._tls is None else {"context": self._tls}
                self._open = kind(self._host, timeout=self._timeout, **extra)
            try:
                self._open.request(method, self._base + path, body, {"Content-Type": "application/json", "Accept": "application/json"})
                response = self._open.getresponse()
                data = response.read(_MOST + 1)
            except (OSError, http.client.HTTPException) as error:
                self._open.close()
                self._open = None
                if fresh or again:
                    raise TransientFailure(f"{type(error).__name__}: {error}") from error
                continue  # the server has closed the reused connection
            if len(data) > _MOST:
                raise InferenceError(f"{self._url}: the answer is larger than {_MOST >> 20} MiB")
            return response.status, data
        raise AssertionError("unreachable")
