"""The Objective contract: responses in, one score a candidate out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from torch import Tensor

STIMULUS = "(stimulus)"
LATENT = "(latent)"
OFFERED = frozenset({STIMULUS, LATENT})
"""What an objective may name among its layers besides a target's: the stimuli, (n, *stimulus), as generated, before any transformation,
and the latents, (n, *latent), as asked. Regularisers read them."""


@runtime_checkable
class Objective(Protocol):
    """Scores responses; higher is better. Scores are differentiable wherever responses are.

    A score depends on its own candidate alone, unless the objective says that it :class:`ComparesCandidates`.
    """

    @property
    def layers(self) -> frozenset[str]:
        """The layers that it reads, and of :data:`OFFERED` what it needs."""
        ...

    def __call__(self, responses: Mapping[str, Tensor], /) -> Tensor:
        """Responses of ``layers``, each (n, *layer) -> scores, (n,)."""
        ...


@runtime_checkable
class ComparesCandidates(Protocol):
    """An objective whose scores may depend on the other candidates of their generation, such as one that wants them to differ.

    The engine then shows all candidates of a search's generation in one pass.
    """

    @property
    def compares(self) -> bool:
        """Whether they do."""
        ...


def compares(objective: Objective) -> bool:
    """Whether its scores depend on the other candidates."""
    return isinstance(objective, ComparesCandidates) and objective.compares
