"""One search of a session: what it asks, told generation by generation, and what it recommends."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ...optimizers.optimizer import Evaluations
from ..search.search import Search
from ..spec import ComponentSpec
from .checked import Aim, CheckedSession
from .planning import Part, interleaved
from .trials import Kind, Stimuli, Trial


class SearchThread:
    """A search and its part of the session.

    What its search asks at once is shown in as many generations as it takes, and told when the last of it is in.

    Parameters
    ----------
    checked : CheckedSession
        The session.
    number : int
        Which of its threads.
    """

    def __init__(self, checked: CheckedSession, number: int) -> None:
        self._checked = checked
        self.number = number
        self.name = checked.threads[number].name
        self.evaluations_due = checked.evaluations[number]
        self.aim = checked.aims[number]
        self.pending: Aim | None = None
        self.changes = 0
        self.looks = 0
        self.earlier_evaluations = 0
        self.closing_from = 0
        """The generation in which its winner began to be measured alone; 0 before."""
        self.recommended: Tensor | None = None
        self.search, self.note = checked.search(number, self.aim, 0, self.evaluations_due)
        self._forget()

    def _forget(self) -> None:
        self._asked: list[int] = []
        self._order: list[int] = []
        self._shown = 0
        self._scores: dict[int, float] = {}
        self.closing = False
        """Whether what it asks is its winner alone."""

    @property
    def evaluations(self) -> int:
        """Told so far, what is told of an ask in part included."""
        return self.earlier_evaluations + self.search.evaluations + len(self._scores)

    @property
    def stopped_by(self) -> str:
        """By which rule its search ended; empty while it goes on."""
        return self.search.stopped_by

    @property
    def whole(self) -> bool:
        """Whether nothing of an ask was shown that is not told yet, so that its state is that of its search."""
        return self._shown == 0

    @property
    def score_bounds(self) -> tuple[float, float]:
        """The least and the greatest score that is possible by its objective; infinite where nothing is known of that."""
        return self._checked.score_bounds(self.search.objective)

    @property
    def left(self) -> int:
        """Rows of its ask that are still to be shown."""
        return len(self._order) - self._shown

    def recommend(self) -> None:
        """Bring :attr:`recommended` up to date."""
        try:
            self.recommended = self.search.recommend()
        except RuntimeError:  # nothing was told yet
            self.recommended = None

    def ask(self, stimuli: Stimuli) -> None:
        """Have something to show."""
        if self.stopped_by or self._order:
            return
        self._asked = stimuli.numbers(self.search.ask())
        again = self.search.remeasuring
        # leaders by turns, so that each meets every generation's gain
        self._order = interleaved(self._asked) if again else list(range(len(self._asked)))
        self.closing = again and len(set(self._asked)) == 1

    def show(self, room: int, generation: int) -> Part:
        """The next rows, about as many in each generation that it takes to show all with so much room."""
        count = math.ceil(self.left / math.ceil(self.left / max(room, 1)))
        rows = self._order[self._shown : self._shown + count]
        self._shown += count
        if self.closing and not self.closing_from:
            self.closing_from = generation
        replicates = 0 if self.search.remeasuring else self._checked.spec.design.replicates
        return Part(self.number, [(row, self._asked[row]) for row in rows], replicates)

    def tell(self, trials: Sequence[Trial], stimuli: Stimuli) -> None:
        """Scores of its trials in a generation; what it did not ask itself are fresh measurements of what it recommends."""
        for trial in trials:
            if trial.row >= 0:
                self._scores[trial.row] = trial.score
        if self._order and len(self._scores) == len(self._order):
            scores = [self._scores[row] for row in range(len(self._order))]
            self._forget()
            self.search.tell(torch.tensor(scores, dtype=torch.float64))
        fresh = [trial for trial in trials if trial.row < 0 and trial.kind is Kind.REMEASURE and math.isfinite(trial.score)]
        self.observe(fresh, [trial.score for trial in fresh], stimuli)

    def observe(self, trials: Sequence[Trial], scores: Sequence[float], stimuli: Stimuli) -> None:
        """Let its search learn from trials that it did not ask for; scores are finite."""
        if not trials or self.search.remeasuring or self.stopped_by:
            return
        found = [stimuli.latent(trial.stimulus) for trial in trials]
        latents = torch.stack([latent for latent in found if latent is not None])
        told = torch.tensor(scores, dtype=torch.float64)
        if self.search.listens:
            self.search.observe(Evaluations(latents, told))
        else:
            self.search.leaders.add(latents, told)

    def turn(self) -> None:
        """Begin a fresh search for what is pending."""
        assert self.pending is not None
        self.earlier_evaluations = self.evaluations
        self.changes += 1
        self.aim, self.pending = self.pending, None
        self.search, self.note = self._fresh()
        self._forget()

    def finish(self, *, remeasure: bool) -> None:
        """End the search, with its leaders measured again if ``remeasure``; what it has asked and not shown yet is given up."""
        if remeasure and self.search.remeasuring:
            return
        self.earlier_evaluations += len(self._scores)
        self.pending = None
        self._forget()
        if remeasure:
            self.search.end("finished")
        else:
            self.search.stopped_by = "finished"

    def _fresh(self) -> tuple[Search, str]:
        return self._checked.search(self.number, self.aim, self.changes, self.evaluations_due - self.earlier_evaluations)

    def leaders(self, most: int) -> list[Tensor]:
        """The best latents that it knows of, its recommendation first."""
        found = [] if self.recommended is None else [self.recommended]
        for latent in self.search.best_latents():
            if all(not torch.equal(latent, other) for other in found):
                found.append(latent)
        return found[:most]

    def state_dict(self) -> dict[str, Any]:
        """All that it needs to go on, where it is whole."""
        return {
            "search": self.search.state_dict(),
            "aim": {
                "objective": self.aim.objective.name,
                "options": json.dumps(self.aim.objective.options, sort_keys=True),
                "unit": self.aim.unit,
            },
            "changes": self.changes,
            "looks": self.looks,
            "earlier_evaluations": self.earlier_evaluations,
            "closing_from": self.closing_from,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from ``state``."""
        aim = state["aim"]
        self.aim = Aim(ComponentSpec(name=aim["objective"], options=json.loads(aim["options"])), aim["unit"])
        self.changes, self.looks = int(state["changes"]), int(state["looks"])
        self.earlier_evaluations = int(state["earlier_evaluations"])
        self.closing_from = int(state["closing_from"])
        self.search, self.note = self._fresh()
        self.search.load_state_dict(state["search"])
        self._forget()


def reasons(threads: Sequence[SearchThread]) -> str:
    """By which rules all have ended; empty while one goes on."""
    found = [thread.stopped_by for thread in threads]
    return ", ".join(dict.fromkeys(found)) if all(found) else ""
