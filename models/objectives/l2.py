"""A penalty on the squared distance of values from grey."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from .regulariser import Norm


class L2(Norm):
    """Mean squared distance of a stimulus's (or latent's) values from a centre, ≥ 0; subtract it.

    Of an image, Simonyan et al., "Deep inside convolutional networks", 2014, equation 1; of a latent, the weight decay of DGN-AM's codes
    (Nguyen et al., "Synthesizing the preferred inputs for neurons", 2016).
    """

    def __call__(self, responses: Mapping[str, Tensor], /) -> Tensor:
        """Return the penalties of stimuli or latents, ≥ 0: (n,)."""
        return self.distances(responses).square().mean(1)
