"""The design of a search: replicates of each candidate, and evaluations reserved to measure leaders again."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Design:
    """How a search handles noise.

    Attributes
    ----------
    replicates : int
        Number of times that each candidate is shown; each counts as an evaluation.
    remeasure : float
        Fraction of the evaluations reserved to measure the leading candidates again.
    noisy : bool
        Whether responses to the same stimulus may differ.
    """

    replicates: int = 1
    remeasure: float = 0.0
    noisy: bool = False

    def reserve(self, evaluations: int) -> int:
        """Return how many of a search's ``evaluations`` are reserved to measure leaders again."""
        return min(int(self.remeasure * evaluations), evaluations - 1)

    def candidates(self, evaluations: int) -> int:
        """Return the number of candidates whose scores the optimizer of such a search receives, at least 1."""
        return max((evaluations - self.reserve(evaluations)) // self.replicates, 1)

    def shown(self, candidates: Tensor) -> Tensor:
        """Return each candidate ``replicates`` times, one after the other: (n, …) -> (n · replicates, …)."""
        return candidates if self.replicates == 1 else candidates.repeat_interleave(self.replicates, 0)

    def pooled(self, scores: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the mean of each candidate's scores, and the variance of that mean.

        Parameters
        ----------
        scores : Tensor
            (shown,) float64 in the order of :meth:`shown`, NaN for missed trials; the last candidate's may be incomplete.

        Returns
        -------
        means : Tensor
            (candidates,), NaN if all trials were missed.
        variance : Tensor or None
            (candidates,): the replicates' variance ÷ their number; for a candidate with one replicate left the generation's mean
            variance. None without replicates.
        """
        if self.replicates == 1:
            return scores, None
        table = self._table(scores)
        known = table.isfinite()
        counts = known.sum(1)
        means = table.nanmean(1)
        squares = torch.where(known, (table - means[:, None]).square(), 0.0).sum(1)
        freedom = (counts - 1).clamp(min=0)
        if not bool(freedom.any()):
            return means, None
        variance = torch.where(counts > 1, squares / freedom, squares.sum() / freedom.sum())
        return means, variance / torch.where(counts > 0, counts.double(), torch.nan)

    def pooled_gradients(self, gradients: Tensor, scores: Tensor) -> Tensor:
        """Return each candidate's mean gradient over the replicates that were not missed: (shown, …) -> (candidates, …)."""
        if self.replicates == 1:
            return gradients
        known = self._table(scores).isfinite().to(gradients)
        weights = (known / known.sum(1, keepdim=True).clamp(min=1)).flatten()[: gradients.shape[0]]
        kept = torch.where(weights.view(-1, *[1] * (gradients.ndim - 1)) > 0, gradients, 0.0)
        weighted = kept * weights.view(-1, *[1] * (gradients.ndim - 1))
        rows = torch.arange(gradients.shape[0]) // self.replicates
        return gradients.new_zeros(known.shape[0], *gradients.shape[1:]).index_add_(0, rows, weighted)

    def _table(self, scores: Tensor) -> Tensor:
        rows = -(-scores.shape[0] // self.replicates)
        full = scores.new_full((rows * self.replicates,), torch.nan)
        full[: scores.shape[0]] = scores
        return full.view(rows, self.replicates)
