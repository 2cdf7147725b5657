"""Shares a generation's responses: every search learns from all the stimuli shown."""

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
"""Most candidates of other searches that a search observes in a generation; of more, those with its highest scores."""


class EvaluationSharing:
    """Collects one generation's responses, scored for every search that listens, and passes them on once each search has its own scores.

    Searches of different optimizers don't observe each other, so that comparisons of optimizers stay fair. The scores are computed from
    responses that exist already: no stimulus is shown twice. Scores that depend on a search's own generation are not shared.

    Parameters
    ----------
    searches : sequence of Search
        The searches of this generation; groups of one, and groups without listeners, exchange nothing.
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
        r"""Add the candidates of one pass.

        Parameters
        ----------
        searches : sequence of Search
            The searches of the pass.
        latents : sequence of Tensor
            Candidates of each search, (n, \*latent).
        heard : mapping of Search to Tensor
            For each listener, its scores of all candidates, in order.
        """
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
        """Let every listener observe the other searches' candidates, in the order of the searches."""
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
        """Return the listeners for a pass with candidates of ``searches``."""
        labels = dict.fromkeys(search.optimizer_label for search in searches)
        return [hearer for label in labels for hearer in self._groups.get(label, []) if hearer.listens]


def _hard(search: Search, latents: Tensor) -> tuple[Tensor, Tensor]:
    """Return latents as codes, and a mask of the latents that equal their codes: a mixture of codes has another stimulus than its code."""
    if not (isinstance(search.latent, Categorical) and latents.is_floating_point()):
        return latents, torch.ones(latents.shape[0], dtype=torch.bool)
    whole = ((latents == 0) | (latents == 1)).flatten(1).all(1) & (latents.sum(-1) == 1).flatten(1).all(1)
    return search.latent.harden(latents), whole


def _worth_telling(scores: Tensor) -> Tensor:
    """Return the rows that were not missed, at most ``MOST_OVERHEARD`` of the best, in their own order."""
    rows = scores.isfinite().nonzero()[:, 0]
    if rows.numel() > MOST_OVERHEARD:
        rows = rows[scores[rows].argsort(descending=True, stable=True)[:MOST_OVERHEARD]].sort().values
    return rows
