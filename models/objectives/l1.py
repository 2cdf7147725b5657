"""Few values away from grey."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from .regulariser import Norm


class L1(Norm):
    """Mean absolute distance of a stimulus's (or latent's) values from a centre, ≥ 0; subtract it (as in Lucid's recipes)."""

    def __call__(self, responses: Mapping[str, Tensor], /) -> Tensor:
        """-> (n,)."""
        return self.distances(responses).abs().mean(1)
