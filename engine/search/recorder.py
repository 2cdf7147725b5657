"""What watches a search for an analysis, and goes with it through checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ...models.spaces import LatentSpace, StimulusSpec

Decode = Callable[[Tensor], NDArray[np.float32]]
"""(n, *latent) to (n, *stimulus), in passes that fit."""


@dataclass(frozen=True)
class SearchPlan:
    """What is known of a search before it begins.

    Attributes
    ----------
    number, searches : int
        Its place among the job's searches, from 0, and how many there are.
    latent : LatentSpace
        What it searches.
    stimulus : StimulusSpec
        What latents become.
    evaluations : int or None
        How many it may make; None without such a limit.
    """

    number: int
    searches: int
    latent: LatentSpace
    stimulus: StimulusSpec
    evaluations: int | None


class Recorder(Protocol):
    """Keeps something of one search, in bounded memory. It changes nothing that the search does."""

    def see(self, before: int, latents: Tensor, scores: NDArray[np.float64], replicates: int, harden: Callable[[Tensor], Tensor]) -> None:
        """Candidates have been scored.

        Parameters
        ----------
        before : int
            Evaluations made before them.
        latents : Tensor
            (n, *latent) as they were asked, on any device; ``harden`` brings relaxed codes to codes.
        scores : ndarray
            (n,) means over ``replicates`` showings each, NaN where missed.
        """
        ...

    def attend(self, gradients: Tensor) -> None:
        """Gradients of the scores at the stimuli, (n, *stimulus), of searches that use them."""
        ...

    def result(self, decode: Decode) -> Any:
        """What it has kept, once the search has ended; None for nothing."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """All that it needs to go on: plain data and tensors."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from ``state``."""
        ...
