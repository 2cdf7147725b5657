"""Attention heads as units: each head's weighted sum of values, before the projection mixes the heads.

In nearly every vision transformer (timm's, Hugging Face's, the zoo's) this is the input of a linear projection, features in the order
(heads, features of a head), whether attention is computed fused or step by step. ``nn.MultiheadAttention`` (torchvision's) calls no
projection module: its heads are computed again from its inputs, and only where they are asked for.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

HEADS = "heads"
"""Last part of the name of a layer of heads: ``blocks.5.attn.heads``."""

_COUNTS = ("num_heads", "heads", "num_attention_heads", "n_heads")
_PROJECTIONS = ("proj", "out_proj", "o_proj", "to_out", "to_out.0", "output.dense", "dense")
_FORWARD = inspect.signature(nn.MultiheadAttention.forward)


@dataclass(frozen=True)
class Attention:
    """An attention module.

    Attributes
    ----------
    name : str
        Name of the module.
    reads : str
        Name of the submodule whose input holds the heads.
    heads : int
        Number of heads.
    """

    name: str
    reads: str
    heads: int


def attentions(module: nn.Module) -> Iterator[Attention]:
    """Yield the attention modules inside ``module`` whose heads can be read."""
    for name, part in module.named_modules():
        prefix = f"{name}." if name else ""
        if isinstance(part, nn.MultiheadAttention):
            if part.bias_k is None and not part.add_zero_attn:
                yield Attention(name, name, part.num_heads)
            continue
        heads = _count(part)
        if not heads:
            continue
        for projection in _PROJECTIONS:
            try:
                found = part.get_submodule(projection)
            except AttributeError:
                continue
            if isinstance(found, nn.Linear) and found.in_features % heads == 0:
                yield Attention(name, prefix + projection, heads)
                break


def _count(part: nn.Module) -> int:
    """Return the number of heads of an attention module or, as older Hugging Face models nest it, of its child ``attention``, ``self``."""
    for holder in (part, getattr(part, "attention", None), getattr(part, "self", None)):
        for attribute in _COUNTS if isinstance(holder, nn.Module) else ():
            count = getattr(holder, attribute, None)
            if isinstance(count, int) and count > 0:
                return count
    return 0


def split_heads(mixed: Tensor, heads: int) -> Tensor:
    """Return features by heads: (n, *positions, heads · features) -> (n, heads, *positions, features)."""
    return mixed.unflatten(-1, (heads, -1)).movedim(-2, 1)


def join_heads(split: Tensor) -> Tensor:
    """Return the inverse of :func:`split_heads`: (n, heads, *positions, features) -> (n, *positions, heads · features)."""
    return split.movedim(1, -2).flatten(-2)


def heads_of_multihead(module: nn.MultiheadAttention, *inputs: Any, **named: Any) -> Tensor:
    """Return the outputs of the heads of an ``nn.MultiheadAttention``, in evaluation mode.

    Parameters
    ----------
    module : nn.MultiheadAttention
        The module.
    *inputs, **named
        Arguments of the module's ``forward``.

    Returns
    -------
    Tensor
        (n, heads, queries, features).

    References
    ----------
    Vaswani et al., "Attention is all you need", 2017, equation 1.
    """
    given = _FORWARD.bind(module, *inputs, **named).arguments
    query, key, value = (given[name] if module.batch_first else given[name].transpose(0, 1) for name in ("query", "key", "value"))
    if module.in_proj_weight is not None:
        weights = module.in_proj_weight.chunk(3)
    else:
        weights = (module.q_proj_weight, module.k_proj_weight, module.v_proj_weight)
    biases = (None, None, None) if module.in_proj_bias is None else module.in_proj_bias.chunk(3)
    q, k, v = (
        split_heads(F.linear(part, weight, bias), module.num_heads)
        for part, weight, bias in zip((query, key, value), weights, biases, strict=True)
    )
    mask = _mask(module.num_heads, q, given.get("attn_mask"), given.get("key_padding_mask"))
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)


def _mask(heads: int, query: Tensor, attention: Tensor | None, padding: Tensor | None) -> Tensor | None:
    """Return the module's two masks (True or -inf for masked keys) as one additive mask: broadcasts to (n, heads, queries, keys)."""
    total: Tensor | None = None
    for mask in (attention, padding):
        if mask is None:
            continue
        added = torch.zeros_like(mask, dtype=query.dtype).masked_fill(mask, float("-inf")) if mask.dtype == torch.bool else mask
        if mask is padding:
            added = added[:, None, None, :]
        elif added.ndim == 3:
            added = added.unflatten(0, (-1, heads))
        total = added if total is None else total + added
    return total
