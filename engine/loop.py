"""The one loop: searches driven by a target, sharing its forward passes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor

from ..models.generators.generator import Generator
from ..models.objectives.objective import LATENT, OFFERED, STIMULUS, Objective, compares
from ..models.targets.target import CountsTrials, Target
from ..models.transformations.pipeline import Pipeline
from .packing import pass_size
from .search import Search
from .sharing import Exchange
from .shown import Shown

Asked = list[tuple[Search, Tensor]]


class Observer(Protocol):
    """Watches a loop. It is called between generations, when every search could be saved."""

    def generation_done(self, searches: Sequence[Search], seconds: float) -> None:
        """All searches have been told; ``seconds`` have passed since the job began."""
        ...


class Loop:
    """Asks all searches, evaluates their candidates together, tells them; until each has ended.

    Parameters
    ----------
    generator, target : Generator, Target
        Already on ``device``.
    searches : sequence of Search
        Each ends by its own budget.
    device : str
        Where stimuli are made.
    observers : sequence of Observer
        Called after every generation.
    seconds : float or None
        Ends the searches after so much running time, ``elapsed`` included; leaders are still measured again.
    elapsed : float
        Running time of earlier attempts.
    sharing : bool
        Whether searches of one optimizer learn from each other's candidates.
    seed : int
        The job's, for targets with noise of their own.
    max_batch : int or None
        Stimuli in one pass, transformed copies counted; None: as many as fit (see :func:`pass_size`).
    transformations : Pipeline or None
        Changes every stimulus before the target sees it.
    """

    def __init__(
        self,
        generator: Generator,
        target: Target,
        searches: Sequence[Search],
        *,
        device: str = "cpu",
        observers: Sequence[Observer] = (),
        seconds: float | None = None,
        elapsed: float = 0.0,
        sharing: bool = True,
        seed: int = 0,
        max_batch: int | None = None,
        transformations: Pipeline | None = None,
    ) -> None:
        self.generator = generator
        self.target = target
        self.searches = searches
        self.device = device
        self.observers = observers
        self.budget_seconds = seconds
        self.transformations = transformations
        self.samples = 1 if transformations is None else transformations.samples
        self.max_batch = max(1, (max_batch or pass_size(target, generator.stimulus, device)) // self.samples)
        self.sharing = sharing
        self.seed = seed
        self._trial = 0
        self._elapsed = elapsed
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """Running time so far, earlier attempts included."""
        return self._elapsed + time.monotonic() - self._began

    def run(self, should_stop: Callable[[], str] = lambda: "") -> str:
        """Run to the end; returns "" or, where ``should_stop`` gave a reason between generations, that reason."""
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
            for search in active:
                search.seconds = self.seconds
            for observer in self.observers:
                observer.generation_done(self.searches, self.seconds)
        return ""

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
            with torch.inference_mode():
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
        with torch.inference_mode():
            return self._respond(asked, Exchange(()), plain)

    def _respond(self, asked: Asked, exchange: Exchange, plain: Mapping[Search, Objective] | None = None) -> list[Tensor]:
        scores: list[list[Tensor]] = [[] for _ in asked]
        for numbers, latents in self._passes(asked):
            found, _ = self._scores(asked, numbers, latents, exchange, plain)
            for number, score in zip(numbers, found, strict=True):
                scores[number].append(score)
        return [torch.cat(parts) if parts else torch.empty(0) for parts in scores]

    def _respond_with_gradients(self, asked: Asked, exchange: Exchange) -> list[tuple[Tensor, Tensor]]:
        scores: list[list[Tensor]] = [[] for _ in asked]
        gradients: list[list[Tensor]] = [[] for _ in asked]
        with torch.enable_grad():
            for numbers, latents in self._passes(asked):
                leaves = [part.detach().float().requires_grad_() for part in latents]
                found, stimuli = self._scores(asked, numbers, leaves, exchange)
                # grad() of these tensors alone: the networks' parameters stay untouched
                total = torch.stack([score.sum() for score in found]).sum()
                *slopes, at_stimuli = torch.autograd.grad(total, [*leaves, stimuli], allow_unused=True)
                for number, score, leaf, slope in zip(numbers, found, leaves, slopes, strict=True):
                    scores[number].append(score.detach())
                    gradients[number].append(torch.zeros_like(leaf) if slope is None else slope)
                if at_stimuli is not None:
                    for number, part in zip(numbers, at_stimuli.split([leaf.shape[0] for leaf in leaves]), strict=True):
                        asked[number][0].attend(part)
        return [(torch.cat(s), torch.cat(g)) for s, g in zip(scores, gradients, strict=True)]

    def _passes(self, asked: Asked) -> list[tuple[list[int], list[Tensor]]]:
        """Candidates of all searches, packed into forward passes of at most ``max_batch``; compared candidates stay together."""
        passes: list[tuple[list[int], list[Tensor]]] = []
        room = 0
        for number, (search, latents) in enumerate(asked):
            if compares(search.objective) and latents.shape[0]:
                passes.append(([number], [latents.to(self.device)]))
                room = 0
                continue
            start = 0
            while start < latents.shape[0]:
                if room == 0:
                    passes.append(([], []))
                    room = self.max_batch
                part = latents[start : start + room]
                passes[-1][0].append(number)
                passes[-1][1].append(part.to(self.device))
                start += part.shape[0]
                room -= part.shape[0]
        return passes

    def _scores(
        self,
        asked: Asked,
        numbers: Sequence[int],
        latents: Sequence[Tensor],
        exchange: Exchange,
        plain: Mapping[Search, Objective] | None = None,
    ) -> tuple[list[Tensor], Tensor]:
        """Each search's scores of its latents, and the stimuli of all."""
        searches = [asked[number][0] for number in numbers]
        objectives = [search.objective if plain is None else plain[search] for search in searches]
        together = torch.cat(list(latents))
        stimuli = self.generator(together)
        layers = frozenset().union(exchange.layers(searches), *(objective.layers for objective in objectives))
        samples = 1 if plain is not None else self.samples
        if isinstance(self.target, CountsTrials):
            self.target.begin(self.seed, self._trial * samples)
        seen = self._as_seen(stimuli, [(search, part.shape[0]) for search, part in zip(searches, latents, strict=True)], plain is not None)
        self._trial += stimuli.shape[0]
        responses = self.target.respond(seen, layers - OFFERED) if layers - OFFERED else {}
        shown = Shown(responses, {STIMULUS: stimuli, LATENT: together}, samples)
        exchange.add(searches, latents, shown)
        scores: list[Tensor] = []
        start = 0
        for objective, part in zip(objectives, latents, strict=True):
            rows = slice(start, start + part.shape[0])
            scores.append(shown.scores(objective, rows))
            start = rows.stop
        return scores, stimuli

    def _as_seen(self, stimuli: Tensor, counts: Sequence[tuple[Search, int]], plain: bool) -> Tensor:
        """What the target sees of ``stimuli``, so many of each search."""
        if self.transformations is None:
            return stimuli
        if plain:
            return self.transformations.plain(stimuli)
        progress = torch.cat([torch.full((n,), _progress(search), dtype=torch.float64) for search, n in counts])
        return self.transformations(stimuli, self._trial, progress)


def _progress(search: Search) -> float:
    """The share of its evaluations that a search has made; 0 where seconds alone limit it, which no two runs use alike."""
    total = search.budget.evaluations
    return 0.0 if total is None else min(search.evaluations / total, 1.0)
