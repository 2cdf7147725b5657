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
        What it is, e.g. ``Conv2d`` or ``spike count``.
    response_unit : str
        What its responses are measured in, as axes and tables say it, e.g. ``spikes`` or ``logit``; empty where they have no unit.
    """

    name: str
    shape: tuple[int, ...]
    kind: str
    response_unit: str = ""


@runtime_checkable
class Target(Protocol):
    """Answers stimuli. Its own normalisation happens inside it; it is never changed by being asked.

    Equal stimuli get equal responses, unless it :class:`HasNoise`.
    """

    @property
    def stimulus(self) -> StimulusSpec:
        """What it takes."""
        ...

    @property
    def differentiable(self) -> bool:
        """Whether gradients flow from responses to stimuli."""
        ...

    def layers(self) -> Sequence[LayerInfo]:
        """What can be maximised, in the order of evaluation."""
        ...

    def respond(self, stimuli: Tensor, layers: Collection[str], /) -> Mapping[str, Tensor]:
        """(n, *stimulus) -> for each of ``layers`` its response, (n, *layer), float.

        Raises
        ------
        KeyError
            A layer is not one of ``layers()``.
        """
        ...

    def to(self, device: str, /) -> Target:
        """Move to a device and return itself."""
        ...


@runtime_checkable
class HasUnitNames(Protocol):
    """A target whose units have names, e.g. the classes of a classifier."""

    def unit_name(self, layer: str, index: tuple[int, ...]) -> str:
        """The unit's name, empty where it has none."""
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
    """A target that knows how its units answer natural stimuli."""

    def natural_quantiles(self, layer: str, index: tuple[int, ...]) -> Mapping[float, float] | None:
        """Quantile (0 to 1) to response of one unit over natural stimuli, or None where it was not measured."""
        ...


@runtime_checkable
class HasNoise(Protocol):
    """A target that says whether it may answer the same stimulus differently twice."""

    @property
    def noisy(self) -> bool:
        """Whether it may; searches then measure their leaders again, and optimizers mistrust a single score."""
        ...


@runtime_checkable
class CountsTrials(Protocol):
    """A target that depends on a seed and the trial's number, as by its noise, and on nothing else: a resumed job meets the same."""

    def begin(self, seed: int, trial: int) -> None:
        """Stimuli shown from now on are trials ``trial``, ``trial + 1``, … of the job of that ``seed``."""
        ...


@runtime_checkable
class PreservesState(Protocol):
    """A target or generator around a network that is to be left as it was, over several calls and their backward passes too."""

    def preserved(self) -> AbstractContextManager[object]:
        """Return a context within which the network is in evaluation mode, and after which it is as it was before, to the bit.

        Calls enter it themselves. Hold it around a call and its backward pass, in which activation checkpointing runs the network again.
        The same thread may enter it again; another thread waits.
        """
        ...


@runtime_checkable
class HasNotices(Protocol):
    """A target that says what a user has to know about its answers."""

    @property
    def notices(self) -> Sequence[str]:
        """Sentences for the result, such as that stimuli are shown one by one since rows of a batch mix; more may come with the calls."""
        ...


@runtime_checkable
class HasGraphEnd(Protocol):
    """A differentiable target that finds out where gradients get lost."""

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
    """A target that hands out the tensors that its layers compute, uncopied and with the autograd graph attached.

    ``respond`` gives copies, read out over time. Wrappers such as ``noisy`` don't have it: what they answer stands for a measurement, and a
    measured system shows no activations. Ask the target inside.
    """

    def activations(self, stimuli: Tensor, layers: Collection[str], /) -> Mapping[str, Sequence[Tensor]]:
        """Return what ``layers`` compute, for each a tensor a time step, (n, *layer), in the network's precision.

        A target without time steps gives one tensor a layer. A spiking target gives spikes, or membranes where it is read out by those; a
        layer that is computed once for all steps gives one tensor too. Gradients are recorded where ``stimuli`` require them. The network
        goes on with the very tensors that are returned, so what deeper layers compute has a gradient with respect to them; but for
        membranes and the heads of an ``nn.MultiheadAttention``, which only have one to the stimuli. Hold
        :meth:`PreservesState.preserved` around this call and the backward passes.

        Raises
        ------
        KeyError
            A layer does not exist.
        ValueError
            The network is shown fewer stimuli at once, as where it mixes the rows of a batch, or can only be differentiated as a whole.
        """
        ...


@runtime_checkable
class HasModule(Protocol):
    """A target around a torch module, for libraries that need the module. Wrappers such as ``noisy`` don't have it."""

    @property
    def module(self) -> nn.Module:
        """The network itself. Names of layers are those of its submodules, but for tensors within their answers."""
        ...

    @property
    def steps(self) -> int | None:
        """None where ``module(prepare(stimuli))`` is a forward pass; otherwise the time steps that a spiking network is presented for."""
        ...

    def prepare(self, stimuli: Tensor, /) -> Tensor:
        """Return ``stimuli``, (n, *stimulus), as the module takes them: normalised or coded, on its device, in its precision.

        They are in memory of their own, and have a time dimension in front, (steps, n, *input), where a spiking network's input changes.
        """
        ...
