"""Counts of a search's problems while it runs: missed responses, zero gradients, and whether it moved at all."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from torch import Tensor

SearchOutcome = Literal["success", "stuck", "unmeasured"]
"""Outcome of a search: it measured responses and moved; it measured responses and never moved; or no response was finite."""

JobOutcome = Literal["success", "partial", "stuck", "unmeasured"]
"""Outcome of a job: that of all its searches; "partial" if some succeeded and others did not."""

ENOUGH = 8
"""Least evaluations for a warning that all were alike."""
MANY = 0.5
"""Least fraction of zero gradients for a warning."""


@dataclass
class Tally:
    """Counts of one search's evaluations.

    Attributes
    ----------
    evaluations : int
        All evaluations.
    nan, infinite : int
        Responses that were not finite; both count as missed trials.
    lowest, highest : float
        Range of the finite responses; infinities before the first.
    gradients, zero_gradients, broken_gradients : int
        Gradients of finite responses; those among them that were zero throughout, and that were not finite.
    """

    evaluations: int = 0
    nan: int = 0
    infinite: int = 0
    lowest: float = math.inf
    highest: float = -math.inf
    gradients: int = 0
    zero_gradients: int = 0
    broken_gradients: int = 0

    def add(self, scores: Tensor, gradients: Tensor | None) -> None:
        r"""Count one generation.

        Parameters
        ----------
        scores : Tensor
            (n,) float64, as answered.
        gradients : Tensor or None
            (n, \*latent), if there are any.
        """
        finite = scores.isfinite()
        self.evaluations += scores.numel()
        self.nan += int(scores.isnan().sum())
        self.infinite += int(scores.isinf().sum())
        if bool(finite.any()):
            self.lowest = min(self.lowest, float(scores[finite].min()))
            self.highest = max(self.highest, float(scores[finite].max()))
        if gradients is None:
            return
        known = gradients[finite.to(gradients.device)].flatten(1)
        sizes = known.abs().amax(1) if known.numel() else known.new_zeros(known.shape[0])  # NaN where one of them is
        self.gradients += known.shape[0]
        self.zero_gradients += int((sizes == 0).sum())
        self.broken_gradients += int(sizes.isfinite().logical_not().sum())

    @property
    def measured(self) -> int:
        """Number of finite responses."""
        return self.evaluations - self.nan - self.infinite

    @property
    def outcome(self) -> SearchOutcome:
        """Outcome of the search so far."""
        if not self.measured:
            return "unmeasured"
        blind = self.gradients >= ENOUGH and self.gradients == self.zero_gradients + self.broken_gradients == self.measured
        alike = self.measured >= ENOUGH and self.lowest == self.highest
        return "stuck" if alike or blind else "success"

    def warnings(self) -> tuple[str, ...]:
        """Return what a user should know, a line each, with counts; empty if nothing went wrong."""
        found = [*self._of_responses(), *self._of_gradients()]
        return tuple(found)

    def _of_responses(self) -> list[str]:
        lost = self.nan + self.infinite
        kinds = " and ".join(text for n, text in ((self.nan, f"{self.nan} NaN"), (self.infinite, f"{self.infinite} infinite")) if n)
        if lost and not self.measured:
            if lost < ENOUGH:
                return []
            what = f"none of {lost} responses was a finite number ({kinds}), so nothing could be measured"
            return [f"{what}; check the weights (a broken checkpoint gives NaN) and the range of the stimuli"]
        found = [f"{lost} of {self.evaluations} responses were not finite ({kinds}) and count as missed"] if lost else []
        if self.measured >= ENOUGH and self.lowest == self.highest:
            value = f"{self.lowest:.6g}"
            found.append(f"all {self.measured} responses were {value}, so the search never moved; try another unit, start or generator")
        return found

    def _of_gradients(self) -> list[str]:
        found: list[str] = []
        if self.broken_gradients:
            found.append(
                f"{self.broken_gradients} of {self.gradients} gradients were not finite and were not followed; "
                "an optimizer without gradients, such as cma or tt-evolution, needs none"
            )
        if self.gradients >= ENOUGH and self.zero_gradients >= MANY * self.gradients:
            found.append(
                f"{self.zero_gradients} of {self.gradients} gradients were zero, so the search stood still there; "
                "try another start, or an optimizer without gradients, such as cma or tt-evolution"
            )
        return found

    def state_dict(self) -> dict[str, Any]:
        """Return all counts."""
        return asdict(self)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the counts in ``state``; counts that an older state lacks stay as they are."""
        for field in fields(self):
            if field.name in state:
                setattr(self, field.name, type(getattr(self, field.name))(state[field.name]))


def job_outcome(outcomes: list[SearchOutcome]) -> JobOutcome:
    """Return the outcome of a job with searches of ``outcomes``; "unmeasured" where there is none."""
    if not outcomes or all(one == "unmeasured" for one in outcomes):
        return "unmeasured"
    if all(one == "success" for one in outcomes):
        return "success"
    return "partial" if "success" in outcomes else "stuck"
