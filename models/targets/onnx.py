"""An ONNX file as a target by ONNX Runtime: its outputs and all tensors in between, without gradients."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
import torch
from pydantic import AfterValidator, Field
from torch import Tensor

from ..options import InvalidOption
from ..permissions import permitted_model
from ..spaces import StimulusSpec
from .layers import require_layers
from .onnx_graph import Graph, read_graph
from .pretrained import needs
from .stimulus_options import NormalisedOptions
from .target import LayerInfo

_PROBE = 2
_SESSIONS = 4
"""Most sessions in the cache, each for one set of layers."""


class OnnxTarget:
    """An ONNX file, run by ONNX Runtime: its outputs and every tensor in between are layers, without gradients."""

    class Options(NormalisedOptions):
        """Options of the target."""

        file: Annotated[str, AfterValidator(permitted_model), Field(min_length=1, max_length=4096, description="Path of the .onnx file.")]
        shape: tuple[int, ...] | None = Field(
            default=None, description="Shape of one stimulus; needed only where the file leaves dimensions open."
        )
        input: str | None = Field(default=None, description="Which input takes the stimuli; needed only where there are several.")
        threads: int | None = Field(default=None, ge=1, le=1024, description="CPU threads; torch's number by default.")

    def __init__(
        self,
        graph: Graph,
        stimulus: StimulusSpec,
        *,
        prepare: Callable[[Tensor], Tensor] | None = None,
        unit_names: Sequence[str] = (),
        threads: int | None = None,
    ) -> None:
        """Find the layers of a graph by running it on two grey stimuli.

        Parameters
        ----------
        graph : Graph
            A graph of :func:`actmax.models.targets.onnx_graph.read_graph`.
        stimulus : StimulusSpec
            The stimuli that its input takes.
        prepare : callable, optional
            Applied to the stimuli first.
        unit_names : sequence of str
            Names of the units of the outputs.
        threads : int or None
            CPU threads of ONNX Runtime; torch's number at the time of a call by default.

        Raises
        ------
        ValueError
            The graph refuses such stimuli, or has no float tensor with a row for each.
        """
        self.stimulus = stimulus
        self._graph = graph
        self._prepare = prepare
        self._unit_names = list(unit_names)
        self._threads = threads
        self._device = "cpu"
        self._sessions: OrderedDict[tuple[frozenset[str], int, str], Any] = OrderedDict()
        probe = torch.full((_PROBE, *stimulus.shape), (stimulus.low + stimulus.high) / 2)
        try:
            self._session(list(graph.tensors))
        except Exception as error:  # ONNX Runtime raises a class for each of its status codes
            raise ValueError(f"ONNX Runtime can't run it: {_first_line(error)}") from error
        try:
            answers = self._run(probe, list(graph.tensors))
        except Exception as error:
            raise ValueError(f"the graph does not take stimuli of {stimulus}: {_first_line(error)}") from error
        self._layers = {
            name: LayerInfo(name, tuple(answer.shape[1:]), graph.tensors[name])
            for name, answer in answers.items()
            if answer.ndim >= 2 and answer.shape[0] == _PROBE and answer.dtype.kind == "f"
        }
        self._sessions.clear()
        if not self._layers:
            raise ValueError("the graph answers with no float tensor that has a row for each stimulus")

    @classmethod
    def from_options(cls, options: Options) -> Self:
        """Read the file and return the target.

        Raises
        ------
        InvalidOption
            The file is missing or damaged, ONNX Runtime can't run it, or the options don't fit its input.
        """
        needs("onnxruntime", "onnx", option="file")
        graph = read_graph(Path(options.file).expanduser(), options.input)
        stimulus = options.spec_of(graph.stimulus_shape(options.shape))
        prepare = options.normalise(stimulus.shape[0])
        try:
            return cls(graph, stimulus, prepare=prepare, unit_names=options.names, threads=options.threads)
        except ValueError as error:
            raise InvalidOption("file", f"{Path(options.file).name}: {error}") from error

    @property
    def differentiable(self) -> bool:
        """False: ONNX Runtime computes no gradients."""
        return False

    def to(self, device: str, /) -> Self:
        """Use the GPU if ONNX Runtime supports it, otherwise the CPU, and return the target."""
        self._device = device
        return self

    def layers(self) -> Sequence[LayerInfo]:
        """Return every float tensor with a row for each stimulus, by its name in the file, in the order of evaluation."""
        return list(self._layers.values())

    def unit_name(self, layer: str, index: tuple[int, ...]) -> str:
        """Return the name of a unit of an output; empty where it has none."""
        known = layer in self._graph.outputs and len(index) == 1 and index[0] < len(self._unit_names)
        return self._unit_names[index[0]] if known else ""

    def respond(self, stimuli: Tensor, layers: Collection[str], /) -> Mapping[str, Tensor]:
        """Return the responses to stimuli: (n, *stimulus) -> {layer: (n, *layer)}; only the nodes that the layers need are run.

        Raises
        ------
        KeyError
            A layer does not exist; the message suggests near names.
        """
        require_layers(layers, self._layers)
        if not stimuli.shape[0] or not layers:
            return {layer: stimuli.new_zeros(0, *self._layers[layer].shape, dtype=torch.float32) for layer in layers}
        answers = self._run(stimuli, list(layers))
        return {layer: torch.from_numpy(answer).float().to(stimuli.device) for layer, answer in answers.items()}

    def _run(self, stimuli: Tensor, layers: Sequence[str]) -> dict[str, np.ndarray]:
        shown = stimuli.detach()
        given = (shown if self._prepare is None else self._prepare(shown)).cpu().numpy().astype(self._graph.dtype)
        session = self._session(layers)
        rows = self._graph.batch or given.shape[0]
        parts: list[list[np.ndarray]] = []
        for start in range(0, given.shape[0], rows):
            part = given[start : start + rows]
            if short := rows - part.shape[0]:  # a file with a fixed batch size refuses fewer
                part = np.concatenate([part, np.repeat(part[-1:], short, 0)])
            parts.append(session.run(list(layers), {self._graph.input: part}))
        if self._graph.batch is None:
            return dict(zip(layers, parts[0], strict=True))
        joined: dict[str, np.ndarray] = {}
        for place, layer in enumerate(layers):
            answers = [part[place] for part in parts]
            if all(answer.ndim and answer.shape[0] == rows for answer in answers):
                joined[layer] = np.concatenate(answers)[: given.shape[0]]
        return joined

    def _session(self, layers: Sequence[str]) -> Any:
        """Return a session that computes only ``layers``."""
        threads = self._threads or torch.get_num_threads()
        key = (frozenset(layers), threads, self._device)
        if key not in self._sessions:
            import onnxruntime

            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = threads
            options.inter_op_num_threads = 1
            options.log_severity_level = 4
            # threads that spin while they wait slow down everything else on the machine
            options.add_session_config_entry("session.intra_op.allow_spinning", "0")
            wanted = "CUDAExecutionProvider" if self._device.startswith("cuda") else ""
            providers = [name for name in (wanted, "CPUExecutionProvider") if name in onnxruntime.get_available_providers()]
            self._sessions[key] = onnxruntime.InferenceSession(self._graph.answering(layers), options, providers=providers)
            while len(self._sessions) > _SESSIONS:
                self._sessions.popitem(last=False)
        self._sessions.move_to_end(key)
        return self._sessions[key]


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"
