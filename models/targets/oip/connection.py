"""What a connection to an inference server can do, whatever it speaks."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from ....wire.retry import Backoff, RetryPolicy

Answer = TypeVar("Answer")

DTYPES: Mapping[str, type[np.generic]] = {
    "BOOL": np.bool_,
    "UINT8": np.uint8,
    "UINT16": np.uint16,
    "UINT32": np.uint32,
    "UINT64": np.uint64,
    "INT8": np.int8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "FP16": np.float16,
    "FP32": np.float32,
    "FP64": np.float64,
}
"""The protocol's data types that are numbers."""


class InferenceError(RuntimeError):
    """A server did not answer; the message names it by its URL, and says what it said."""


class TooLarge(Exception):
    """The request has more rows or bytes than the server takes; ``rows`` is how many it said it takes, if it did."""

    def __init__(self, message: str, rows: int | None = None) -> None:
        super().__init__(message)
        self.rows = rows


class TransientFailure(Exception):
    """The server can't answer now; asking again may help."""


@dataclass(frozen=True)
class TensorInfo:
    """One input or output: its name, data type, and shape with -1 (or nothing) where it is open."""

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class ModelInfo:
    """What a server says of a model; either may be empty, as the protocol lets it."""

    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]


class Connection(Protocol):
    """Asks one model. Every method raises ``TransientFailure`` or ``InferenceError``."""

    def ready(self) -> bool:
        """Whether server and model are ready."""
        ...

    def metadata(self) -> ModelInfo:
        """What the model takes and gives."""
        ...

    def infer(self, name: str, datatype: str, values: NDArray[np.generic], outputs: Sequence[str]) -> dict[str, NDArray[np.generic]]:
        """One inference: the outputs that were asked for, or all, that are numbers.

        Raises
        ------
        TooLarge
            The server takes fewer rows or bytes at once.
        """
        ...


def retrying(call: Callable[[], Answer], retries: int, url: str, pause: float = 0.1) -> Answer:
    """Return the answer of ``call``, made again after pauses that double each time.

    Raises
    ------
    InferenceError
        It still can't be had after so many further tries.
    """
    backoff = Backoff(RetryPolicy(tries=retries, first=pause, most=10.0, jitter=0))
    while True:
        try:
            return call()
        except TransientFailure as error:
            seconds = backoff.next()
            if seconds is None:
                raise InferenceError(f"{url}: {error} (tried {retries + 1} times)") from error
        time.sleep(seconds)
