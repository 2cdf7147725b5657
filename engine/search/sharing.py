"""What a generation's responses say about the other units: every search learns from all the stimuli shown."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ...models.objectives.objective import compares
from ...models.spaces import Categorical
from ...optimizers.optimizer import Evaluations
from .search import Search

MOST_OVERHEARD = 1000
"""Candidates that a search is told of others a generation; beyond, those that score best for it."""


class Exchange:
    """Collects one generation's responses, scores them for every search that listens, and tells it once all were told their own.

    Searches of different optimizers don't hear each other, so that comparing optimizers stays fair. The scores are read off responses
    that were computed anyway: no stimulus is shown twice. Scores that depend on a search's own generation are nobody else's.

    Parameters
    ----------
    searches : sequence of Search
        Those of this generation; groups of one, and groups in which nobody listens, exchange nothing.
    """

    def __init__(self, searches: Sequence[Search]) -> None:
        groups: dict[str, list[Search]] = defaultdict(list)
        for search in searches:
            if not compares(search.objective):
                groups[search.optimizer_label].append(search)
        self._groups = {label: group for label, group in groups.items() if len(group) > 1 and any(one.listens for one in group)}
        self._shown: dict[Search, list[Tensor]] = defaultdict(list)
        self._scores: dict[tuple[Search, Search], list[Tensor]] = defaultdict(list)

    def add(self, searches: Sequence[Search], latents: Sequence[Tensor], heard: Mapping[Search, Tensor]) -> None:
        """One pass: its candidates are ``latents`` of each of ``searches``, in order; ``heard`` has each hearer's scores of them all."""
        if not heard:
            return
        start = 0
        for search, part in zip(searches, latents, strict=True):
            rows = slice(start, start + part.shape[0])
            start = rows.stop
            group = self._groups.get(search.optimizer_label, [])
            if group:
                self._shown[search].append(part.detach().cpu())
            for hearer in group:
                if hearer.listens and hearer is not search:
                    self._scores[hearer, search].append(heard[hearer][rows])

    def tell(self) -> None:
        """Tell every listener what the others have shown, in the order of the searches."""
        for group in self._groups.values():
            shown = {
                search: _hard(search, torch.cat(self._shown[search])[:: search.design.replicates])
                for search in group
                if search in self._shown
            }
            for hearer in group:
                others = [other for other in group if (hearer, other) in self._scores]
                if not others:
                    continue
                latents, scores, errors = [], [], []
                for other in others:
                    codes, whole = shown[other]
                    means, variance = hearer.design.pooled(torch.cat(self._scores[hearer, other]))
                    latents.append(codes[whole])
                    scores.append(means[whole])
                    errors.append(None if variance is None else variance[whole])
                told = torch.cat(scores)
                rows = _worth_telling(told)
                if rows.numel():
                    known = [error for error in errors if error is not None]
                    variance = torch.cat(known)[rows] if len(known) == len(errors) else None
                    hearer.observe(Evaluations(torch.cat(latents)[rows], told[rows], variance))

    def hearers(self, searches: Sequence[Search]) -> list[Search]:
        """Who overhears a pass with candidates of ``searches``."""
        labels = dict.fromkeys(search.optimizer_label for search in searches)
        return [hearer for label in labels for hearer in self._groups.get(label, []) if hearer.listens]


def _hard(search: Search, latents: Tensor) -> tuple[Tensor, Tensor]:
    """Latents as codes, and which of them are what was shown: weights that mix codes are no code's stimulus."""
    if not (isinstance(search.latent, Categorical) and latents.is_floating_point()):
        return latents, torch.ones(latents.shape[0], dtype=torch.bool)
    whole = ((latents == 0) | (latents == 1)).flatten(1).all(1) & (latents.sum(-1) == 1).flatten(1).all(1)
    return search.latent.harden(latents), whole


def _worth_telling(scores: Tensor) -> Tensor:
    """Rows that were not missed, the best of them where there are many, in their own order."""
    rows = scores.isfinite().nonzero()[:, 0]
    if rows.numel() > MOST_OVERHEARD:
        rows = rows[scores[rows].argsort(descending=True, stable=True)[:MOST_OVERHEARD]].sort().values
    return rows
