"""Attention rollout: which tokens a token has attended to, through all layers before the unit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ....models.options import InvalidOption
from ....models.targets.target import HasActivations, HasModule, LayerInfo, Target
from ....models.units import UnitAddress
from .attention_calls import TakesAttentionApart, Unruled
from .grad_cam import grid
from .method import Attribution
from .stimuli import probe
from .units import Question


class AttentionRollout(Attribution):
    """Attention of all layers before the unit multiplied up (Abnar and Zuidema, 2020); of the unit it knows the layer and token alone."""

    title = "Attention rollout"
    reading = (
        "Attention, averaged over heads and mixed evenly with the token itself, multiplied up from layer to layer: the places that the "
        "unit's token, otherwise the class token or the mean of all, has attended to. Units of one layer and token have the same map."
    )
    signed = False
    needs = (HasActivations, HasModule)

    def check_units(self, target: Target, units: Sequence[UnitAddress]) -> None:
        """Refuse units before which there is no attention of all tokens to all tokens."""
        for unit in {unit.layer: unit for unit in units}.values():
            try:
                found = _attentions(target, unit.layer, probe(target.stimulus))
            except Unruled as error:
                raise InvalidOption("", f"{self.title} can't follow {error}; gradient and grad-cam can") from error
            if not found:
                why = f"there is none before {unit}"
                raise InvalidOption(
                    "", f"{self.title} needs attention of all tokens to all tokens, and {why}; gradient and grad-cam need none"
                )
            if grid((found[-1].shape[-1], 1), target.stimulus) is None:
                tokens = f"the {found[-1].shape[-1]} tokens before {unit} fill no grid of the stimulus's proportions"
                raise InvalidOption("", f"{self.title} needs tokens with places, and {tokens}; gradient needs none")

    def attribute(self, question: Question) -> Tensor:
        """Return the maps, (units, n, *space)."""
        return torch.stack([self._of_one(one) for one in question.each()])

    def to_map(self, attributions: Tensor) -> Tensor:
        """Return them as they are."""
        return attributions

    def _of_one(self, question: Question) -> Tensor:
        target, (unit, *_), stimuli = question.target, question.reader.units, question.stimuli
        layer = next(info for info in target.layers() if info.name == unit.layer)
        try:
            attentions = _attentions(target, unit.layer, stimuli)
        except Unruled:
            raise
        except ValueError:  # the network is shown fewer at once
            alone = [_attentions(target, unit.layer, one) for one in stimuli.split(1)]
            attentions = [torch.cat(layers) for layers in zip(*alone, strict=True)]
        tokens = attentions[-1].shape[-1]
        rolled = rollout(attentions, unit.index[0] if layer.kind == "attention heads" and unit.index else slice(None))
        places = grid((tokens, 1), target.stimulus)
        assert places is not None
        first = tokens - math.prod(places)
        rows = rolled[:, _token(unit, layer, tokens, first)]
        row = rows.mean(1) if rows.dim() == 3 else rows
        maps = row[:, first:].unflatten(1, places)[:, None]
        return F.interpolate(maps, stimuli.shape[2:], mode="bilinear" if stimuli.dim() == 4 else "linear", align_corners=False)[:, 0]


def rollout(attentions: Sequence[Tensor], heads: int | slice = slice(None)) -> Tensor:
    """Return how much each token of the last layer draws on each token of the first, (n, tokens, tokens), rows that add up to one.

    Parameters
    ----------
    attentions : sequence of Tensor
        (n, heads, tokens, tokens), from the first layer to the last; rows add up to one.
    heads : int or slice
        The heads of the last layer that count; of the others all do.
    """
    rolled = torch.eye(attentions[0].shape[-1], device=attentions[0].device)
    for number, attention in enumerate(attentions, 1):
        chosen = attention[:, heads] if number == len(attentions) else attention
        mean = chosen if chosen.dim() == 3 else chosen.mean(1)
        rolled = (mean.float() + torch.eye(mean.shape[-1], device=mean.device)) / 2 @ rolled
    return rolled


class _Attentions(TakesAttentionApart):
    """Keeps every softmax over all tokens for all tokens of ``rows`` stimuli."""

    def __init__(self, rows: int) -> None:
        super().__init__()
        self.rows = rows
        self.found: list[Tensor] = []

    def call(self, name: str, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call a function of torch, and keep its answer where it is an attention."""
        answer = func(*args, **kwargs)
        if name == "softmax" and answer.dim() == 4 and answer.shape[0] == self.rows and 1 < answer.shape[-1] == answer.shape[-2]:
            self.found.append(answer.detach())
        return answer


def _attentions(target: Target, layer: str, stimuli: Tensor) -> list[Tensor]:
    """The attentions that a network computes on the way to a layer, (n, heads, tokens, tokens) each."""
    assert isinstance(target, HasActivations)
    with torch.no_grad(), _Attentions(len(stimuli)) as watch:
        target.activations(stimuli, {layer})
    last = watch.found[-1].shape[-1] if watch.found else 0
    return [attention for attention in watch.found if attention.shape[-1] == last]


def _token(unit: UnitAddress, layer: LayerInfo, tokens: int, first: int) -> int | slice:
    """Which token a unit is of: its own; otherwise that of the class, or all where every token has a place."""
    heads = layer.kind == "attention heads"
    shape, index = (layer.shape[1:], unit.index[1:]) if heads else (layer.shape, unit.index)
    own = index[0] if len(shape) == 2 and shape[0] == tokens and index else slice(None)
    return own if own != slice(None) else 0 if first else slice(None)
