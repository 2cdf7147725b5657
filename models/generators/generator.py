"""The Generator contract: latents in, stimuli out."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from ..spaces import LatentSpace, StimulusSpec
from .prior import Prior


@runtime_checkable
class Generator(Protocol):
    """Decodes latents into stimuli.

    A generator has no random state: the same latents give the same stimuli. Where it is ``differentiable``, gradients
    flow from stimuli to float latents; a Categorical generator then also takes relaxed latents, float weights over
    the codes of shape (n, *latent, cardinality), and gives for one-hot weights what it gives for the codes.
    """

    @property
    def latent(self) -> LatentSpace:
        """The space that is searched; its shape is its geometry."""
        ...

    @property
    def prior(self) -> Prior | None:
        """What natural latents look like, or None where nothing is known."""
        ...

    @property
    def stimulus(self) -> StimulusSpec:
        """What it makes."""
        ...

    @property
    def differentiable(self) -> bool:
        """Whether gradients flow through it."""
        ...

    def __call__(self, latents: Tensor, /) -> Tensor:
        """(n, *latent) -> (n, *stimulus), float32 within the stimulus's range."""
        ...

    def to(self, device: str, /) -> Generator:
        """Move to a device and return itself."""
        ...


class Unfit(ValueError):
    """A generator that can't make the stimuli that a target takes; the message says why."""


@runtime_checkable
class FitsStimulus(Protocol):
    """The class of a generator that has no stimulus of its own and makes whatever the target takes."""

    @classmethod
    def for_stimulus(cls, options: Any, stimulus: StimulusSpec, /) -> Generator:
        """A generator of such stimuli, of ``options``, a model of the class's own ``Options``.

        Raises
        ------
        Unfit
            It can't make stimuli of that modality, shape or range.
        InvalidOption
            An option does not fit the stimulus.
        """
        ...


@runtime_checkable
class HasStep(Protocol):
    """A generator that knows how far a gradient search should move a latent at once."""

    @property
    def step(self) -> float:
        """Length of one step of one coordinate, in the latent's unit."""
        ...


@runtime_checkable
class HasCodebook(Protocol):
    """A Categorical generator whose codes have a place in a vector space: near codes make like stimuli."""

    @property
    def codebook(self) -> Tensor:
        """(cardinality, width), one vector a code."""
        ...
