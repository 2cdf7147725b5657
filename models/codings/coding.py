"""The Coding contract: stimuli in, the input of every time step of a spiking network out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Protocol, runtime_checkable

import torch
from pydantic import AfterValidator, ValidationError, ValidationInfo
from torch import Tensor

from ..components import Named, NamedComponent, find
from ..options import InvalidOption
from ..permissions import EVERYTHING, PERMISSIONS, Permissions, permissions_of
from ..spaces import StimulusSpec


@dataclass(frozen=True)
class Presentation:
    """How stimuli are presented, for which a coding is built.

    Attributes
    ----------
    stimulus : StimulusSpec
        Shape and range of a stimulus.
    steps : int
        Time steps that the stimulus is shown for, at least 1.
    seed : int
        Seed of a coding's random draws, unless its options have one.
    """

    stimulus: StimulusSpec
    steps: int
    seed: int = 0

    def brightness(self, stimuli: Tensor) -> Tensor:
        """Return stimuli, (n, *stimulus), moved from the range of their specification to [0, 1]."""
        return (stimuli - self.stimulus.low) / (self.stimulus.high - self.stimulus.low)


@runtime_checkable
class Coding(Protocol):
    """Turns stimuli into the input of every time step. Equal stimuli get equal inputs, in every batch.

    Implementations have a pydantic model ``Options`` and are built by ``from_options(options, presentation)``; they are registered under
    the entry-point group ``actmax.codings``. No state between calls changes their inputs, and they draw from their own random
    generators. Evaluation layer by layer relies on the three properties: a wrong value gives wrong responses.
    :func:`actmax.models.codings.testing.check_coding` checks it.
    """

    @property
    def binary(self) -> bool:
        """Whether every input is 0 or 1; following layers then look up the effect of spikes instead of multiplying."""
        ...

    @property
    def constant(self) -> bool:
        """Whether every step has the same input; layers up to the first neuron are then computed once."""
        ...

    @property
    def differentiable(self) -> bool:
        """Whether gradients flow from inputs to stimuli, by any surrogate."""
        ...

    def __call__(self, stimuli: Tensor, /) -> Tensor:
        """Return the inputs of ``stimuli``, (n, *stimulus), on their device and in their precision.

        Returns
        -------
        Tensor
            (n, *input) where ``constant``, otherwise (steps, n, *input). An input is what the network takes in a step; most codings keep
            the stimulus's shape.
        """
        ...


def coding_of(coding: str | Named | Coding, presentation: Presentation) -> Coding:
    """Return a coding, given by its name, by its name and options, or as an object.

    Parameters
    ----------
    coding : str, Named or Coding
        The coding; an object is returned as it is.
    presentation : Presentation
        How stimuli are presented.

    Raises
    ------
    InvalidOption
        At "coding": no coding has the name, or the coding refuses the options.
    """
    if not isinstance(coding, str | Named):
        return coding
    try:
        component, options = _resolved(coding)
    except ValueError as error:
        raise InvalidOption("coding", f"coding: {error}") from error
    return component.from_options(options, presentation)


def shown_over_time(coding: Coding, stimuli: Tensor, steps: int) -> Tensor:
    """Return ``coding(stimuli)`` after checking its rows and steps.

    Parameters
    ----------
    coding : Coding
        The coding to call.
    stimuli : Tensor
        (n, *stimulus).
    steps : int
        Time steps, at least 1.

    Returns
    -------
    Tensor
        (n, *input) for a constant coding, else (steps, n, *input).

    Raises
    ------
    ValueError
        The inputs have other rows or steps.
    """
    coded = coding(stimuli)
    expected = stimuli.shape[:1] if coding.constant else (steps, *stimuli.shape[:1])
    if not isinstance(coded, Tensor) or coded.shape[: len(expected)] != expected:
        got = f"the shape {tuple(coded.shape)}" if isinstance(coded, Tensor) else type(coded).__name__
        raise ValueError(f"{type(coding).__name__} gave {got} for {len(stimuli)} stimuli; it has to begin with {tuple(expected)}")
    return coded


def require_binary(coding: Coding, coded: Tensor) -> None:
    """Raise ValueError where a coding with ``binary`` returned values other than 0 and 1."""
    if coding.binary and not bool(((coded == 0) | (coded == 1)).all()):
        raise ValueError(f"{type(coding).__name__} says that it is binary and gave other values than 0 and 1")


def wants_gradient(stimuli: Tensor) -> bool:
    """Return whether autograd records operations on ``stimuli``."""
    return torch.is_grad_enabled() and stimuli.requires_grad


def _resolved(coding: str | Named, permissions: Permissions = EVERYTHING) -> tuple[Any, Any]:
    """Return class and options of a named coding."""
    named = Named(name=coding) if isinstance(coding, str) else coding
    component = find("coding", named.name, permissions)
    if not (hasattr(component, "Options") and hasattr(component, "from_options")):
        raise ValueError(f"{named.name} is no coding: it has no Options or no from_options")
    try:
        return component, component.Options.model_validate(dict(named.options), context={PERMISSIONS: permissions})
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"{'.'.join(('options', *map(str, first['loc'])))}: {first['msg']}") from None


def _known(named: Named, info: ValidationInfo) -> Named:
    _resolved(named, permissions_of(info))
    return named


NamedCoding = Annotated[NamedComponent, AfterValidator(_known)]
"""Option type of a coding: its name, or its name and options."""
