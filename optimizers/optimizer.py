"""The Optimizer contract: ask and tell for every family, gradient searches included."""

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
    """The problem that an optimizer is built for: the space, the budget and all that is known in advance.

    Attributes
    ----------
    latent : LatentSpace
        The space to search.
    seed : int
        Seed of its own random generators.
    evaluations : int or None
        Number of evaluations that the optimizer can expect, for schedules; None when unknown.
    bank : Tensor or None
        (m, *latent) natural latents to start from, or None for a blind start.
    device : str
        Torch device for the optimizer's own arithmetic.
    density : callable or None
        Returns the density of natural latents, fitted to the bank at the first call; None for a blind start.
    code_vectors : Tensor or None
        (cardinality, width): the vector of each code of a Categorical space, for spaces whose codes have a geometry.
    differentiable : bool
        Whether gradients are available, for optimizers that work with or without them.
    lacks : str
        Why gradients are unavailable although all parts declare them, as a check before the search has shown; empty otherwise.
    pixels : bool
        Whether a latent has the shape of a stimulus, each coordinate being one of the stimulus's values.
    noisy : bool
        Whether repeated evaluations of one latent may score differently.
    step : float or None
        Length of one gradient step in a coordinate of a Box, in the coordinate's unit; None when unknown.
    starts : Tensor or None
        (k, *latent) latents to try first, the most promising first, such as the results of an earlier search. Their scores are unknown:
        the optimizer asks them like any candidate.
    stimuli : StimulusMap or None
        The map from latents to stimuli of the search's generator; None without a generator. The constructor must not call it, since the
        generator may not be on its device yet.
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
    """The evaluated candidates of one ``ask``.

    Attributes
    ----------
    latents : Tensor
        (n, *latent), the candidates row for row.
    scores : Tensor
        (n,) float64, higher is better; NaN for a missed trial.
    variance : Tensor or None
        (n,) variance of each score over its replicates; None without replicates.
    gradients : Tensor or None
        d score / d latent, of the shape of ``latents``, for optimizers with ``needs_gradient``. Rows of missed trials have no meaning.
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
    """A pydantic model, ``type[BaseModel]``; typed as Any so that subclasses may declare their own model."""

    @property
    def needs_gradient(self) -> bool:
        """Whether the evaluations of the next ``ask`` must carry gradients.

        True on the class where every ask needs gradients: such an optimizer is refused for a search without them. Any other optimizer
        may switch it between ``tell`` and ``ask`` where its problem is ``differentiable``.
        """
        ...

    def ask(self) -> Tensor:
        """Return the next batch of candidates. Repeated calls before ``tell`` return the same batch.

        Returns
        -------
        Tensor
            (n, *latent), n >= 1; relaxed weights, (n, *latent, cardinality), where ``needs_gradient`` is set and the space is Categorical.
        """
        ...

    def tell(self, evaluations: Evaluations) -> None:
        """Learn from the evaluations of the last ``ask``.

        Parameters
        ----------
        evaluations : Evaluations
            One score a candidate, NaN for missed trials; with gradients where ``needs_gradient`` was set.
        """
        ...

    def recommend(self) -> Tensor:
        """Return the best latent by the optimizer's own judgement: (*latent), codes where the space is Categorical.

        Raises
        ------
        RuntimeError
            No score is known yet.
        """
        ...

    def state_dict(self) -> State:
        """Return the optimizer's state as nested plain data and tensors. Valid between ``tell`` and the next ``ask``."""
        ...

    def load_state_dict(self, state: State) -> None:
        """Continue from a state of :meth:`state_dict`.

        Parameters
        ----------
        state : State
            The state of an optimizer built for the same problem with the same options.
        """
        ...


@runtime_checkable
class HasNote(Protocol):
    """An optimizer that describes itself for reports, such as which search it chose and why."""

    @property
    def note(self) -> str:
        """The description, one line."""
        ...


@runtime_checkable
class Listener(Protocol):
    """An optimizer that also learns from evaluations of other searches.

    The searches of a job share their stimuli, scored for every unit: after each ``tell``, a Listener observes the others' candidates.
    """

    def observe(self, evaluations: Evaluations) -> None:
        """Learn from other searches' candidates.

        Parameters
        ----------
        evaluations : Evaluations
            Hard latents of the space, scored for this optimizer's own objective, without gradients.
        """
        ...
