"""Attention, as networks call it in one fused step, taken apart into products and a softmax that can be looked at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode


class Unruled(ValueError):
    """A function of torch that a method does not know."""


class TakesAttentionApart(TorchFunctionMode):
    """Within the block, ``scaled_dot_product_attention`` and ``nn.MultiheadAttention`` are called step by step, through :meth:`call`."""

    def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:
        kwargs = kwargs or {}
        name = name_of(func)
        if name == "scaled_dot_product_attention":
            with self:
                return _attention(args, kwargs)
        if name == "multi_head_attention_forward":
            with self:
                return _multi_head(args, kwargs)
        return self.call(name, func, args, kwargs)

    def call(self, name: str, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return what a function of torch answers; ``name`` is its plain name, such as ``softmax`` or ``add``."""
        return func(*args, **kwargs)


_OPERATORS = {"truediv": "div", "rtruediv": "rdiv", "getitem": "getitem", "rmatmul": "matmul", "radd": "add", "rmul": "mul"}


def name_of(func: Any) -> str:
    """Return a function's plain name: ``add`` for ``torch.add``, ``Tensor.add_``, ``+`` and ``+=``; ``T`` for that attribute."""
    name = str(getattr(func, "__name__", ""))
    if name == "__get__":
        return str(getattr(getattr(func, "__self__", None), "__name__", ""))
    if name.startswith("__") and name.endswith("__"):
        inner = name.strip("_")
        if inner.startswith("i") and inner[1:] in ("add", "sub", "mul", "truediv", "matmul"):
            inner = inner[1:]
        return _OPERATORS.get(inner, inner)
    return name.rstrip("_")


_ATTENTION = ("query", "key", "value", "attn_mask", "dropout_p", "is_causal")


def _attention(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Tensor:
    """``scaled_dot_product_attention`` in evaluation mode."""
    given = {**dict(zip(_ATTENTION, args, strict=False)), **kwargs}
    if given.get("is_causal") or given.get("enable_gqa"):
        raise Unruled("causal or grouped attention")
    query, key, mask, scale = given["query"], given["key"], given.get("attn_mask"), given.get("scale")
    logits = query @ key.transpose(-2, -1) * (query.shape[-1] ** -0.5 if scale is None else scale)
    if mask is not None:
        logits = logits.masked_fill(~mask, float("-inf")) if mask.dtype == torch.bool else logits + mask
    return logits.softmax(-1) @ given["value"]


_MULTI_HEAD = (
    *("query", "key", "value", "embed_dim_to_check", "num_heads", "in_proj_weight", "in_proj_bias", "bias_k", "bias_v"),
    *("add_zero_attn", "dropout_p", "out_proj_weight", "out_proj_bias"),
)


def _multi_head(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Tensor, Tensor | None]:
    """``nn.MultiheadAttention`` in evaluation mode, of tokens to themselves, (tokens, n, features)."""
    given = {**dict(zip(_MULTI_HEAD, args, strict=False)), **kwargs}
    x, heads = given["query"], given["num_heads"]
    odd = [name for name in ("bias_k", "bias_v", "key_padding_mask", "attn_mask", "static_k", "static_v") if given.get(name) is not None]
    if given["key"] is not x or given["value"] is not x or given.get("use_separate_proj_weight") or x.dim() != 3 or odd:
        raise Unruled("attention between different tokens, or with masks")
    tokens, n, width = x.shape
    parts = F.linear(x, given["in_proj_weight"], given["in_proj_bias"]).unflatten(-1, (3, heads, width // heads)).permute(2, 1, 3, 0, 4)
    query, key, value = parts.unbind(0)
    weights = (query @ key.transpose(-2, -1) * (width // heads) ** -0.5).softmax(-1)
    mixed = (weights @ value).permute(2, 0, 1, 3).reshape(tokens, n, width)
    answer = F.linear(mixed, given["out_proj_weight"], given["out_proj_bias"])
    if not given.get("need_weights", True):
        return answer, None
    return answer, weights.mean(1) if given.get("average_attn_weights", True) else weights
