"""The one loop: searches driven by a target, sharing its forward passes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from ..models.generators.generator import Generator
from ..models.targets.target import CountsTrials, Target
from .search import Search
from .sharing import Exchange

Asked = list[tuple[Search, Tensor]]

MAX_BATCH = 250
"""Stimuli in one forward pass; more gain nothing on a CPU and cost memory."""


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
        max_batch: int = MAX_BATCH,
    ) -> None:
        self.generator = generator
        self.target = target
        self.searches = searches
        self.device = device
        self.observers = observers
        self.budget_seconds = seconds
        self.max_batch = max_batch
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

    def measure(self, asked: Asked) -> list[Tensor]:
        """Scores of given latents, without telling anyone."""
        self._trial = sum(search.evaluations for search in self.searches)
        with torch.inference_mode():
            return self._respond(asked, Exchange(()))

    def _respond(self, asked: Asked, exchange: Exchange) -> list[Tensor]:
        scores: list[list[Tensor]] = [[] for _ in asked]
        for numbers, latents in self._passes(asked):
            found, _ = self._scores(asked, numbers, latents, exchange)
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
        """Candidates of all searches, packed into forward passes of at most ``max_batch``."""
        passes: list[tuple[list[int], list[Tensor]]] = []
        room = 0
        for number, (_, latents) in enumerate(asked):
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

    def _scores(self, asked: Asked, numbers: Sequence[int], latents: Sequence[Tensor], exchange: Exchange) -> tuple[list[Tensor], Tensor]:
        """Each search's scores of its latents, and the stimuli of all."""
        searches = [asked[number][0] for number in numbers]
        objectives = [search.objective for search in searches]
        stimuli = self.generator(torch.cat(list(latents)))
        layers = frozenset().union(exchange.layers(searches), *(objective.layers for objective in objectives))
        if isinstance(self.target, CountsTrials):
            self.target.begin(self.seed, self._trial)
        self._trial += stimuli.shape[0]
        responses = self.target.respond(stimuli, layers)
        exchange.add(searches, latents, responses)
        scores: list[Tensor] = []
        start = 0
        for objective, part in zip(objectives, latents, strict=True):
            rows = slice(start, start + part.shape[0])
            scores.append(objective({layer: responses[layer][rows] for layer in objective.layers}))
            start = rows.stop
        return scores, stimuli
