"""A plugin of ``actmax.v1.TargetService`` as a target without gradients."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Self

import torch
from torch import Tensor

from actmax.v1 import plugin_service_pb2 as pb

from ..options import InvalidOption
from ..plugins.connection import PluginConnection, PluginError, rows_within
from ..plugins.messages import MOST_VALUES, BadTensor, fill, from_message, stimulus_of
from ..plugins.options import PluginOptions
from .layers import name_of, require_layers
from .target import LayerInfo

_WIDE = 8
"""Most bytes of a value of a response."""


class RemoteTarget:
    """Any program that answers stimuli over gRPC (``actmax.v1.TargetService``), at an address or dialled in to the server."""

    class Options(PluginOptions):
        """Options of the target."""

    differentiable = False

    def __init__(self, connection: PluginConnection, described: pb.TargetDescription, *, batch: int = 256) -> None:
        """Build the target from the plugin's description.

        Parameters
        ----------
        connection : PluginConnection
            The connection to the plugin.
        described : TargetDescription
            The plugin's description of itself.
        batch : int
            Most stimuli of one call.

        Raises
        ------
        PluginError
            The description is invalid.
        """
        self._connection, self._described, self._batch = connection, described, batch
        self.version: str = described.version
        self.noisy: bool = described.noisy
        try:
            self.stimulus = stimulus_of(described.stimulus)
        except ValueError as error:
            raise PluginError(f"{connection.shown}: it describes {error}") from None
        self._layers = {layer.name: LayerInfo(layer.name, tuple(layer.shape), layer.kind or "plugin") for layer in described.layers}
        if len(self._layers) != len(described.layers):
            raise PluginError(f"{connection.shown}: it describes a layer twice")
        for layer in self._layers.values():
            if math.prod(layer.shape) > MOST_VALUES:
                raise PluginError(f"{connection.shown}: layer {layer.name} has {math.prod(layer.shape)} units; at most {MOST_VALUES} work")
        self._unit_names = {layer.name: list(layer.unit_names) for layer in described.layers}
        self._seed = self._trial = 0

    @classmethod
    def from_options(cls, options: PluginOptions) -> Self:
        """Connect, wait until the plugin is healthy, and read its description.

        Raises
        ------
        InvalidOption
            No plugin answers, or it is no target.
        """
        try:
            connection = PluginConnection(options, "TargetService")
            return cls(connection, connection.describe(pb.TargetDescription), batch=options.batch)
        except PluginError as error:
            raise InvalidOption("address" if options.address else "plugin", str(error)) from error

    def to(self, device: str, /) -> Self:
        """Return the target: it runs in another process, and nothing has to be moved."""
        return self

    def layers(self) -> Sequence[LayerInfo]:
        """Return the layers of the plugin's description."""
        return list(self._layers.values())

    def unit_name(self, layer: str, index: tuple[int, ...]) -> str:
        """Return the name of a unit; empty where it has none."""
        return name_of(index, self._unit_names.get(layer, ()), self._layers.get(layer))

    def begin(self, seed: int, trial: int) -> None:
        """Set the number of the next trial, and the job's seed; a plugin that simulates noise draws it by both."""
        self._seed, self._trial = seed, trial

    def respond(self, stimuli: Tensor, layers: Collection[str], /) -> Mapping[str, Tensor]:
        """Return the responses to stimuli, without a gradient: (n, *stimulus) -> {layer: (n, *layer)}.

        A plugin that may miss stimuli responds to missed ones with NaN.

        Raises
        ------
        KeyError
            A layer does not exist; the message suggests near names.
        PluginError
            The plugin did not answer, or its answer holds no numbers of the layers' shapes.
        """
        require_layers(layers, self._layers)
        wanted = sorted(layers)
        found: dict[str, list[Tensor]] = {layer: [] for layer in wanted}
        start = 0
        for rows in self._parts(stimuli.shape[0], wanted) if wanted else ():
            answers = self._ask(stimuli[start : start + rows], wanted, self._trial + start)
            for layer in wanted:
                found[layer].append(answers[layer])
            start += rows
        self._trial += stimuli.shape[0]
        empty = {layer: torch.zeros(0, *self._layers[layer].shape) for layer in wanted}
        return {layer: torch.cat([empty[layer], *parts]).to(stimuli.device) for layer, parts in found.items()}

    def _parts(self, count: int, layers: Sequence[str]) -> list[int]:
        sent = 4 * math.prod(self.stimulus.shape)
        back = sum(_WIDE * math.prod(self._layers[layer].shape) for layer in layers)
        names = sum(2 * len(layer.encode()) + 64 for layer in layers)
        try:
            most = self._described.max_message_bytes
            return rows_within(count, self._batch, self._described.max_batch, most, max(sent, back) + names)
        except ValueError as error:
            raise PluginError(f"{self._connection.shown}: stimuli and responses are too large: {error}") from None

    def _ask(self, stimuli: Tensor, layers: Sequence[str], trial: int) -> dict[str, Tensor]:
        request = pb.RespondRequest(layers=layers, seed=self._seed, trial=trial)
        fill(request.stimuli, stimuli.float())
        answer = self._connection.ask("Respond", request, pb.RespondResponse, self.version)
        if set(answer.responses) != set(layers):
            missing = ", ".join(sorted(set(layers) - set(answer.responses))[:5])
            said = f"without {missing}" if missing else "with layers that it was not asked for"
            raise PluginError(f"{self._connection.shown}: it answered {said}")
        found: dict[str, Tensor] = {}
        for layer in layers:
            try:
                values = from_message(answer.responses[layer], (stimuli.shape[0], *self._layers[layer].shape))
            except BadTensor as error:
                raise PluginError(f"{self._connection.shown}: layer {layer} {error}") from None
            wrong = values.isinf() if self._described.misses else ~values.isfinite()
            if bool(wrong.any()):
                row = int(wrong.flatten(1).any(1).nonzero()[0])
                hint = "" if self._described.misses else "; one that leaves stimuli unanswered says so in its description (misses)"
                raise PluginError(f"{self._connection.shown}: layer {layer} answers stimulus {row} with NaN or infinity{hint}")
            found[layer] = values
        return found
