"""A search: one unit's objective and one optimizer over a generator's latents, with its record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...models.objectives.objective import Objective
from ...models.spaces import Categorical, LatentSpace
from ...optimizers.optimizer import Evaluations, Listener, Optimizer
from ..spec import BudgetSpec
from .design import Design
from .leaders import Leaders
from .recorder import Recorder
from .sequential_halving import CLOSING, MOST_LEADERS, Measured, Remeasurement, SequentialHalving
from .tally import Tally


@dataclass(frozen=True)
class SearchedUnit:
    """The unit of a search, as progress and reports name it.

    Attributes
    ----------
    address : str
        Its address.
    name : str
        The target's name of the unit; empty without a name.
    natural_best : float or None
        Response to the best natural stimulus; None if scores are no multiples of it.
    response_unit : str
        Unit of measurement of the responses; empty without one.
    """

    address: str
    name: str = ""
    natural_best: float | None = None
    response_unit: str = ""


class Search:
    """Proposes latents and receives scores. Its caller, a job's loop or a session, evaluates the latents.

    It asks its optimizer until the budget is spent, except for the evaluations that its design reserves; these measure the leaders again.

    Parameters
    ----------
    unit : SearchedUnit
        The unit.
    optimizer_label : str
        Name of the optimizer, for reports.
    latent : LatentSpace
        Space that the optimizer searches.
    objective : Objective
        Scores the responses to the candidates.
    optimizer : Optimizer
        Proposes the candidates.
    budget : BudgetSpec
        Its ``evaluations`` and ``plateau`` end this search.
    design : Design
        Replicates of each candidate, and the reserve to measure leaders again.
    """

    def __init__(
        self,
        unit: SearchedUnit,
        optimizer_label: str,
        latent: LatentSpace,
        objective: Objective,
        optimizer: Optimizer,
        budget: BudgetSpec,
        design: Design | None = None,
    ) -> None:
        self.unit = unit.address
        self.optimizer_label = optimizer_label
        self.latent = latent
        self.objective = objective
        self.optimizer = optimizer
        self.budget = budget
        self.natural_best = unit.natural_best
        self.unit_name, self.response_unit = unit.name, unit.response_unit
        self.design = design or Design()
        self.stopped_by = ""
        self.seconds = 0.0
        self.best = float("nan")
        self._best_at = 0
        self._scores: list[np.ndarray] = []
        self.evaluations = 0
        self.overheard = 0
        self._asked: Tensor | None = None
        self.leaders = Leaders(MOST_LEADERS if self.design.remeasure else 0)
        self.closing = CLOSING
        """Fraction of the reserve that measures the winner alone."""
        self._finals: Remeasurement | None = None
        self._ended_by = ""
        self.tally = Tally()
        """Counts of missed responses and zero gradients."""
        self.recorders: dict[str, Recorder] = {}
        """Recorders of analyses, by their names."""

    @property
    def needs_gradient(self) -> bool:
        """Whether answers to the next ``ask`` must have gradients."""
        return self._finals is None and self.optimizer.needs_gradient

    @property
    def remeasuring(self) -> bool:
        """Whether the search has begun to measure its leaders again."""
        return self._finals is not None

    def ask(self) -> Tensor:
        r"""Return the latents to evaluate, (n, \*latent): candidates with their replicates, within the budget, or leaders to measure again.

        Raises
        ------
        RuntimeError
            The search has ended.
        """
        if self.stopped_by:
            raise RuntimeError(f"the search of {self.unit} has ended ({self.stopped_by})")
        if self._finals is not None:
            self._asked = self._finals.ask()
            return self._asked
        self._asked = self.optimizer.ask()
        return self.design.shown(self._asked)[: self._left]

    @property
    def _left(self) -> int | None:
        """Evaluations that remain for the optimizer; None without a limit."""
        total = self.budget.evaluations
        return None if total is None else total - self.design.reserve(total) - self.evaluations

    def tell(self, scores: Tensor, gradients: Tensor | None = None) -> None:
        r"""Receive the scores of the latents of the last ``ask``.

        Candidates that the budget cut off reach the optimizer as missed.

        Parameters
        ----------
        scores : Tensor
            (n,), NaN for missed trials.
        gradients : Tensor or None
            (n, \*latent), if the search needs gradients.

        Raises
        ------
        RuntimeError
            There was no ``ask`` since the last ``tell``.
        """
        if self._asked is None:
            raise RuntimeError("tell without ask")
        asked, self._asked = self._asked, None
        told = scores.detach().to("cpu", torch.float64)
        self.tally.add(told, gradients if self._finals is None else None)
        told = torch.where(told.isfinite(), told, torch.nan)
        if self._finals is not None:
            self._finals.tell(told)
            self._record(told.numpy())
            if self._finals.done:
                self.stopped_by = self._ended_by
            return
        means, variance = self.design.pooled(told)
        if gradients is not None:
            gradients = self.design.pooled_gradients(gradients, told)
        shown = means.shape[0]
        cut = asked.shape[0] - shown
        padded = torch.cat([means, means.new_full((cut,), torch.nan)])
        if cut and gradients is not None:
            gradients = torch.cat([gradients, gradients.new_zeros(cut, *gradients.shape[1:])])
        if cut and variance is not None:
            variance = torch.cat([variance, variance.new_full((cut,), torch.nan)])
        self.optimizer.tell(Evaluations(asked, padded, variance, None if gradients is None else gradients.cpu()))
        if self.leaders.capacity:
            self.leaders.add(self._hard(asked[:shown].detach().cpu()), means)
        for recorder in self.recorders.values():
            recorder.see(self.evaluations, asked[:shown], means.numpy(), self.design.replicates, self._hard)
        self._remember(told.numpy(), means.numpy())

    def attend(self, gradients: Tensor) -> None:
        r"""Pass gradients of scores with respect to the stimuli, (n, \*stimulus), to the recorders."""
        for recorder in self.recorders.values():
            recorder.attend(gradients)

    @property
    def listens(self) -> bool:
        """Whether the optimizer learns from candidates that it did not propose."""
        return isinstance(self.optimizer, Listener)

    def observe(self, evaluations: Evaluations) -> None:
        """Pass on other searches' candidates, scored for this search.

        The optimizer may learn from them and recommend one; they count for ``overheard``, not as evaluations.
        """
        if isinstance(self.optimizer, Listener):
            self.optimizer.observe(evaluations)
            self.leaders.add(evaluations.latents, evaluations.scores)
            self.overheard += evaluations.scores.shape[0]

    def _remember(self, scores: np.ndarray, means: np.ndarray) -> None:
        before = self.evaluations
        self._record(scores)
        if not np.isnan(means).all():
            at = int(np.nanargmax(means))
            if not self.best >= means[at]:
                self.best, self._best_at = float(means[at]), min(before + (at + 1) * self.design.replicates, self.evaluations)
        if self._left is not None and self._left <= 0:
            self.end("evaluations")
        elif self._stalled:
            self.end("plateau")

    @property
    def _stalled(self) -> bool:
        """Whether the search has reached its plateau."""
        return self.budget.plateau is not None and self.evaluations - self._best_at >= self.budget.plateau

    def _record(self, scores: np.ndarray) -> None:
        self._scores.append(scores.copy())
        self.evaluations += scores.size

    def end(self, reason: str) -> None:
        """Stop asking the optimizer: measure leaders again if the design reserves evaluations, else end. Without effect if that has begun.

        The reserve is a fraction of the budget's evaluations, or of those made if another limit came first.

        Parameters
        ----------
        reason : str
            "evaluations", "seconds", "plateau" or "cancelled".
        """
        if self.stopped_by or self._finals is not None:
            return
        self._ended_by = reason
        share, total = self.design.remeasure, self.budget.evaluations
        again = int(share / (1 - share) * self.evaluations + 0.5)
        if total is not None:
            again = total - self.evaluations if reason == "evaluations" else min(again, total - self.evaluations)
        if again > 0 and len(self.leaders):
            self._finals = self._begin_finals(again)
        else:
            self.stopped_by = reason

    def _begin_finals(self, again: int) -> Remeasurement:
        leaders, _ = self.leaders.ranked()
        recommended = self.recommend()[None]
        others = leaders[(leaders != recommended).flatten(1).any(1)]
        return SequentialHalving(torch.cat([recommended, others]), again, self.closing)

    @property
    def scores(self) -> np.ndarray:
        """All scores so far, float64 (evaluations,), in the order of evaluation, with replicates and measurements of leaders one by one."""
        return np.concatenate(self._scores) if self._scores else np.empty(0)

    @property
    def natural_multiple(self) -> float | None:
        """Best score so far ÷ response to the best natural stimulus; None unless that is positive."""
        if self.natural_best is None or self.natural_best <= 0 or np.isnan(self.best):
            return None
        return self.best / self.natural_best

    def recommend(self) -> Tensor:
        r"""Return the answer, (\*latent), codes or floats: the optimizer's, or the best of the leaders that were measured again.

        Raises
        ------
        RuntimeError
            Nothing was evaluated yet.
        """
        if self._finals is not None:
            return self._finals.leading()
        return self._hard(self.optimizer.recommend().cpu()[None])[0]

    def measured(self) -> Measured | None:
        """Return the answer with its response; None unless leaders were measured again."""
        return None if self._finals is None else self._finals.measured()

    def best_latents(self) -> list[Tensor]:
        r"""Return the best known latents, (\*latent) each: those measured again first; duplicates are possible."""
        again = self._finals.ranked() if isinstance(self._finals, SequentialHalving) else []
        return [*again, *self.leaders.ranked()[0]]

    def answers(self) -> list[Measured]:
        """Return all answers, the recommended one first; open if leaders were not measured again."""
        return [self.measured() or Measured.open(self.recommend())]

    def _hard(self, latents: Tensor) -> Tensor:
        return self.latent.harden(latents) if isinstance(self.latent, Categorical) else latents

    def state_dict(self) -> dict[str, Any]:
        """Return the search's state as nested plain data and tensors. Valid between ``tell`` and the next ``ask``."""
        return {
            "unit": self.unit,
            "optimizer_label": self.optimizer_label,
            "optimizer": self.optimizer.state_dict(),
            "scores": torch.from_numpy(self.scores.copy()),
            "best_at": self._best_at,
            "best": self.best,
            "overheard": self.overheard,
            "leaders": self.leaders.state_dict(),
            "finals": None if self._finals is None else self._finals.state_dict(),
            "ended_by": self._ended_by,
            "recorders": {name: recorder.state_dict() for name, recorder in self.recorders.items()},
            "tally": self.tally.state_dict(),
            "stopped_by": self.stopped_by,
            "seconds": self.seconds,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state that :meth:`state_dict` returned.

        Raises
        ------
        ValueError
            The state is another search's.
        """
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
        self.best = float(state["best"])
        self.leaders.load_state_dict(state["leaders"])
        self._finals = None if state["finals"] is None else self._restored_finals(state["finals"])
        self._ended_by = str(state["ended_by"])
        for name, kept in state.get("recorders", {}).items():
            if name in self.recorders:
                self.recorders[name].load_state_dict(kept)
        self.tally.load_state_dict(state.get("tally", {}))
        self.stopped_by = str(state["stopped_by"])
        self.seconds = float(state["seconds"])

    def _restored_finals(self, state: Mapping[str, Any]) -> Remeasurement:
        return SequentialHalving.from_state(state)
