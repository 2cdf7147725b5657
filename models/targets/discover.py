"""Which layers a torch module has: found by running it once."""

from __future__ import annotations

import weakref
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from .attention import HEADS, attentions
from .capture import Path, Reading, tensors_in
from .target import LayerInfo

OUTPUT = "output"
"""Name of what the module itself returns."""

_ROWS = 2
"""Stimuli that a module is tried with: a tensor whose first dimension is of this size has a row for each stimulus."""


@dataclass
class Layers:
    """What a module was seen to answer with, in the order of evaluation.

    Attributes
    ----------
    infos : dict of str to LayerInfo
        Every layer.
    readings : dict of str to Reading
        Where each is read.
    ends : set of str
        Layers that answer with what the module returns: ``output``, and as a rule the last linear one.
    """

    infos: dict[str, LayerInfo] = field(default_factory=dict)
    readings: dict[str, Reading] = field(default_factory=dict)
    ends: set[str] = field(default_factory=set)

    def add(self, name: str, shape: tuple[int, ...], kind: str, reading: Reading) -> None:
        """One layer, at the end; one that was called before moves there."""
        for known in (self.infos, self.readings):
            known.pop(name, None)
        self.infos[name] = LayerInfo(name, shape, kind)
        self.readings[name] = reading


def discover(module: nn.Module, probe: Tensor) -> Layers:
    """Run ``module`` on ``probe``, (2, *stimulus), and list what can be read.

    - A submodule that answers with a tensor is a layer of its own name.
    - One that answers with a tuple, a dictionary or a ``ModelOutput`` is a layer by the first float tensor inside that has a row for each
      stimulus. Where there are several, or they have keys, each is one besides, by its place or key: ``lstm:1``,
      ``encoder:last_hidden_state``, ``output:logits``.
    - Heads of attention are layers of shape (heads, tokens, features): ``blocks.5.attn.heads``.
    - ``output`` is what the module returns.
    """
    found = Layers()
    taken = {name for name, _ in module.named_modules()}
    calls: dict[str, int] = {}
    answers: dict[str, weakref.ref[Tensor]] = {}  # weak: a large network's answers need not all stay in memory

    def answered(name: str, part: nn.Module, answer: Any) -> None:
        calls[name] = calls.get(name, 0) + 1
        shown, kind = name or OUTPUT, type(part).__name__
        tensors = [(path, tensor) for path, tensor in tensors_in(answer) if _has_rows(tensor)]
        if not tensors:
            return
        first, tensor = tensors[0]
        found.add(shown, tuple(tensor.shape[1:]), kind, Reading(name, calls[name], first))
        answers[shown] = weakref.ref(tensor)
        if len(tensors) > 1 or (first and isinstance(first[0], str)):
            for path, inner in tensors:
                found.add(named(shown, path), tuple(inner.shape[1:]), kind, Reading(name, calls[name], path))
                answers[named(shown, path)] = weakref.ref(inner)

    def mixed(layer: str, read: str, heads: int, tensor: Any) -> None:
        calls[layer] = calls.get(layer, 0) + 1
        if not isinstance(tensor, Tensor) or not _has_rows(tensor) or tensor.ndim < 3 or tensor.shape[-1] % heads:
            return
        shape = (heads, *tensor.shape[1:-1], tensor.shape[-1] // heads)
        found.add(layer, shape, "attention heads", Reading(read, calls[layer], heads=heads))

    with ExitStack() as stack:
        for name, part in module.named_modules():
            hook = part.register_forward_hook(lambda part, _inputs, answer, name=name: answered(name, part, answer))
            stack.callback(hook.remove)
        for attention in attentions(module):
            layer = f"{attention.name}.{HEADS}" if attention.name else HEADS
            if layer not in taken:
                stack.callback(_watch(module, attention.reads, layer, attention.heads, mixed).remove)
        returned = module(probe)
    end = next((tensor for _, tensor in tensors_in(returned) if _has_rows(tensor)), None)
    found.ends = {name for name, answer in answers.items() if end is not None and answer() is end}
    return found


def named(layer: str, path: Path) -> str:
    """Name of the layer that is one tensor of several."""
    return f"{layer}:{'.'.join(map(str, path))}"


def _has_rows(tensor: Tensor) -> bool:
    return tensor.ndim >= 2 and tensor.shape[0] == _ROWS and tensor.is_floating_point()


def _watch(module: nn.Module, read: str, layer: str, heads: int, mixed: Any) -> Any:
    part = module.get_submodule(read)
    if not isinstance(part, nn.MultiheadAttention):
        return part.register_forward_pre_hook(lambda _part, inputs: mixed(layer, read, heads, inputs[0] if inputs else None))

    def hook(part: nn.MultiheadAttention, inputs: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        query = inputs[0] if inputs else keywords.get("query")
        if isinstance(query, Tensor) and query.ndim == 3:
            query = query if part.batch_first else query.transpose(0, 1)
            mixed(layer, read, heads, query)

    return part.register_forward_pre_hook(hook, with_kwargs=True)
