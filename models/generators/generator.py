"""The Generator contract: latents in, stimuli out."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from ..spaces import LatentSpace, StimulusSpec
from .prior import Prior


@runtime_checkable
class Generator(Protocol):
    """Decodes latents into stimuli.

    A generator has no random state: the same latents give the same stimuli. Where it is ``differentiable``, gradients flow from stimuli to
    float latents. A differentiable Categorical generator then also takes relaxed latents: float weights over the codes of shape
    (n, *latent, cardinality). One-hot weights give the same stimuli as their codes.
    """

    @property
    def latent(self) -> LatentSpace:
        """The space to search; its shape is its geometry."""
        ...

    @property
    def prior(self) -> Prior | None:
        """The natural latents that are known, or None."""
        ...

    @property
    def stimulus(self) -> StimulusSpec:
        """Shape, range and modality of its stimuli."""
        ...

    @property
    def differentiable(self) -> bool:
        """Whether gradients flow from stimuli to latents."""
        ...

    def __call__(self, latents: Tensor, /) -> Tensor:
        """Return the stimuli of latents: (n, *latent) -> float32, (n, *stimulus), within the stimulus's range."""
        ...

    def to(self, device: str, /) -> Generator:
        """Move to a torch device, and return the generator on it."""
        ...


class Unfit(ValueError):
    """A generator that can't make the stimuli that a target takes; the message gives the reason."""


@runtime_checkable
class FitsStimulus(Protocol):
    """The class of a generator that makes stimuli of any specification, such as the target's."""

    @classmethod
    def for_stimulus(cls, options: Any, stimulus: StimulusSpec, /) -> Generator:
        """Return a generator of stimuli of a given specification.

        Parameters
        ----------
        options : Options
            An instance of the class's own ``Options``.
        stimulus : StimulusSpec
            The stimuli that the target takes.

        Raises
        ------
        Unfit
            The generator can't make stimuli of that modality, shape or range.
        InvalidOption
            An option does not fit the stimulus.
        """
        ...


@runtime_checkable
class HasStep(Protocol):
    """A generator that knows a good step length of gradient searches."""

    @property
    def step(self) -> float:
        """Length of one step of one coordinate, in the latent's unit, > 0."""
        ...


@runtime_checkable
class HasCodebook(Protocol):
    """A Categorical generator whose codes have vectors: codes with near vectors make similar stimuli."""

    @property
    def codebook(self) -> Tensor:
        """(cardinality, width), one vector a code."""
        ...
