"""A search: one unit's objective and one optimizer over a generator's latents, with its record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..models.objectives.objective import Objective
from ..models.spaces import Categorical, LatentSpace
from ..optimizers.optimizer import Evaluations, Listener, Optimizer
from .spec import BudgetSpec


class Search:
    """Latents out, scores in; whoever drives it (a job's target, a client) is no concern of it.

    Parameters
    ----------
    unit, optimizer_label : str
        Names for reports.
    latent : LatentSpace
        What the optimizer searches.
    objective : Objective
        Scores the responses to this search's candidates.
    optimizer : Optimizer
        Proposes them.
    budget : BudgetSpec
        Its ``evaluations`` and ``plateau`` end this search.
    natural_best : float or None
        Response to the best natural stimulus.
    unit_name : str
        What the target calls the unit.
    """

    def __init__(
        self,
        unit: str,
        optimizer_label: str,
        latent: LatentSpace,
        objective: Objective,
        optimizer: Optimizer,
        budget: BudgetSpec,
        natural_best: float | None = None,
        unit_name: str = "",
    ) -> None:
        self.unit = unit
        self.optimizer_label = optimizer_label
        self.latent = latent
        self.objective = objective
        self.optimizer = optimizer
        self.budget = budget
        self.natural_best = natural_best
        self.unit_name = unit_name
        self.stopped_by = ""
        self.seconds = 0.0
        self.best = float("nan")
        self._best_at = 0
        self._scores: list[np.ndarray] = []
        self.evaluations = 0
        self.overheard = 0
        self._asked: Tensor | None = None

    def ask(self) -> Tensor:
        """The candidates to evaluate now: the optimizer's, cut to what the budget leaves."""
        if self.stopped_by:
            raise RuntimeError(f"the search of {self.unit} has ended ({self.stopped_by})")
        self._asked = self.optimizer.ask()
        left = self._asked.shape[0] if self.budget.evaluations is None else self.budget.evaluations - self.evaluations
        return self._asked[:left]

    def tell(self, scores: Tensor, gradients: Tensor | None = None) -> None:
        """Scores, (n,), of the candidates of the last ``ask``; NaN where a trial was missed.

        Candidates that the budget cut off reach the optimizer as missed.
        """
        if self._asked is None:
            raise RuntimeError("tell without ask")
        asked, self._asked = self._asked, None
        told = scores.detach().to("cpu", torch.float64)
        told = torch.where(told.isfinite(), told, torch.nan)
        cut = asked.shape[0] - told.shape[0]
        if cut:
            padded = torch.cat([told, told.new_full((cut,), float("nan"))])
            if gradients is not None:
                gradients = torch.cat([gradients, gradients.new_zeros(cut, *gradients.shape[1:])])
        else:
            padded = told
        self.optimizer.tell(Evaluations(asked, padded, gradients=None if gradients is None else gradients.cpu()))
        self._remember(told.numpy())

    @property
    def listens(self) -> bool:
        """Whether its optimizer learns from candidates that it did not ask for."""
        return isinstance(self.optimizer, Listener)

    def overhear(self, evaluations: Evaluations) -> None:
        """Others' candidates, scored for this search: the optimizer may learn from them and recommend one; the record leaves them out."""
        if isinstance(self.optimizer, Listener):
            self.optimizer.overhear(evaluations)
            self.overheard += evaluations.scores.shape[0]

    def _remember(self, scores: np.ndarray) -> None:
        self._scores.append(scores.copy())
        if not np.isnan(scores).all():
            at = int(np.nanargmax(scores))
            if not self.best >= scores[at]:
                self.best, self._best_at = float(scores[at]), self.evaluations + at + 1
        self.evaluations += scores.size
        if self.budget.evaluations is not None and self.evaluations >= self.budget.evaluations:
            self.stopped_by = "evaluations"
        elif self.budget.plateau is not None and self.evaluations - self._best_at >= self.budget.plateau:
            self.stopped_by = "plateau"

    @property
    def scores(self) -> np.ndarray:
        """Every score so far, float64, in the order of evaluation."""
        return np.concatenate(self._scores) if self._scores else np.empty(0)

    @property
    def natural_multiple(self) -> float | None:
        """The best score so far ÷ the best natural stimulus's."""
        if self.natural_best is None or self.natural_best <= 0 or np.isnan(self.best):
            return None
        return self.best / self.natural_best

    def recommend(self) -> Tensor:
        """The optimizer's answer: codes or floats, (*latent).

        Raises
        ------
        RuntimeError
            Nothing was evaluated yet.
        """
        latent = self.optimizer.recommend().cpu()
        return self.latent.harden(latent[None])[0] if isinstance(self.latent, Categorical) and latent.is_floating_point() else latent

    def state_dict(self) -> dict[str, Any]:
        """All that it needs to go on, between ``tell`` and ``ask``."""
        return {
            "unit": self.unit,
            "optimizer_label": self.optimizer_label,
            "optimizer": self.optimizer.state_dict(),
            "scores": torch.from_numpy(self.scores.copy()),
            "best_at": self._best_at,
            "overheard": self.overheard,
            "stopped_by": self.stopped_by,
            "seconds": self.seconds,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from ``state``; ValueError where it is another search's."""
        if (state["unit"], state["optimizer_label"]) != (self.unit, self.optimizer_label):
            raise ValueError(
                f"a checkpoint of {state['unit']} with {state['optimizer_label']} is not one of {self.unit} with {self.optimizer_label}"
            )
        self.optimizer.load_state_dict(state["optimizer"])
        scores = state["scores"].numpy()
        self._scores = [scores] if scores.size else []
        self.evaluations = int(scores.size)
        self._best_at = int(state["best_at"])
        self.overheard = int(state["overheard"])
        self.best = float(np.nanmax(scores)) if scores.size and not np.isnan(scores).all() else float("nan")
        self.stopped_by = str(state["stopped_by"])
        self.seconds = float(state["seconds"])
