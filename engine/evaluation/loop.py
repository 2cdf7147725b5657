"""The loop of a job: all searches, driven by one target, with shared forward passes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal, Protocol, runtime_checkable

import torch
from torch import Tensor

from ...models.objectives.objective import Objective, compares
from ..search.search import Search
from ..search.sharing import EvaluationSharing
from .evaluator import EvaluationSetup, Evaluator, Outcome, Pass, PassDispatcher

Asked = list[tuple[Search, Tensor]]
StopReason = Literal["", "cancel", "suspend"]
"""Why to end early; empty to continue."""


class Observer(Protocol):
    """Watches a loop. It is called between generations, when every search can be saved."""

    def generation_done(self, searches: Sequence[Search], seconds: float) -> None:
        """Handle the end of a generation.

        Parameters
        ----------
        searches : sequence of Search
            All searches of the job, which have received their scores.
        seconds : float
            Running time of the job so far.
        """
        ...


@runtime_checkable
class PassObserver(Protocol):
    """An observer that is also called between the forward passes of a generation, when no search can be saved."""

    def pass_done(self, searches: Sequence[Search], seconds: float, under_way: Mapping[Search, int], stage: str) -> None:
        """Handle the end of a forward pass.

        Parameters
        ----------
        searches : sequence of Search
            All searches of the job.
        seconds : float
            Running time of the job so far.
        under_way : mapping of Search to int
            Evaluations of the present generation whose scores the search has not received yet.
        stage : str
            What is done after the searches; empty while they run.
        """
        ...


class Loop:
    """Drives searches: asks all of them, evaluates their candidates together and tells them the scores, until all have ended.

    Parameters
    ----------
    setup : EvaluationSetup
        How candidates are evaluated.
    searches : sequence of Search
        The searches; each ends by its own budget.
    observers : sequence of Observer
        Called after every generation, and each :class:`PassObserver` after every pass too.
    seconds : float or None
        Running time, ``elapsed`` included, after which the searches end; leaders are still measured again.
    elapsed : float
        Running time of earlier attempts, in seconds.
    sharing : bool
        Whether searches of one optimizer learn from each other's candidates.
    spread : callable or None
        Distributes the passes of a generation over processes; None: all are evaluated in this process.
    """

    def __init__(
        self,
        setup: EvaluationSetup,
        searches: Sequence[Search],
        *,
        observers: Sequence[Observer] = (),
        seconds: float | None = None,
        elapsed: float = 0.0,
        sharing: bool = True,
        spread: PassDispatcher | None = None,
    ) -> None:
        self.setup = setup
        self.searches = searches
        self.observers = observers
        self.budget_seconds = seconds
        self.max_batch = setup.candidates()
        self.sharing = sharing
        self.spread = spread
        self.evaluate = Evaluator(setup, [search.objective for search in searches])
        self._numbers = {search: number for number, search in enumerate(searches)}
        self._trial = 0
        self._under_way: dict[Search, int] = {}
        self._elapsed = elapsed
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """Running time so far in seconds, including earlier attempts."""
        return self._elapsed + time.monotonic() - self._began

    def run(self, should_stop: Callable[[], StopReason] = lambda: "") -> StopReason:
        """Run all searches to their end.

        Parameters
        ----------
        should_stop : callable
            Called between generations; a reason ends the loop.

        Returns
        -------
        str
            The reason of ``should_stop``; "" if all searches have ended.
        """
        self.report()
        while active := [search for search in self.searches if not search.stopped_by]:
            reason = should_stop()
            if reason:
                return reason
            if self.budget_seconds is not None and self.seconds >= self.budget_seconds:
                for search in active:
                    search.end("seconds")
                    search.seconds = self.seconds
                active = [search for search in active if not search.stopped_by]
                if not active:
                    break
            self.step(active)
            self._under_way.clear()
            for search in active:
                search.seconds = self.seconds
            for observer in self.observers:
                observer.generation_done(self.searches, self.seconds)
        return ""

    def report(self, stage: str = "") -> None:
        """Call the pass observers; ``stage`` says what is done after the searches."""
        for observer in self.observers:
            if isinstance(observer, PassObserver):
                observer.pass_done(self.searches, self.seconds, self._under_way, stage)

    def step(self, active: Sequence[Search]) -> None:
        """Run one generation of every search in ``active``.

        Searches with gradients are evaluated in separate passes, the others together. Each search receives the scores of its own candidates
        first, then those of other searches' candidates.
        """
        exchange = EvaluationSharing([search for search in active if not search.remeasuring] if self.sharing else ())
        self._trial = sum(search.evaluations for search in self.searches)
        plain: Asked = []
        graded: Asked = []
        for search in active:
            (graded if search.needs_gradient else plain).append((search, search.ask()))
        if plain:
            scores = self._respond(plain, exchange)
            for (search, _), told in zip(plain, scores, strict=True):
                search.tell(told)
        if graded:
            for (search, _), (told, gradients) in zip(graded, self._respond_with_gradients(graded, exchange), strict=True):
                search.tell(told, gradients)
        exchange.tell()

    def measure(self, asked: Asked, plain: Mapping[Search, Objective] | None = None) -> list[Tensor]:
        r"""Return the scores of given latents, (n,) for each search, without telling the searches.

        Parameters
        ----------
        asked : list of (Search, Tensor)
            Searches and latents, (n, \*latent) each.
        plain : mapping of Search to Objective or None
            Objectives that replace the searches' own; then the target sees the untransformed stimuli. None: as in the search.
        """
        self._trial = sum(search.evaluations for search in self.searches)
        evaluate = self.evaluate
        if plain is not None:
            evaluate = Evaluator(self.setup, [plain.get(search, search.objective) for search in self.searches], plain=True)
        return self._respond(asked, EvaluationSharing(()), evaluate, measuring=True)

    def _respond(
        self, asked: Asked, exchange: EvaluationSharing, evaluate: Evaluator | None = None, *, measuring: bool = False
    ) -> list[Tensor]:
        """Return the scores of each search's candidates; if ``evaluate`` is given, it evaluates them in this process."""
        scores: list[list[Tensor]] = [[] for _ in asked]
        passes = self._passes(asked)
        measured, total = 0, sum(latents.shape[0] for _, latents in asked)
        for (numbers, parts), outcome in zip(passes, self._outcomes(asked, passes, exchange, evaluate), strict=True):
            self._share(asked, numbers, parts, outcome, exchange)
            for number, score in zip(numbers, outcome.scores, strict=True):
                scores[number].append(score)
            if measuring:
                measured += sum(part.shape[0] for part in parts)
                self.report(f"measuring what was found: {measured} of {total}")
            else:
                self._passed(asked, numbers, parts)
        return [torch.cat(parts) if parts else torch.empty(0) for parts in scores]

    def _respond_with_gradients(self, asked: Asked, exchange: EvaluationSharing) -> list[tuple[Tensor, Tensor]]:
        scores: list[list[Tensor]] = [[] for _ in asked]
        gradients: list[list[Tensor]] = [[] for _ in asked]
        passes = self._passes(asked)
        for (numbers, parts), outcome in zip(passes, self._outcomes(asked, passes, exchange, graded=True), strict=True):
            self._share(asked, numbers, [part.float() for part in parts], outcome, exchange)
            for number, score, slope in zip(numbers, outcome.scores, outcome.gradients, strict=True):
                scores[number].append(score)
                gradients[number].append(slope)
            for number, slope in zip(numbers, outcome.at_stimuli, strict=False):
                asked[number][0].attend(slope)
            self._passed(asked, numbers, parts)
        return [(torch.cat(s), torch.cat(g)) for s, g in zip(scores, gradients, strict=True)]

    def _passed(self, asked: Asked, numbers: Sequence[int], parts: Sequence[Tensor]) -> None:
        """Count a pass of the present generation, and report it."""
        for number, part in zip(numbers, parts, strict=True):
            search = asked[number][0]
            self._under_way[search] = self._under_way.get(search, 0) + part.shape[0]
        self.report()

    def _passes(self, asked: Asked) -> list[tuple[list[int], list[Tensor]]]:
        """Return the candidates of all searches in passes of at most ``max_batch``; candidates that are compared stay together."""
        passes: list[tuple[list[int], list[Tensor]]] = []
        room = 0
        for number, (search, latents) in enumerate(asked):
            if compares(search.objective) and latents.shape[0]:
                passes.append(([number], [latents]))
                room = 0
                continue
            start = 0
            while start < latents.shape[0]:
                if room == 0:
                    passes.append(([], []))
                    room = self.max_batch
                part = latents[start : start + room]
                passes[-1][0].append(number)
                passes[-1][1].append(part)
                start += part.shape[0]
                room -= part.shape[0]
        return passes

    def _outcomes(
        self,
        asked: Asked,
        passes: Sequence[tuple[list[int], list[Tensor]]],
        exchange: EvaluationSharing,
        evaluate: Evaluator | None = None,
        graded: bool = False,
    ) -> Iterator[Outcome]:
        """Return the outcomes of the passes, in their order."""
        work: list[Pass] = []
        for numbers, parts in passes:
            searches = [asked[number][0] for number in numbers]
            hearers = tuple(self._numbers[hearer] for hearer in exchange.hearers(searches))
            theirs = tuple(self._numbers[search] for search in searches)
            work.append(Pass(theirs, tuple(parts), tuple(map(_progress, searches)), self._trial, hearers, graded))
            self._trial += sum(part.shape[0] for part in parts)
        if self.spread is None or evaluate is not None or len(work) == 1:
            return map(evaluate or self.evaluate, work)
        return self.spread(work, self.evaluate)

    def _share(self, asked: Asked, numbers: Sequence[int], parts: Sequence[Tensor], outcome: Outcome, exchange: EvaluationSharing) -> None:
        heard = {self.searches[number]: scores for number, scores in outcome.heard.items()}
        exchange.add([asked[number][0] for number in numbers], parts, heard)


def _progress(search: Search) -> float:
    """Return the fraction of its evaluations that a search has made.

    It is 0 if only seconds limit the search, since equal runs would differ otherwise.
    """
    total = search.budget.evaluations
    return 0.0 if total is None else min(search.evaluations / total, 1.0)
