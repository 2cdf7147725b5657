"""The Target contract: stimuli in, responses out."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import Tensor, nn

from ..spaces import StimulusSpec


@dataclass(frozen=True)
class LayerInfo:
    """One layer whose units can be maximised.

    Attributes
    ----------
    name : str
        Its address, e.g. ``layer4.0.conv2``.
    shape : tuple of int
        Shape of its response to one stimulus.
    kind : str
        Kind of the layer or its response, e.g. ``Conv2d`` or ``spike count``.
    response_unit : str
        What its responses are measured in, as axes and tables say it, e.g. ``spikes`` or ``logit``; empty where they have no unit.
    """

    name: str
    shape: tuple[int, ...]
    kind: str
    response_unit: str = ""


@runtime_checkable
class Target(Protocol):
    """Responds to stimuli. Normalisation takes place inside the target; calls never change it.

    Equal stimuli get equal responses, unless the target :class:`HasNoise`.
    """

    @property
    def stimulus(self) -> StimulusSpec:
        """Shape, range and modality of the stimuli that it takes."""
        ...

    @property
    def differentiable(self) -> bool:
        """Whether gradients flow from responses to stimuli."""
        ...

    def layers(self) -> Sequence[LayerInfo]:
        """Return the layers whose units can be maximised, in the order of evaluation."""
        ...

    def respond(self, stimuli: Tensor, layers: Collection[str], /) -> Mapping[str, Tensor]:
        """Return the responses to stimuli: (n, *stimulus) -> {layer: (n, *layer)}, floats, for each of ``layers``.

        Raises
        ------
        KeyError
            A layer is not one of ``layers()``.
        """
        ...

    def to(self, device: str, /) -> Target:
        """Move to a torch device, and return the target on it."""
        ...


@runtime_checkable
class HasUnitNames(Protocol):
    """A target whose units have names, e.g. the classes of a classifier."""

    def unit_name(self, layer: str, index: tuple[int, ...]) -> str:
        """Return the name of a unit, given by its layer and its index; empty where it has none."""
        ...


@runtime_checkable
class HasInputNames(Protocol):
    """A target whose stimuli are rows of a table with named columns."""

    @property
    def input_names(self) -> Sequence[str]:
        """Name of each value of a stimulus, in the order of its flat values."""
        ...


@runtime_checkable
class HasNaturalResponses(Protocol):
    """A target that knows its units' responses to natural stimuli."""

    def natural_quantiles(self, layer: str, index: tuple[int, ...]) -> Mapping[float, float] | None:
        """Return a unit's responses by quantile (0 to 1) over natural stimuli, or None where they are unknown."""
        ...


@runtime_checkable
class HasNoise(Protocol):
    """A target that declares whether repeated responses to one stimulus may differ."""

    @property
    def noisy(self) -> bool:
        """Whether they may differ; searches then measure their leaders again, and optimizers don't rely on a single score."""
        ...


@runtime_checkable
class CountsTrials(Protocol):
    """A target whose noise depends on a seed and the trial's number alone, so that a resumed job has the same noise."""

    def begin(self, seed: int, trial: int) -> None:
        """Set the job's seed and the number of the next trial; following stimuli count up."""
        ...


@runtime_checkable
class PreservesState(Protocol):
    """A target or generator around a network whose state is restored, also over several calls and their backward passes."""

    def preserved(self) -> AbstractContextManager[object]:
        """Return a context with the network in evaluation mode, which restores its state to the bit.

        Calls enter it themselves. Enter it around a call and its backward pass, in which activation checkpointing runs the network again.
        The same thread may enter it again; another thread waits.
        """
        ...


@runtime_checkable
class HasNotices(Protocol):
    """A target with notices about its responses for the user."""

    @property
    def notices(self) -> Sequence[str]:
        """Sentences for the result, such as that stimuli are shown one by one since rows of a batch mix; calls may add more."""
        ...


@runtime_checkable
class HasGraphEnd(Protocol):
    """A differentiable target that can locate where gradients are lost."""

    def graph_end(self, layer: str, /) -> str | None:
        """Return the name of the module at which the autograd graph ends on the way from the stimuli to ``layer``.

        Returns
        -------
        str or None
            None where the gradient reaches the stimuli; ``""`` where the graph ends outside of any submodule, in the network's own forward.

        Raises
        ------
        KeyError
            The layer does not exist.
        """
        ...


@runtime_checkable
class HasActivations(Protocol):
    """A target that returns the tensors that its layers compute, uncopied and with the autograd graph attached.

    ``respond`` returns copies, read out over time. Wrappers such as ``noisy`` lack this protocol: their responses stand for measurements,
    and a measured system has no visible activations. Use the target inside.
    """

    def activations(self, stimuli: Tensor, layers: Collection[str], /) -> Mapping[str, Sequence[Tensor]]:
        """Return the activations of ``layers``: a tensor for each time step, (n, *layer), in the network's precision.

        A target without time steps returns one tensor a layer. A spiking target returns spikes, or membranes where its readout is the
        membrane; a layer that is computed once for all steps has one tensor too. Gradients are recorded where ``stimuli`` require them. The
        network continues with the returned tensors themselves, so activations of deeper layers have a gradient with respect to them.
        Exceptions are membranes and the heads of an ``nn.MultiheadAttention``, whose gradients reach only the stimuli. Keep
        :meth:`PreservesState.preserved` open around this call and the backward passes.

        Raises
        ------
        KeyError
            A layer does not exist.
        ValueError
            The network takes fewer stimuli at once, as where it mixes the rows of a batch, or can only be differentiated as a whole.
        """
        ...


@runtime_checkable
class HasModule(Protocol):
    """A target around a torch module, for libraries that need the module. Wrappers such as ``noisy`` lack this protocol."""

    @property
    def module(self) -> nn.Module:
        """The network itself. Names of layers are those of its submodules, apart from tensors within their outputs."""
        ...

    @property
    def steps(self) -> int | None:
        """None where ``module(prepare(stimuli))`` is a forward pass; otherwise the time steps of a spiking network's presentation."""
        ...

    def prepare(self, stimuli: Tensor, /) -> Tensor:
        """Return ``stimuli``, (n, *stimulus), prepared for the module: normalised or coded, on its device, in its precision.

        The result has its own memory. It has a time dimension in front, (steps, n, *input), where a spiking network's input changes.
        """
        ...
