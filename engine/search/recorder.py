"""Recorders: observe a search for an analysis, and are saved in its checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ...models.spaces import LatentSpace, StimulusSpec

Decode = Callable[[Tensor], NDArray[np.float32]]
"""Maps latents (n, *latent) to stimuli (n, *stimulus), in passes that fit in memory."""


@dataclass(frozen=True)
class SearchPlan:
    """What is known of a search before it begins.

    Attributes
    ----------
    number, searches : int
        Position among the job's searches, from 0, and their number.
    latent : LatentSpace
        Space that is searched.
    stimulus : StimulusSpec
        The generator's stimulus.
    evaluations : int or None
        Most evaluations; None without such a limit.
    """

    number: int
    searches: int
    latent: LatentSpace
    stimulus: StimulusSpec
    evaluations: int | None


class Recorder(Protocol):
    """Records something of one search, in bounded memory. It does not change the search."""

    def see(self, before: int, latents: Tensor, scores: NDArray[np.float64], replicates: int, harden: Callable[[Tensor], Tensor]) -> None:
        r"""Record candidates that have been scored.

        Parameters
        ----------
        before : int
            Evaluations made before these candidates.
        latents : Tensor
            (n, \*latent) as the optimizer asked for them, on any device.
        scores : ndarray
            (n,) means over ``replicates`` showings each, NaN for missed trials.
        replicates : int
            Showings of each candidate.
        harden : callable
            Maps relaxed codes to codes, and leaves other latents as they are.
        """
        ...

    def attend(self, gradients: Tensor) -> None:
        r"""Record gradients of the scores with respect to the stimuli, (n, \*stimulus), of searches that use them."""
        ...

    def result(self, decode: Decode) -> Any:
        """Return what was recorded, once the search has ended; None for nothing."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Return the state as nested plain data and tensors."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state that :meth:`state_dict` returned."""
        ...
