"""The Optimizer contract: ask/tell for every family, the gradient ones included."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

from torch import Tensor

from ..models.densities import Density
from ..models.spaces import LatentSpace, StimulusSpec

State = Mapping[str, Any]
"""Nested mappings and lists of tensors, strings, numbers, booleans and None: what a checkpoint can hold."""


class Unsuitable(ValueError):
    """An optimizer can't search a space; the message says why and what would work instead."""


@dataclass(frozen=True)
class StimulusMap:
    """The way from latents to stimuli, for optimizers that model stimuli instead of latents.

    Attributes
    ----------
    make : callable
        Latents, (n, *latent), to stimuli, (n, *stimulus), on one device.
    stimulus : StimulusSpec
        Shape, range and modality of a stimulus.
    differentiable : bool
        Whether gradients flow from stimuli to latents.
    device : str
        Where ``make`` computes.
    """

    make: Callable[[Tensor], Tensor]
    stimulus: StimulusSpec
    differentiable: bool = False
    device: str = "cpu"

    def __call__(self, latents: Tensor) -> Tensor:
        """Return the stimuli that ``latents`` are shown as, before any transformation.

        Parameters
        ----------
        latents : Tensor
            (n, *latent), as they are asked: codes or, where the map is ``differentiable``, relaxed weights too. A graph is recorded where
            they require gradients and the grad mode allows it.

        Returns
        -------
        Tensor
            (n, *stimulus), float32, on the device of ``latents``.
        """
        return self.make(latents.to(self.device)).to(latents.device)


@dataclass(frozen=True)
class Problem:
    """What an optimizer is told before it starts.

    Attributes
    ----------
    latent : LatentSpace
        The space to search.
    seed : int
        Seed of its own random generators.
    evaluations : int or None
        How many candidates it may expect to be told, for schedules; None when unknown.
    bank : Tensor or None
        (m, *latent) natural latents to start from, or None for a blind start.
    device : str
        Where its own arithmetic is best done.
    density : callable or None
        Gives the density of natural latents, fitted to the bank at the first call; None for a blind start.
    code_vectors : Tensor or None
        (cardinality, width): where each code of a Categorical space lies, for spaces whose codes have a geometry.
    differentiable : bool
        Whether gradients are to be had, for optimizers that can do with or without.
    lacks : str
        Why gradients are not to be had although the parts say so, as seen before the search; empty otherwise.
    pixels : bool
        Whether latents are shaped as stimuli, each coordinate one of a stimulus's values.
    noisy : bool
        Whether the same latent may score differently twice.
    step : float or None
        How far one step along a gradient should move a coordinate of a Box, in its own unit; None when unknown.
    starts : Tensor or None
        (k, *latent) latents to try before any other, the most promising first, such as what an earlier search has found. Their scores
        are not known: they are asked like all others.
    stimuli : StimulusMap or None
        The map from latents to the stimuli that are shown, as the search's generator makes them; None where there is no generator. The
        constructor must not call it: the generator may not be on its device yet.
    """

    latent: LatentSpace
    seed: int
    evaluations: int | None = None
    bank: Tensor | None = None
    device: str = "cpu"
    density: Callable[[], Density] | None = None
    code_vectors: Tensor | None = None
    differentiable: bool = False
    noisy: bool = False
    step: float | None = None
    starts: Tensor | None = None
    lacks: str = ""
    pixels: bool = False
    stimuli: StimulusMap | None = None


@dataclass(frozen=True)
class Evaluations:
    """Answers to one ``ask``.

    Attributes
    ----------
    latents : Tensor
        What was asked, row for row.
    scores : Tensor
        (n,) float64, higher is better; NaN where a trial was missed.
    variance : Tensor or None
        (n,) variance of each score where it was replicated.
    gradients : Tensor or None
        d score / d latent, of the shape of ``latents``, for optimizers with ``needs_gradient``; rows of missed trials are
        to be ignored.
    """

    latents: Tensor
    scores: Tensor
    variance: Tensor | None = None
    gradients: Tensor | None = None


@runtime_checkable
class Optimizer(Protocol):
    """Proposes latents and learns from their scores.

    Implementations are built as ``Class(problem, options)`` and registered under the entry-point group
    ``actmax.optimizers``. They are deterministic given ``problem.seed``, draw from generators of their own, accept
    NaN scores, and continue bit for bit after ``load_state_dict(state_dict())`` on a freshly built twin.

    Raises
    ------
    Unsuitable
        From the constructor, when the latent space cannot be searched this way.
    """

    Options: ClassVar[Any]
    """A pydantic model, ``type[BaseModel]``; typed loosely, since a class of one's own is not the base class."""

    @property
    def needs_gradient(self) -> bool:
        """Whether answers to the next ``ask`` must carry gradients.

        On the class it is True where they always must: such an optimizer is refused for a search without gradients. Another may
        turn it on and off between ``tell`` and ``ask`` where its problem is ``differentiable``.
        """
        ...

    def ask(self) -> Tensor:
        """The next candidates, (n, *latent).

        One with ``needs_gradient`` asks relaxed weights, (n, *latent, cardinality), where the space is Categorical.
        """
        ...

    def tell(self, evaluations: Evaluations) -> None:
        """Learn from the answers to the last ``ask``."""
        ...

    def recommend(self) -> Tensor:
        """Its answer, one latent, (*latent): codes where the space is Categorical.

        Raises
        ------
        RuntimeError
            Nothing was told yet.
        """
        ...

    def state_dict(self) -> State:
        """All that it would need to go on, between a ``tell`` and the next ``ask``."""
        ...

    def load_state_dict(self, state: State) -> None:
        """Go on from ``state``."""
        ...


@runtime_checkable
class HasNote(Protocol):
    """An optimizer that has something to say of itself, such as what it chose and why; reports show it."""

    @property
    def note(self) -> str:
        """One line."""
        ...


@runtime_checkable
class Listener(Protocol):
    """An optimizer that also learns from evaluations that it did not ask for.

    The searches of a job show each other's stimuli to all of its units; whoever listens is told after each ``tell``.
    """

    def observe(self, evaluations: Evaluations) -> None:
        """Learn from others' candidates, hard latents of the space, scored for this optimizer's own objective; without gradients."""
        ...
