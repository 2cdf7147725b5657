"""The connection to an inference server, independent of its transport."""

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
"""The protocol's numeric data types."""


class InferenceError(RuntimeError):
    """A server did not answer; the message has its URL and its error."""


class TooLarge(Exception):
    """The request has more rows or bytes than the server accepts; ``rows`` is the number of rows that it accepts, if it is known."""

    def __init__(self, message: str, rows: int | None = None) -> None:
        super().__init__(message)
        self.rows = rows


class TransientFailure(Exception):
    """A temporary failure of the server; another try may help."""


@dataclass(frozen=True)
class TensorInfo:
    """One input or output: its name, data type, and shape with -1 (or nothing) for open dimensions."""

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class ModelInfo:
    """A server's description of a model; by the protocol, inputs or outputs may be missing."""

    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]


class Connection(Protocol):
    """A connection to one model. Every method may raise ``TransientFailure`` or ``InferenceError``."""

    def ready(self) -> bool:
        """Return whether server and model are ready."""
        ...

    def metadata(self) -> ModelInfo:
        """Return the model's inputs and outputs."""
        ...

    def infer(self, name: str, datatype: str, values: NDArray[np.generic], outputs: Sequence[str]) -> dict[str, NDArray[np.generic]]:
        """Return the outputs of one inference, by name.

        Parameters
        ----------
        name : str
            Name of the input.
        datatype : str
            Its data type, one of :data:`DTYPES`.
        values : ndarray
            (n, …) values of that type.
        outputs : sequence of str
            Names of the wanted outputs; empty for all.

        Returns
        -------
        dict of str to ndarray
            The numeric outputs.

        Raises
        ------
        TooLarge
            The server accepts fewer rows or bytes at once.
        """
        ...


def retrying(call: Callable[[], Answer], retries: int, url: str, pause: float = 0.1) -> Answer:
    """Return the answer of ``call``, repeated after transient failures with pauses that double each time.

    Parameters
    ----------
    call : callable
        Makes the call.
    retries : int
        Most repetitions.
    url : str
        The server's URL, for messages.
    pause : float
        The first pause, in seconds; the longest is 10 seconds.

    Raises
    ------
    InferenceError
        The last repetition fails too.
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
