"""A function that analyses jobs, as a plugin: calls drive it step by step, and it runs in a separate thread between steps."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

import grpc
import numpy as np
from google.protobuf.json_format import MessageToDict
from numpy.typing import ArrayLike, NDArray

from actmax.v1 import plugin_service_pb2 as pb

from ...wire.arrays import to_array, to_tensor
from ...wire.transport import ENVELOPE_BYTES
from .parts import MESSAGE_BYTES, Fault, require_version

_STEP_SECONDS = 1.0
"""Seconds that a step waits for the function; then it answers with the present stage."""
_RUNS = 16
"""Most runs that are kept; the least recently used run is dropped for a new one."""


@dataclass(frozen=True)
class FoundStimulus:
    """The result of one search.

    Attributes
    ----------
    unit, optimizer, unit_name : str
        Address of the unit, label of the optimizer, and the target's name of the unit (may be empty).
    response : float
        The unit's response, measured again after the search.
    stimulus : ndarray
        float32, of the job's stimulus shape.
    """

    unit: str
    optimizer: str
    unit_name: str
    response: float
    stimulus: NDArray[np.float32]


@dataclass(frozen=True)
class PluginFigure:
    """A figure of a section: ``content`` is a file of ``media_type``, or a stimulus of the job, which is drawn like found stimuli."""

    title: str
    alt: str
    content: bytes | NDArray[Any]
    media_type: str = "image/png"
    unit: str = ""
    optimizer: str = ""


@dataclass(frozen=True)
class PluginSection:
    """One part of the analysis' results, which every output shows alike.

    Attributes
    ----------
    title : str
        A heading.
    notes : sequence of str
        Sentences: how to read the section, what is left out.
    rows : sequence of mapping
        A table, for each row a mapping of column to text, number, bool or None. Columns ``unit`` and ``optimizer`` say what a row is about.
    arrays : mapping of str to array_like
        float32, float64, uint8, int32 or int64.
    figures : sequence of PluginFigure
        The figures in their order.
    name : str
        Distinguishes several sections, in letters, digits and hyphens.
    """

    title: str
    notes: Sequence[str] = ()
    rows: Sequence[Mapping[str, Any]] = ()
    arrays: Mapping[str, ArrayLike] = field(default_factory=dict)
    figures: Sequence[PluginFigure] = ()
    name: str = ""


class PluginContext:
    """The data of a job for an analysis over the wire, and access to its target.

    Attributes
    ----------
    options : mapping
        The options that the job gives under ``options.options``.
    seed : int
        The job's seed. Every random draw must come from generators seeded with it.
    shape : tuple of int
        Shape of one stimulus.
    low, high : float
        Range of the stimuli.
    units : list of str
        Addresses, in the order of the rows of all responses.
    found : list of FoundStimulus
        Results of the searches.
    """

    def __init__(self, run: _Run, start: pb.AnalysisStart) -> None:
        self._run, self._most = run, max(1, start.max_batch)
        self.options: Mapping[str, Any] = MessageToDict(start.options)
        self.seed = start.seed
        self.shape = tuple(start.stimulus.shape)
        self.low, self.high = start.stimulus.low, start.stimulus.high
        self.units = list(start.units)
        stimuli = to_array(start.stimuli) if start.found else ()
        self.found = [
            FoundStimulus(one.unit, one.optimizer, one.unit_name, one.response, stimulus)
            for one, stimulus in zip(start.found, stimuli, strict=True)
        ]

    def evaluate(self, stimuli: ArrayLike) -> NDArray[np.float64]:
        r"""Return the units' responses to stimuli.

        Parameters
        ----------
        stimuli : array_like
            (n, \*shape).

        Returns
        -------
        ndarray
            (units, n) float64, NaN for a missed trial.

        Raises
        ------
        ValueError
            The stimuli have another shape.
        """
        values = np.asarray(stimuli, np.float32)
        if values.shape[1:] != self.shape:
            raise ValueError(f"stimuli have shape {values.shape}; (n, {', '.join(map(str, self.shape))}) works")
        parts = [self._run.asked(values[at : at + self._most]) for at in range(0, len(values), self._most)]
        return np.concatenate([np.empty((len(self.units), 0)), *parts], 1)

    def report(self, text: str) -> None:
        """Set the present stage, such as "fading stimuli: 3 of 10"."""
        self._run.stage = text[:300]

    def should_stop(self) -> bool:
        """Return whether the job was cancelled; then return the sections made so far."""
        return self._run.cancelled

    def __getattr__(self, name: str) -> NoReturn:
        """Raise AttributeError with the available attributes, for attributes that only analyses within actmax have."""
        offered = "options, seed, shape, low, high, units, found, evaluate, report and should_stop"
        raise AttributeError(f"an analysis over the wire is given no {name}: the network stays where it is; there are {offered}")


AnalysisFunction = Callable[[PluginContext], Sequence[PluginSection]]


class AnalysisPlugin:
    """A function that analyses jobs.

    Parameters
    ----------
    function : callable
        Maps a :class:`PluginContext` to sections. For equal contexts it must ask for the same stimuli in the same order and
        return equal sections. After an interruption it runs from its beginning, and repeated stimuli are answered from stored responses.
    version : str
        Change it whenever the results for a job may change.
    needs : sequence of str
        Protocols of the target that it requires, such as "HasModule". None is offered over the wire: jobs that name it are refused.
    max_message_bytes : int
        Largest message that is sent or received.
    """

    def __init__(
        self, function: AnalysisFunction, *, version: str = "1", needs: Sequence[str] = (), max_message_bytes: int = MESSAGE_BYTES
    ) -> None:
        self._function = function
        self._runs: OrderedDict[str, _Run] = OrderedDict()
        self._lock = threading.Lock()
        self.description = pb.AnalysisDescription(version=version, needs=needs, max_message_bytes=max_message_bytes)

    def answer(self, request: pb.AnalysisStepRequest) -> pb.AnalysisStepResponse:
        """Return the answer to one step of a run.

        Raises
        ------
        Fault
            The request is not for this plugin or this run, the answer is too large, or the function failed.
        """
        require_version(request.version, self.description.version)
        with self._lock:
            run = self._runs.get(request.run)
            if run is None:
                if not request.HasField("start"):
                    raise Fault("this run is not known here; begin it again", reason="NO_SUCH_RUN")
                run = self._runs[request.run] = _Run(self._function, request.start)
                while len(self._runs) > _RUNS:
                    self._runs.popitem(last=False)[1].leave()
            self._runs.move_to_end(request.run)
        answer = run.answer(request)
        answer.version = self.description.version
        if answer.ByteSize() + ENVELOPE_BYTES > self.description.max_message_bytes:
            what = f"its answer takes {answer.ByteSize()} bytes, a message holds {self.description.max_message_bytes}"
            raise Fault(f"{what}; serve it with a larger max_message_bytes", reason="TOO_LARGE")
        return answer


class _Left(BaseException):
    """The run was dropped: its thread ends."""


class _Run:
    """One run of an analysis: a thread that runs the function, and the steps that drive it."""

    def __init__(self, function: AnalysisFunction, start: pb.AnalysisStart) -> None:
        self.stage, self.cancelled = "", False
        self._function, self._start = function, start
        self._step, self._last = 0, pb.AnalysisStepResponse()
        self._lock = threading.Lock()
        self._events: queue.SimpleQueue[pb.AnalysisStepResponse | Fault] = queue.SimpleQueue()
        self._responses: queue.SimpleQueue[NDArray[Any] | None] = queue.SimpleQueue()
        threading.Thread(target=self._work, name="analysis", daemon=True).start()

    def answer(self, request: pb.AnalysisStepRequest) -> pb.AnalysisStepResponse:
        """Return the function's next message, or its stage after a second; see ``AnalysisService.Step``.

        Raises
        ------
        Fault
            The step is neither the last one nor the next, or the function failed.
        """
        with self._lock:
            self.cancelled |= request.cancelled
            if request.step == self._step:
                return self._last
            if request.step != self._step + 1:
                what = f"step {request.step} came after step {self._step}"
                raise Fault(what, grpc.StatusCode.INVALID_ARGUMENT, "BAD_STEP")
            if self._last.HasField("evaluate"):
                self._responses.put(to_array(request.responses))
            try:
                event = self._events.get(timeout=_STEP_SECONDS)
            except queue.Empty:
                event = pb.AnalysisStepResponse(progress=self.stage)
            if isinstance(event, Fault):
                self._events.put(event)  # a repeated step receives it again
                self._last = pb.AnalysisStepResponse()
                raise event
            self._step, self._last = request.step, event
            return event

    def asked(self, stimuli: NDArray[np.float32]) -> NDArray[np.float64]:
        r"""Send stimuli with the next step, (n, \*shape), and return the responses, (units, n) float64.

        Raises
        ------
        _Left
            The run was dropped.
        """
        self._events.put(pb.AnalysisStepResponse(evaluate=to_tensor(stimuli)))
        responses = self._responses.get()
        if responses is None:
            raise _Left
        return responses.astype(np.float64)

    def leave(self) -> None:
        """Drop the run: its thread ends when it next asks for responses."""
        self.cancelled = True
        self._responses.put(None)

    def _work(self) -> None:
        with contextlib.suppress(_Left):
            try:
                sections = self._function(PluginContext(self, self._start))
                found = pb.AnalysisSections(sections=[_message(section) for section in sections])
                self._events.put(pb.AnalysisStepResponse(sections=found))
            except Fault as fault:
                self._events.put(fault)
            except Exception as error:  # a user's function may fail in any way
                self._events.put(Fault(f"{type(error).__name__}: {error}"[:1000], grpc.StatusCode.INTERNAL, "PLUGIN_FAILED"))


def _message(section: PluginSection) -> pb.AnalysisSection:
    """Return a section as a message."""
    columns = list(dict.fromkeys(column for row in section.rows for column in row))
    message = pb.AnalysisSection(title=section.title, notes=section.notes, name=section.name, columns=columns)
    for row in section.rows:
        message.rows.add().extend([_cell(row.get(column)) for column in columns])
    for name, array in section.arrays.items():
        message.arrays.add(name=name, array=to_tensor(array))
    for figure in section.figures:
        added = message.figures.add(title=figure.title, alt=figure.alt, unit=figure.unit, optimizer=figure.optimizer)
        if isinstance(figure.content, bytes):
            added.data, added.media_type = figure.content, figure.media_type
        else:
            added.stimulus.CopyFrom(to_tensor(np.asarray(figure.content, np.float32)))
    return message


def _cell(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
