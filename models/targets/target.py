"""The Target contract: stimuli in, responses out."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import Tensor

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
    """

    name: str
    shape: tuple[int, ...]
    kind: str


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
