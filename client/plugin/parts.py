"""Functions as plugins: their descriptions, and their answers as messages."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any

import grpc
import numpy as np
from numpy.typing import ArrayLike, NDArray

from actmax.v1 import plugin_service_pb2 as pb
from actmax.v1 import session_pb2

from ...wire.arrays import DamagedTensor, fill, to_array, to_tensor
from ...wire.transport import ENVELOPE_BYTES

Function = Callable[..., ArrayLike]
MESSAGE_BYTES = 16 << 20
"""Largest message by default, in bytes."""
MOST_VECTORS = 1_000_000
"""Most values in all codes' vectors."""


class Fault(Exception):
    """Ends a call with a status of your choice, when raised in a plugin's function.

    Parameters
    ----------
    message : str
        For a person.
    code : grpc.StatusCode
        UNAVAILABLE makes the caller retry, and so does RESOURCE_EXHAUSTED with ``retry_seconds``. Any other code ends the job.
    reason : str
        UPPER_SNAKE_CASE, for programs.
    retry_seconds : float
        Seconds after which a retry may succeed.
    """

    def __init__(
        self,
        message: str,
        code: grpc.StatusCode = grpc.StatusCode.FAILED_PRECONDITION,
        reason: str = "PLUGIN_FAULT",
        retry_seconds: float = 0.0,
    ) -> None:
        super().__init__(message)
        self.code, self.reason, self.retry_seconds = code, reason, retry_seconds


@dataclass(kw_only=True, eq=False, repr=False)
class _Terms:
    """Settings of every plugin's stimuli and calls; :class:`TargetPlugin` describes each."""

    low: float = 0.0
    high: float = 1.0
    version: str = "1"
    max_batch: int = 256
    max_message_bytes: int = MESSAGE_BYTES

    def _terms(self, shape: Sequence[int]) -> dict[str, Any]:
        """Return the fields that the descriptions of targets and of generators share; ``shape`` is that of one stimulus."""
        return {
            "version": self.version,
            "stimulus": session_pb2.StimulusShape(shape=shape, low=self.low, high=self.high),
            "max_batch": self.max_batch,
            "max_message_bytes": self.max_message_bytes,
        }


@dataclass(eq=False, repr=False)
class TargetPlugin(_Terms):
    r"""Functions of stimuli, one for each layer.

    Parameters
    ----------
    functions : callable, or mapping of str to callable
        Layer to function; a single function is the layer ``output``. Each maps (n, \*shape) float32 to (n,) or (n, ...) numbers.
        A function with the parameters ``seed`` and ``trial`` receives the job's seed and the number of the first stimulus' trial too.
    shape : sequence of int
        Shape of one stimulus: (channels, height, width) of an image, (channels, time) of a series.
    noisy : bool
        Whether responses to the same stimulus may differ.
    misses : bool
        Whether NaN means a missed trial; else it is an error.
    unit_names : sequence of str
        Names of the units of each layer with that number of units.
    kind : str
        Kind of the layers, such as "spike count".
    low, high : float
        Range of the stimuli.
    version : str
        Change it whenever responses may change; a job keeps to the version that it began with.
    max_batch : int
        Most stimuli in one call of a function; 0: any number.
    max_message_bytes : int
        Largest message that is sent or received.

    Raises
    ------
    ValueError
        A function fails for such stimuli, or returns something else than numbers with a row for each.
    """

    functions: Function | Mapping[str, Function]
    shape: Sequence[int]
    _: KW_ONLY
    noisy: bool = False
    misses: bool = False
    unit_names: Sequence[str] = ()
    kind: str = "function"

    def __post_init__(self) -> None:
        self._functions = dict(self.functions) if isinstance(self.functions, Mapping) else {"output": self.functions}
        self._counting = {name for name, function in self._functions.items() if _counts_trials(function)}
        self._shape = tuple(self.shape)
        self.description = pb.TargetDescription(noisy=self.noisy, misses=self.misses, **self._terms(self._shape))
        probe = np.full((2, *self._shape), (self.low + self.high) / 2, np.float32)
        for name in self._functions:
            try:
                units = self._asked(name, probe, 0, 0).shape[1:]
            except Exception as error:  # a user's function may fail in any way
                raise ValueError(f"{name}: it does not answer stimuli of shape {self._shape}: {type(error).__name__}: {error}") from error
            named = self.unit_names if units == (len(self.unit_names),) else ()
            self.description.layers.add(name=name, shape=units, kind=self.kind, unit_names=named)

    def answer(self, request: pb.RespondRequest) -> pb.RespondResponse:
        """Return the responses to stimuli.

        Raises
        ------
        Fault
            The request is not for this plugin, or a function failed.
        """
        require_version(request.version, self.description.version)
        stimuli = _rows(request.stimuli, self._shape, "stimuli").astype(np.float32, copy=False)
        response = pb.RespondResponse(version=self.description.version)
        for layer in request.layers:
            if layer not in self._functions:
                raise Fault(f"there is no layer {layer!r}", grpc.StatusCode.NOT_FOUND, "NO_SUCH_LAYER")
            answer = _guarded(lambda layer=layer: self._asked(layer, stimuli, request.seed, request.trial))
            fill(response.responses[layer], answer)
        return response

    def _asked(self, layer: str, stimuli: NDArray[Any], seed: int, trial: int) -> NDArray[Any]:
        function: Any = self._functions[layer]
        more = {"seed": seed, "trial": trial} if layer in self._counting else {}
        values = np.asarray(function(stimuli.copy(), **more), dtype=np.float32)
        if values.ndim == 0 or values.shape[0] != stimuli.shape[0]:
            raise ValueError(f"it gave numbers of shape {values.shape}, not a row for each of {stimuli.shape[0]} stimuli")
        return values[:, None] if values.ndim == 1 else values


