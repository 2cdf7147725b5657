"""A plugin of ``actmax.v1.AnalysisService`` as an analysis."""

from __future__ import annotations

import hashlib
import math
import uuid
from collections.abc import Sequence
from typing import Any, Self

import torch
from google.protobuf.json_format import ParseDict
from google.protobuf.struct_pb2 import Value as WireValue
from pydantic import Field
from torch import Tensor

from actmax.v1 import plugin_service_pb2 as pb
from actmax.v1 import session_pb2

from ...models.options import InvalidOption
from ...models.plugins.connection import PluginConnection, PluginError, rows_within
from ...models.plugins.messages import BadTensor, fill, from_message
from ...models.plugins.options import PluginOptions
from ...models.targets.target import Target
from ...wire import arrays
from ...wire.transport import ENVELOPE_BYTES, PLUGIN_BYTES, UNSTATED_BYTES
from ..results.section import Figure, Section, StimulusPicture, Value
from .analysis import AnalysisContext

_BEGINNINGS = 5
"""Times that a run begins where the plugin is started again."""
_EXACT = 2**53


class RemoteAnalysis:
    """Any program that analyses jobs over gRPC (``actmax.v1.AnalysisService``), at an address or dialled in to the server."""

    class Options(PluginOptions):
        """Options of the analysis."""

        options: dict[str, Any] = Field(default_factory=dict, description="What the plugin is given as its own options.")

    needs: tuple[type, ...] = ()

    def __init__(self, connection: PluginConnection, described: pb.AnalysisDescription, options: Options) -> None:
        self._connection, self._described, self._options = connection, described, options

    @classmethod
    def from_options(cls, options: Options) -> Self:
        """Connect, wait until the plugin is healthy, and have it describe itself.

        Raises
        ------
        InvalidOption
            Nobody answers, or it is no analysis.
        """
        try:
            connection = PluginConnection(options, "AnalysisService")
            return cls(connection, connection.describe(pb.AnalysisDescription), options)
        except PluginError as error:
            raise InvalidOption("address" if options.address else "plugin", str(error)) from error

    def check(self, target: Target, /) -> None:
        """Raise InvalidOption where the plugin needs more than the wire offers."""
        del target
        if self._described.needs:
            named = ", ".join(self._described.needs)
            what = f"{self._connection.shown} needs {named}, which is not offered over the wire; write it as a component of actmax instead"
            raise InvalidOption("plugin", what)

    def run(self, context: AnalysisContext, /) -> Sequence[Section]:
        """Return the plugin's sections. ``context.state`` keeps what it has asked: a run that begins anew asks nothing twice."""
        state = context.state
        if state.get("version") != self._described.version:
            state.clear()
            state.update(version=self._described.version, asked=[], responses=[])
        for _ in range(_BEGINNINGS):
            try:
                return self._run(context, state["asked"], state["responses"])
            except PluginError as error:
                if error.reason != "NO_SUCH_RUN":
                    raise
        raise PluginError(f"{self._connection.shown}: it was started again {_BEGINNINGS} times during one analysis")

    def _run(self, context: AnalysisContext, asked: list[str], responses: list[Tensor]) -> Sequence[Section]:
        """Drive one run to its end; what is ``asked`` (digests) again is answered from ``responses``."""
        request = pb.AnalysisStepRequest(run=uuid.uuid4().hex, start=self._start(context))
        done = 0
        while True:
            reason = context.should_stop()
            if reason == "suspend":
                return []
            request.step, request.cancelled = request.step + 1, reason == "cancel"
            answer = self._connection.ask("Step", request, pb.AnalysisStepResponse, self._described.version)
            self._connection.check(answer)
            request.ClearField("content")
            match answer.WhichOneof("content"):
                case "sections":
                    return [self._section(one, context) for one in answer.sections.sections]
                case "evaluate":
                    stimuli = self._stimuli(answer.evaluate, context)
                    digest = hashlib.sha256(stimuli.numpy().tobytes()).hexdigest()
                    if asked[done : done + 1] != [digest]:
                        del asked[done:], responses[done:]
                        found = context.unit_responses(stimuli, shown=sum(one.shape[1] for one in responses))
                        asked.append(digest)
                        responses.append(found)
                        context.report(f"evaluating stimuli for the plugin: {sum(one.shape[1] for one in responses)}")
                    arrays.fill(request.responses, responses[done].numpy())
                    done += 1
                case _:
                    context.report(answer.progress or "waiting for the plugin")

    def _start(self, context: AnalysisContext) -> pb.AnalysisStart:
        spec = context.generator.stimulus
        row = max(4 * math.prod(spec.shape), 8 * len(context.units))
        limit = min(self._described.max_message_bytes or UNSTATED_BYTES, PLUGIN_BYTES)
        try:
            most = rows_within(context.batch, context.batch, 0, limit, row)[0]
        except ValueError as error:
            raise PluginError(f"{self._connection.shown}: stimuli or responses are too large: {error}") from None
        start = pb.AnalysisStart(
            seed=context.seed,
            stimulus=session_pb2.StimulusShape(shape=spec.shape, low=spec.low, high=spec.high, modality=spec.modality),
            units=[str(unit) for unit in context.units],
            found=[
                pb.FoundStimulus(unit=one.unit, optimizer=one.optimizer, response=one.response, unit_name=one.unit_name)
                for one in context.searches
            ],
            max_batch=most,
        )
        ParseDict(self._options.options, start.options)
        if context.searches:
            fill(start.stimuli, torch.stack([torch.from_numpy(one.stimulus) for one in context.searches]))
        if start.ByteSize() + ENVELOPE_BYTES > limit:
            what = f"the job's {len(context.searches)} stimuli take {start.ByteSize()} bytes, a message holds {limit}"
            raise PluginError(f"{self._connection.shown}: {what}; serve the plugin with a larger max_message_bytes")
        return start

    def _stimuli(self, message: session_pb2.Tensor, context: AnalysisContext) -> Tensor:
        """Return stimuli that the plugin wants evaluated, validated."""
        spec = context.generator.stimulus
        count = message.shape[0] if message.shape else 0
        try:
            if not 0 < count <= context.batch:
                raise BadTensor(f"came as {count}; 1 to {context.batch} may be evaluated at once")
            values = from_message(message, (count, *spec.shape))
        except BadTensor as error:
            raise PluginError(f"{self._connection.shown}: the stimuli that it wants evaluated {error}") from None
        if not bool(((values >= spec.low) & (values <= spec.high)).all()):
            what = f"leave the range of the job's stimuli, {spec.low:g} to {spec.high:g}"
            raise PluginError(f"{self._connection.shown}: the stimuli that it wants evaluated {what}")
        return values

    def _section(self, message: pb.AnalysisSection, context: AnalysisContext) -> Section:
        """Return a section of the plugin, as the engine has it."""
        rows: list[dict[str, Value]] = []
        for row in message.rows:
            if len(row.values) != len(message.columns):
                raise PluginError(
                    f"{self._connection.shown}: {message.title}: a row has {len(row.values)} cells, not {len(message.columns)}"
                )
            rows.append({name: self._cell(cell, message.title) for name, cell in zip(message.columns, row.values, strict=True)})
        try:
            named = {one.name: arrays.to_array(one.array) for one in message.arrays}
        except arrays.DamagedTensor as error:
            raise PluginError(f"{self._connection.shown}: {message.title}: {error}") from None
        figures = [self._figure(one, context) for one in message.figures]
        return Section(message.title, tuple(message.notes), rows, named, figures, name=message.name)

    def _cell(self, cell: WireValue, title: str) -> Value:
        match cell.WhichOneof("kind"):
            case "number_value":
                number = cell.number_value
                return int(number) if number.is_integer() and abs(number) < _EXACT else number
            case "string_value":
                return cell.string_value
            case "bool_value":
                return cell.bool_value
            case "null_value" | None:
                return None
            case kind:
                raise PluginError(f"{self._connection.shown}: {title}: a cell holds a {kind}; text, numbers, truths and null work")

    def _figure(self, message: pb.AnalysisFigure, context: AnalysisContext) -> Figure:
        spec = context.generator.stimulus
        if message.WhichOneof("content") == "data":
            content: bytes | StimulusPicture = message.data
        else:
            try:
                content = StimulusPicture(from_message(message.stimulus, spec.shape).numpy(), spec)
            except BadTensor as error:
                raise PluginError(f"{self._connection.shown}: the figure {message.title!r} {error}") from None
        return Figure(message.title, message.alt, content, message.media_type or "image/png", message.unit, message.optimizer)
