"""The trace of one forward pass: every tensor in the outputs of a network's parts, with a fingerprint of each row."""

from __future__ import annotations

import weakref
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from .attention import HEADS, attentions, heads_of_multihead, split_heads
from .capture import Path, Reading, tensors_in

_HELPERS = tuple(
    getattr(nn, f"{kind}Pad{sides}d") for kind in ("Zero", "Constant", "Reflection", "Replication", "Circular") for sides in (1, 2, 3)
)
"""Types that only prepare the input of the next part."""
_PASSED_THROUGH = (
    "Identity",
    "Dropout",
    "Dropout1d",
    "Dropout2d",
    "Dropout3d",
    "AlphaDropout",
    "FeatureAlphaDropout",
    "DropPath",
    "StochasticDepth",
)
"""Names of types that return their input in evaluation mode."""


@dataclass
class Seen:
    """One tensor in the output of a part.

    Attributes
    ----------
    module : str
        Name of the part.
    path : tuple
        Path of the tensor in its output.
    kind : str
        Type of the part.
    shape : tuple of int
        Shape of the tensor.
    heads : int
        Number of attention heads for a tensor of heads, else 0.
    calls : int
        Number of the part's call, from 1.
    prints : dict of int to Tensor
        Fingerprints of the rows, (n, 3), along each dimension that is as long as the batch.
    graph : bool
        Whether the autograd graph joins it to the stimuli.
    precision : torch.dtype
        Type of the tensor.
    returned : tuple or None
        Path of the same tensor in the network's own output; None if it isn't there.
    """

    module: str
    path: Path
    kind: str
    shape: tuple[int, ...]
    heads: int
    calls: int
    prints: dict[int, Tensor]
    graph: bool
    precision: torch.dtype
    returned: Path | None = None


@dataclass
class Trace:
    """The outputs of a network's parts in one forward pass, in the order of evaluation.

    Attributes
    ----------
    seen : dict of (str, tuple, bool) to Seen
        Tensors by part, path and whether they are attention heads; those of the last call of each part.
    passed : set of str
        Parts that are no layers: padding, and parts that return the output of another part.
    returned : str
        Description of the network's return value.
    """

    seen: dict[tuple[str, Path, bool], Seen] = field(default_factory=dict)
    passed: set[str] = field(default_factory=set)
    returned: str = ""


class Tracer:
    """Traces forward passes of one network.

    Parameters
    ----------
    module : nn.Module
        The network.
    """

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self._names = {name for name, _ in module.named_modules()}
        self._weights = torch.empty(0, 2)

    def __call__(self, stimuli: Tensor) -> Trace:
        """Run the network on (n, *stimulus), and return the trace."""
        trace, rows = Trace(), stimuli.shape[0]
        calls: dict[tuple[str, bool], int] = {}
        alive: dict[int, list[tuple[weakref.ref[Tensor], Seen]]] = {}  # weak, so that outputs of large networks are freed

        def keep(name: str, kind: str, tensors: list[tuple[Path, Tensor]], heads: int) -> None:
            call = calls[name, bool(heads)] = calls.get((name, bool(heads)), 0) + 1
            for path, tensor in tensors:
                if tensor.is_floating_point() and not tensor.is_sparse:
                    key = (name, path, bool(heads))
                    trace.seen.pop(key, None)  # a repeated call moves to the end
                    prints = {dim: self._fingerprint(tensor, dim) for dim, size in enumerate(tensor.shape) if size == rows}
                    shape, graph = tuple(tensor.shape), tensor.requires_grad
                    trace.seen[key] = Seen(name, path, kind, shape, heads, call, prints, graph, tensor.dtype)
                    alive.setdefault(id(tensor), []).append((weakref.ref(tensor), trace.seen[key]))

        def twins(tensor: Any) -> list[Seen]:
            return [seen for known, seen in alive.get(id(tensor), ()) if known() is tensor]

        def answered(name: str, part: nn.Module, answer: Any) -> None:
            if type(part) in _HELPERS or (type(part).__name__ in _PASSED_THROUGH and twins(answer)):
                trace.passed.add(name)
            keep(name, type(part).__name__, list(tensors_in(answer)), 0)

        with ExitStack() as stack:
            for name, part in self.module.named_modules():
                if isinstance(part, torch.jit.ScriptModule):
                    continue  # TorchScript takes no hooks
                hook = part.register_forward_hook(lambda part, _inputs, answer, name=name: answered(name, part, answer))
                stack.callback(hook.remove)
            for attention in attentions(self.module):
                layer = f"{attention.name}.{HEADS}" if attention.name else HEADS
                if layer not in self._names:
                    stack.callback(self._watch_heads(attention.reads, attention.heads, keep).remove)
            returned = self.module(stimuli)
        trace.returned = _described(returned)
        for path, tensor in tensors_in(returned):
            for seen in twins(tensor):
                seen.returned = path
        return trace

    def _watch_heads(self, read: str, heads: int, keep: Any) -> Any:
        part = self.module.get_submodule(read)
        if not isinstance(part, nn.MultiheadAttention):

            def mixed(_part: nn.Module, inputs: tuple[Any, ...]) -> None:
                tensor = inputs[0] if inputs else None
                if isinstance(tensor, Tensor) and tensor.ndim >= 3 and tensor.shape[-1] % heads == 0:
                    keep(read, "attention heads", [((), split_heads(tensor, heads))], heads)

            return part.register_forward_pre_hook(mixed)

        def mixed_multihead(part: nn.MultiheadAttention, inputs: tuple[Any, ...], keywords: dict[str, Any]) -> None:
            query = inputs[0] if inputs else keywords.get("query")
            if isinstance(query, Tensor) and query.ndim == 3:
                keep(read, "attention heads", [((), heads_of_multihead(part, *inputs, **keywords))], heads)

        return part.register_forward_pre_hook(mixed_multihead, with_kwargs=True)

    def _fingerprint(self, tensor: Tensor, dim: int) -> Tensor:
        """Return two random projections and the norm of each row, (n, 3), on the CPU."""
        rows = tensor.detach().movedim(dim, 0).flatten(1) if tensor.ndim > 1 else tensor.detach()[:, None]
        rows = rows.to("cpu", torch.float64 if tensor.dtype == torch.float64 else torch.float32)
        rows = rows.nan_to_num(nan=0.5, posinf=1e30, neginf=-1e30)
        size = rows.shape[1]
        if self._weights.shape[0] < size:
            self._weights = torch.randn(size, 2, generator=torch.Generator().manual_seed(20), dtype=torch.float32)
        return torch.cat([rows @ self._weights[:size].to(rows), rows.norm(dim=1, keepdim=True)], 1)


def reading_of(seen: Seen, rows: int) -> Reading:
    """Return the reading of a traced tensor.

    Parameters
    ----------
    seen : Seen
        The tensor.
    rows : int
        Its dimension that counts the stimuli.
    """
    return Reading(seen.module, seen.calls, seen.path, seen.heads, rows)


def _described(answer: Any) -> str:
    found = [tuple(tensor.shape) for _, tensor in tensors_in(answer)]
    if isinstance(answer, Tensor):
        return f"a tensor of {str(answer.dtype).removeprefix('torch.')} of shape {found[0]}"
    return f"{type(answer).__name__}" + (f" of tensors of shapes {', '.join(map(str, found[:4]))}" if found else "")