@dataclass(eq=False, repr=False)
class GeneratorPlugin(_Terms):
    r"""A function from latents to stimuli.

    Parameters
    ----------
    decode : callable
        Maps (n, \*latent) float32, or int64 codes, to (n, \*stimulus) numbers within the range.
    latent : sequence of int
        Shape of one latent.
    bounds : tuple of float
        Bounds of every coordinate.
    codes : int
        Number of codes of a discrete latent, 0 to codes - 1; ``bounds`` is then ignored. 0: the latent is continuous.
    vectors : array_like, optional
        (codes, width), or (codes,) for levels on a scale: the position of each code, so that near codes give similar stimuli. Searches use
        it to find a code's neighbours. At most a million values.
    bank : array_like, optional
        (m, \*latent) natural latents to start from.
    low, high : float
        Range of the stimuli.
    version : str
        Change it whenever a latent may give another stimulus, or codes have other positions; a job keeps to the version that it began with.
    max_batch : int
        Most latents in one call of the function; 0: any number.
    max_message_bytes : int
        Largest message that is sent or received.

    Raises
    ------
    ValueError
        The function fails for such latents, or returns something else than a stimulus for each; or the bank or the vectors have
        another shape.
    """

    decode: Function
    latent: Sequence[int]
    _: KW_ONLY
    bounds: tuple[float, float] = (-3.0, 3.0)
    codes: int = 0
    vectors: ArrayLike | None = None
    bank: ArrayLike | None = None

    def __post_init__(self) -> None:
        if self.vectors is not None and not self.codes:
            raise ValueError("vectors are of codes; say how many codes there are")
        self._latent, self._dtype = tuple(self.latent), np.dtype(np.int64 if self.codes else np.float32)
        self._bank = None if self.bank is None else np.asarray(self.bank).astype(self._dtype)
        if self._bank is not None and (self._bank.ndim == 0 or self._bank.shape[1:] != self._latent):
            raise ValueError(f"the bank has shape {self._bank.shape}, latents have {self._latent}")
        middle = np.full((2, *self._latent), 0 if self.codes else (self.bounds[0] + self.bounds[1]) / 2, self._dtype)
        try:
            shape = self._asked(middle).shape[1:]
        except Exception as error:  # a user's function may fail in any way
            raise ValueError(f"it does not decode latents of shape {self._latent}: {type(error).__name__}: {error}") from error
        space = pb.LatentSpace(shape=self._latent)
        if self.codes:
            space.codes.cardinality = self.codes
            if self.vectors is not None:
                space.codes.vectors.CopyFrom(to_tensor(_places(self.vectors, self.codes)))
        else:
            space.box.low, space.box.high = self.bounds
        bank_size = 0 if self._bank is None else len(self._bank)
        self.description = pb.GeneratorDescription(latent=space, bank_size=bank_size, **self._terms(shape))

    def answer(self, request: pb.GenerateRequest) -> pb.GenerateResponse:
        """Return the stimuli of latents.

        Raises
        ------
        Fault
            The request is not for this plugin, or the function failed.
        """
        require_version(request.version, self.description.version)
        latents = _rows(request.latents, self._latent, "latents").astype(self._dtype, copy=False)
        stimuli = _guarded(lambda: self._asked(latents))
        return pb.GenerateResponse(stimuli=to_tensor(stimuli), version=self.description.version)

    def bank_part(self, request: pb.GetBankRequest) -> pb.GetBankResponse:
        """Return the requested part of the natural latents, as many as fit into a message.

        Raises
        ------
        Fault
            There are no natural latents from the offset on.
        """
        require_version(request.version, self.description.version)
        most = max(1, (self.description.max_message_bytes - ENVELOPE_BYTES) // max(1, self._dtype.itemsize * math.prod(self._latent)))
        part = None if self._bank is None else self._bank[request.offset : request.offset + min(request.count, most)]
        if part is None or not len(part):
            raise Fault(f"there is no natural latent {request.offset}", grpc.StatusCode.OUT_OF_RANGE, "END_OF_BANK")
        return pb.GetBankResponse(latents=to_tensor(part), version=self.description.version)

    def _asked(self, latents: NDArray[Any]) -> NDArray[Any]:
        stimuli = np.asarray(self.decode(latents.copy()), dtype=np.float32)
        if stimuli.ndim not in (3, 4) or stimuli.shape[0] != latents.shape[0]:
            raise ValueError(f"it gave numbers of shape {stimuli.shape}, not a stimulus for each of {latents.shape[0]} latents")
        return stimuli


def _places(vectors: ArrayLike, codes: int) -> NDArray[Any]:
    places = np.asarray(vectors, dtype=np.float32)
    places = places[:, None] if places.ndim == 1 else places
    if places.ndim != 2 or places.shape[0] != codes or not places.shape[1]:
        raise ValueError(f"vectors have shape {np.shape(vectors)}; {codes} codes take ({codes}, width)")
    if not np.isfinite(places).all():
        raise ValueError("vectors have to be finite")
    if places.size > MOST_VECTORS:
        raise ValueError(f"vectors of {places.size} values; {MOST_VECTORS} work")
    return places


def _counts_trials(function: Any) -> bool:
    try:
        return {"seed", "trial"} <= set(inspect.signature(function).parameters)
    except (TypeError, ValueError):  # written in C, most likely
        return False


def require_version(asked: str, version: str) -> None:
    """Raise Fault if a request names another version than ``version``, the plugin's own."""
    if asked and asked != version:
        raise Fault(f"this is version {version!r}, {asked[:200]!r} was asked", reason="OTHER_VERSION")


def _rows(tensor: session_pb2.Tensor, shape: tuple[int, ...], what: str) -> NDArray[Any]:
    try:
        array = to_array(tensor)
    except DamagedTensor as error:
        raise Fault(str(error), grpc.StatusCode.INVALID_ARGUMENT, "BAD_TENSOR") from None
    if array.ndim != len(shape) + 1 or array.shape[1:] != shape:
        raise Fault(f"{what} came in the shape {array.shape}, one has {shape}", grpc.StatusCode.INVALID_ARGUMENT, "BAD_SHAPE")
    return array


def _guarded(ask: Callable[[], NDArray[Any]]) -> NDArray[Any]:
    try:
        return ask()
    except Fault:
        raise
    except Exception as error:
        raise Fault(f"{type(error).__name__}: {error}"[:1000], grpc.StatusCode.INTERNAL, "PLUGIN_FAILED") from error
