"""A penalty on the absolute distance of values from grey."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from .regulariser import Norm


class L1(Norm):
    """Mean absolute distance of a stimulus's (or latent's) values from a centre, ≥ 0; subtract it (as in Lucid's recipes)."""

    def __call__(self, responses: Mapping[str, Tensor], /) -> Tensor:
        """Return the penalties of stimuli or latents, ≥ 0: (n,)."""
        return self.distances(responses).abs().mean(1)
