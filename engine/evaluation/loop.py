"""The one loop: searches driven by a target, sharing its forward passes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal, Protocol, runtime_checkable

import torch
from torch import Tensor

from ...models.objectives.objective import Objective, compares
from ..search.search import Search
from ..search.sharing import Exchange
from .evaluator import EvaluationSetup, Evaluator, Outcome, Pass, Spread

Asked = list[tuple[Search, Tensor]]
StopReason = Literal["", "cancel", "suspend"]
"""Why to end early; empty to go on."""


class Observer(Protocol):
    """Watches a loop. It is called between generations, when every search could be saved."""

    def generation_done(self, searches: Sequence[Search], seconds: float) -> None:
        """All searches have been told; ``seconds`` have passed since the job began."""
        ...


@runtime_checkable
class PassObserver(Protocol):
    """An observer that is also called between the forward passes of a generation, when no search could be saved."""

    def pass_done(self, searches: Sequence[Search], seconds: float, under_way: Mapping[Search, int], stage: str) -> None:
        """``under_way`` counts evaluations that searches have yet to be told; ``stage`` is empty while they run."""
        ...


class Loop:
    """Asks all searches, evaluates their candidates together, tells them; until each has ended.

    Parameters
    ----------
    setup : EvaluationSetup
        How candidates are evaluated.
    searches : sequence of Search
        Each ends by its own budget.
    observers : sequence of Observer
        Called after every generation, and a :class:`PassObserver` after every pass too.
    seconds : float or None
        Ends the searches after so much running time, ``elapsed`` included; leaders are still measured again.
    elapsed : float
        Running time of earlier attempts.
    sharing : bool
        Whether searches of one optimizer learn from each other's candidates.
    spread : callable or None
        Shares the passes of a generation out between processes; None: all are evaluated here.
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
        spread: Spread | None = None,
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
        """Running time so far, earlier attempts included."""
        return self._elapsed + time.monotonic() - self._began

    def run(self, should_stop: Callable[[], StopReason] = lambda: "") -> StopReason:
        """Run to the end; returns "" or, where ``should_stop`` gave a reason between generations, that reason."""
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
        """Call the observers that are called between passes; ``stage`` says what is done once the searches have ended."""
        for observer in self.observers:
            if isinstance(observer, PassObserver):
                observer.pass_done(self.searches, self.seconds, self._under_way, stage)

    def step(self, active: Sequence[Search]) -> None:
        """One generation of every search in ``active``: those with gradients in passes of their own, the rest together.

        Each is told its own candidates first, then what it overhears of the others'.
        """
        exchange = Exchange([search for search in active if not search.remeasuring] if self.sharing else ())
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
        """Scores of given latents, without telling anyone; or, by the objectives of ``plain``, of the untransformed stimuli."""
        self._trial = sum(search.evaluations for search in self.searches)
        evaluate = self.evaluate
        if plain is not None:
            evaluate = Evaluator(self.setup, [plain.get(search, search.objective) for search in self.searches], plain=True)
        return self._respond(asked, Exchange(()), evaluate, measuring=True)

    def _respond(self, asked: Asked, exchange: Exchange, evaluate: Evaluator | None = None, *, measuring: bool = False) -> list[Tensor]:
        """Scores of each search's candidates; evaluated in this process where ``evaluate`` is given."""
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

    def _respond_with_gradients(self, asked: Asked, exchange: Exchange) -> list[tuple[Tensor, Tensor]]:
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
        """Candidates of all searches, packed into forward passes of at most ``max_batch``; compared candidates stay together."""
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
        exchange: Exchange,
        evaluate: Evaluator | None = None,
        graded: bool = False,
    ) -> Iterator[Outcome]:
        """What comes of each pass, in their order."""
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

    def _share(self, asked: Asked, numbers: Sequence[int], parts: Sequence[Tensor], outcome: Outcome, exchange: Exchange) -> None:
        heard = {self.searches[number]: scores for number, scores in outcome.heard.items()}
        exchange.add([asked[number][0] for number in numbers], parts, heard)


def _progress(search: Search) -> float:
    """The share of its evaluations that a search has made; 0 where seconds alone limit it, which no two runs use alike."""
    total = search.budget.evaluations
    return 0.0 if total is None else min(search.evaluations / total, 1.0)
