"""The Objective contract: responses in, one score a candidate out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class Objective(Protocol):
    """Scores responses; higher is better. Scores are differentiable wherever responses are."""

    @property
    def layers(self) -> frozenset[str]:
        """The layers that it reads."""
        ...

    def __call__(self, responses: Mapping[str, Tensor], /) -> Tensor:
        """Responses of ``layers``, each (n, *layer) -> scores, (n,)."""
        ...
