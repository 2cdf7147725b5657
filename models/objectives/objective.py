"""The Objective contract: responses in, one score a candidate out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from torch import Tensor

STIMULUS = "(stimulus)"
LATENT = "(latent)"
OFFERED = frozenset({STIMULUS, LATENT})
"""Names that an objective may have among its layers besides a target's: the stimuli, (n, *stimulus), before any transformation, and the
latents, (n, *latent), as asked. Regularisers read them."""


@runtime_checkable
class Objective(Protocol):
    """Scores responses; higher is better. Scores are differentiable wherever responses are.

    A score depends on its own candidate alone, unless the objective :class:`ComparesCandidates`.
    """

    @property
    def layers(self) -> frozenset[str]:
        """The layers of the target that it reads, and the names of :data:`OFFERED` that it needs."""
        ...

    def __call__(self, responses: Mapping[str, Tensor], /) -> Tensor:
        """Return the scores of responses: one (n, *layer) for each of ``layers`` -> (n,)."""
        ...


@runtime_checkable
class ComparesCandidates(Protocol):
    """An objective whose scores may depend on the other candidates of their generation, such as a reward for differences.

    The engine then shows all candidates of a search's generation in one pass.
    """

    @property
    def compares(self) -> bool:
        """Whether scores depend on the other candidates."""
        ...


def compares(objective: Objective) -> bool:
    """Return whether an objective's scores depend on the other candidates."""
    return isinstance(objective, ComparesCandidates) and objective.compares
