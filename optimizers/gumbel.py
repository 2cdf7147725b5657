"""Gumbel noise made from normal coordinates, and back: codes as a function of a standard normal latent.

``argmax(log p + gumbel(z))`` with z standard normal is a draw of the categorical p (the Gumbel-max trick), so that a walk of z which keeps
the standard normal draws codes from p.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

WIDEST = 8.0
"""Normal coordinates stay within this many standard deviations."""


def surprise(z: Tensor) -> Tensor:
    """-log Φ(z), positive, to full relative precision on both sides, within +-8 in single precision; much faster than ``log_ndtr``."""
    # in place, since fresh memory costs as much as the arithmetic
    tail = z.abs().div_(math.sqrt(2.0)).erfc_().div_(2.0)
    below = tail.log()
    # a weight of 0 or 1 picks exactly, ten times as fast as a mask
    return below.lerp_(tail.neg_().log1p_(), (z > 0).to(z)).neg_()


def gumbel(z: Tensor) -> Tensor:
    """-log(-log Φ(z)): standard Gumbel where ``z`` is standard normal, within +-8 in single precision."""
    return surprise(z).log_().neg_()


def gumbel_slope(z: Tensor, noise: Tensor | None = None) -> Tensor:
    """d gumbel(z) / dz = φ(z) / (Φ(z) · -log Φ(z)), positive; about z for large z, 2 / -z for very low ones.

    Parameters
    ----------
    z : Tensor
    noise : Tensor or None
        gumbel(z), where it is known.
    """
    noise = gumbel(z) if noise is None else noise
    # with g = gumbel(z), -log Φ = exp(-g): all of it in one exponent
    exponent = noise.neg().exp_().add_(noise)
    return exponent.addcmul_(z, z, value=-0.5).sub_(0.5 * math.log(2 * math.pi)).exp_()


def normal(noise: Tensor) -> Tensor:
    """The inverse of :func:`gumbel`, within +-8: computed in float64, returned in the type of ``noise``."""
    log = -torch.exp(-noise.double())
    below, above = log.exp(), -torch.expm1(log)
    z = torch.where(below < 0.5, torch.special.ndtri(below), -torch.special.ndtri(above))
    return z.clamp(-WIDEST, WIDEST).to(noise)


def noise_behind(codes: Tensor, log_p: Tensor, generator: torch.Generator) -> Tensor:
    """Gumbel noise, drawn given that ``argmax(log_p + noise)`` is ``codes``.

    Maddison, Tarlow and Minka, "A* sampling", 2014: the largest is a Gumbel at log sum exp(log_p), the others are Gumbels truncated there.

    Parameters
    ----------
    codes : Tensor
        (n, *latent) int64, on the CPU.
    log_p : Tensor
        (*latent, cardinality) log probabilities.
    generator : torch.Generator

    Returns
    -------
    Tensor
        (n, *latent, cardinality) float64.
    """
    log_p = log_p.double()

    def draw(*shape: int) -> Tensor:
        uniform = torch.rand(shape, generator=generator, dtype=torch.float64).clamp_(1e-12, 1 - 1e-12)
        return -(-uniform.log()).log()

    top = draw(*codes.shape, 1) + log_p.logsumexp(-1, keepdim=True)
    free = draw(*codes.shape, log_p.shape[-1]) + log_p
    # -log(exp(-top) + exp(-free)): a hair below top where the free one was far above
    truncated = -torch.logaddexp(-top.expand_as(free), -free)
    return truncated.scatter(-1, codes[..., None], top) - log_p
