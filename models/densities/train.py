"""Tensor trains as densities over multi-indices: sampling and likelihood.

A train of d modes of size n and rank r is one tensor of cores, (d, r, n, r). Its value at a multi-index is
``e0 · cores[0][:, i0] · … · cores[d-1][:, id] · e0``: of the first core only row 0 counts, of the last only column 0,
which makes them the usual (1, n, r) and (r, n, 1).
"""

from __future__ import annotations

import torch
from torch import Tensor

TINY = 1e-30


def random_train(modes: int, size: int, rank: int, generator: torch.Generator) -> Tensor:
    """Return cores drawn uniformly from [0, 1), PROTES' start.

    Parameters
    ----------
    modes, size, rank : int
        Number of modes, size of a mode, and rank of the train.
    generator : torch.Generator
        Source of the draws.

    Returns
    -------
    Tensor
        float32, (modes, rank, size, rank).
    """
    return torch.rand(modes, rank, size, rank, generator=generator)


def right_interfaces(cores: Tensor) -> Tensor:
    """Return the right interface vector of each core: the contraction of all later cores summed over their modes, scaled to unit length.

    Parameters
    ----------
    cores : Tensor
        (d, r, n, r).

    Returns
    -------
    Tensor
        (d, r); row k belongs right of core k.
    """
    d, r = cores.shape[:2]
    sums = cores.sum(2)
    row = cores.new_zeros(r)
    row[0] = 1.0
    rows = [row]
    for k in range(d - 1, 0, -1):
        row = sums[k] @ row
        row = row / (row.norm() + TINY)
        rows.append(row)
    return torch.stack(rows[::-1])


def log_likelihood(cores: Tensor, indices: Tensor) -> Tensor:
    """Return the log probability with which :func:`sample` draws each multi-index, in nats.

    Each conditional is the absolute value of the train's, normalised, as in PROTES: cores need not be positive.

    Parameters
    ----------
    cores : Tensor
        (d, r, n, r).
    indices : Tensor
        (b, d) int64.

    Returns
    -------
    Tensor
        (b,), differentiable with respect to the cores.
    """
    d, r = cores.shape[:2]
    b = indices.shape[0]
    picked = cores[torch.arange(d)[:, None], :, indices.T]  # (d, b, r, r)
    left = cores.new_zeros(b, 1, r)
    left[:, :, 0] = 1.0
    lefts = [left]
    for k in range(d - 1):
        left = left @ picked[k]
        left = left / (left.norm(dim=2, keepdim=True) + TINY)
        lefts.append(left)
    conditionals = (torch.cat(lefts, 1).transpose(0, 1) @ _weighted(cores, right_interfaces(cores))).abs() + TINY  # (d, b, n)
    chosen = conditionals.gather(2, indices.T[:, :, None])[:, :, 0]
    return (chosen.log() - conditionals.sum(2).log()).sum(0)


@torch.no_grad()
def sample(cores: Tensor, n: int, generator: torch.Generator) -> Tensor:
    """Return multi-indices drawn mode by mode, each from its conditional given the modes to its left.

    Parameters
    ----------
    cores : Tensor
        (d, r, size, r).
    n : int
        Number of draws.
    generator : torch.Generator
        Source of the draws.

    Returns
    -------
    Tensor
        int64, (n, d).
    """
    d, r, size = cores.shape[:3]
    weighted = _weighted(cores, right_interfaces(cores))
    uniform = torch.rand(d, n, 1, generator=generator)
    left = cores.new_zeros(n, r)
    left[:, 0] = 1.0
    indices = torch.empty(d, n, dtype=torch.long)
    for k in range(d):
        cumulative = ((left @ weighted[k]).abs_().add_(TINY)).cumsum_(1)
        index = torch.searchsorted(cumulative, uniform[k] * cumulative[:, -1:], right=True).clamp_(max=size - 1)[:, 0]
        indices[k] = index
        left = torch.einsum("bi,ibj->bj", left, cores[k][:, index])
        left /= left.norm(dim=1, keepdim=True) + TINY
    return indices.T.contiguous()


def _weighted(cores: Tensor, right: Tensor) -> Tensor:
    """Return the cores with their right interface contracted: (d, r, n)."""
    d, r, n, _ = cores.shape
    return (cores.reshape(d, r * n, r) @ right[:, :, None]).view(d, r, n)
