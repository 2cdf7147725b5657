"""Evaluates one pass of candidates to scores, and gradients if needed. It is stateless, so any process may evaluate any pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ...models.generators.generator import Generator
from ...models.objectives.objective import LATENT, OFFERED, STIMULUS, Objective
from ...models.targets.target import CountsTrials, PreservesState, Target
from ...models.transformations.pipeline import Pipeline
from .forward_result import ForwardResult
from .packing import pass_size


@dataclass(frozen=True)
class Pass:
    r"""Candidates that go through generator and target together.

    Attributes
    ----------
    numbers : tuple of int
        Number of the objective that scores each of ``latents``.
    latents : tuple of Tensor
        (n, \*latent) each.
    progress : tuple of float
        Fraction of each search's evaluations already made, in [0, 1].
    trial : int
        Number of the first candidate's evaluation; those of the others follow.
    hearers : tuple of int
        Objectives that score all candidates of the pass in addition.
    graded : bool
        Whether gradients are computed.
    """

    numbers: tuple[int, ...]
    latents: tuple[Tensor, ...]
    progress: tuple[float, ...]
    trial: int
    hearers: tuple[int, ...] = ()
    graded: bool = False

    def apart(self) -> Pass:
        """Return a copy for another process: tensors on the CPU that share no storage."""
        return replace(self, latents=tuple(_apart(part) for part in self.latents))


@dataclass(frozen=True)
class Outcome:
    r"""The scores and gradients of a :class:`Pass`.

    Attributes
    ----------
    scores : tuple of Tensor
        (n,) for each of the pass's ``latents``.
    heard : mapping of int to Tensor
        For each of ``hearers``, its scores of all candidates in order, float64 on the CPU.
    gradients : tuple of Tensor
        Gradient of the scores with respect to each of ``latents``, (n, \*latent); empty unless ``graded``.
    at_stimuli : tuple of Tensor
        Gradients with respect to the stimuli, (n, \*stimulus); empty unless ``graded`` and scores depend on stimuli.
    """

    scores: tuple[Tensor, ...]
    heard: Mapping[int, Tensor]
    gradients: tuple[Tensor, ...] = ()
    at_stimuli: tuple[Tensor, ...] = ()

    def apart(self) -> Outcome:
        """Return a copy for another process: tensors on the CPU that share no storage."""
        return Outcome(
            tuple(_apart(part) for part in self.scores),
            {number: _apart(part) for number, part in self.heard.items()},
            tuple(_apart(part) for part in self.gradients),
            tuple(_apart(part) for part in self.at_stimuli),
        )


PassDispatcher = Callable[[Sequence[Pass], Callable[[Pass], Outcome]], Iterator[Outcome]]
"""Maps passes, and an evaluator in this process, to the passes' outcomes in order; other processes may evaluate some of them."""


@dataclass(frozen=True)
class EvaluationSetup:
    """Everything that candidates are evaluated with, and the size of a pass.

    Attributes
    ----------
    generator, target : Generator, Target
        Already on ``device``.
    device : str
        Device of the stimuli.
    seed : int
        The job's seed, for targets with noise of their own.
    transformations : Pipeline or None
        Changes every stimulus before it reaches the target.
    max_batch : int or None
        Stimuli in one pass, including transformed copies; None: as many as fit (see :func:`pass_size`).
    """

    generator: Generator
    target: Target
    device: str = "cpu"
    seed: int = 0
    transformations: Pipeline | None = None
    max_batch: int | None = None

    @property
    def samples(self) -> int:
        """Number of times that the target sees each candidate."""
        return 1 if self.transformations is None else self.transformations.samples

    def candidates(self) -> int:
        """Return the number of candidates in one pass, at least 1."""
        return max(1, (self.max_batch or pass_size(self.target, self.generator.stimulus, self.device)) // self.samples)


class Evaluator:
    """Evaluates passes. Equal passes have equal outcomes, bit for bit, on machines with equal arithmetic and number of threads.

    Parameters
    ----------
    setup : EvaluationSetup
        Generator, target and device.
    objectives : sequence of Objective
        The objectives of the job's searches, in their order.
    plain : bool
        Whether the target sees the untransformed stimuli.
    """

    def __init__(self, setup: EvaluationSetup, objectives: Sequence[Objective], *, plain: bool = False) -> None:
        self.generator, self.target = setup.generator, setup.target
        self.objectives = objectives
        self.device, self.seed = setup.device, setup.seed
        self.transformations = setup.transformations
        self.plain = plain
        self.samples = 1 if plain else setup.samples

    def __call__(self, work: Pass) -> Outcome:
        """Return the outcome of one pass; the networks' state is unchanged afterwards."""
        with preserved(self.generator), preserved(self.target):
            return self._evaluated(work)

    def _evaluated(self, work: Pass) -> Outcome:
        latents = [part.to(self.device) for part in work.latents]
        if not work.graded:
            with torch.no_grad():
                scores, heard, _ = self._scores(work, latents)
            return Outcome(tuple(scores), heard)
        with torch.enable_grad():
            leaves = [part.detach().float().requires_grad_() for part in latents]
            scores, heard, stimuli = self._scores(work, leaves)
            # grad() of these tensors alone leaves the gradients of the networks' parameters unchanged
            total = torch.stack([score.sum() for score in scores]).sum()
            *slopes, at_stimuli = torch.autograd.grad(total, [*leaves, stimuli], allow_unused=True)
        return Outcome(
            tuple(score.detach() for score in scores),
            heard,
            tuple(torch.zeros_like(leaf) if slope is None else slope for leaf, slope in zip(leaves, slopes, strict=True)),
            () if at_stimuli is None else at_stimuli.split([leaf.shape[0] for leaf in leaves]),
        )

    def _scores(self, work: Pass, latents: Sequence[Tensor]) -> tuple[list[Tensor], dict[int, Tensor], Tensor]:
        """Return the scores of each part, each hearer's scores of all candidates, and the stimuli."""
        objectives = [self.objectives[number] for number in work.numbers]
        together = torch.cat(list(latents))
        stimuli = self.generator(together)
        hearers = {number: self.objectives[number] for number in work.hearers}
        layers = frozenset[str]().union(*(objective.layers for objective in (*hearers.values(), *objectives)))
        if isinstance(self.target, CountsTrials):
            self.target.begin(self.seed, work.trial * self.samples)
        seen = self._as_seen(stimuli, work)
        responses = self.target.respond(seen, layers - OFFERED) if layers - OFFERED else {}
        shown = ForwardResult(responses, {STIMULUS: stimuli, LATENT: together}, self.samples)
        scores: list[Tensor] = []
        start = 0
        for objective, part in zip(objectives, latents, strict=True):
            rows = slice(start, start + part.shape[0])
            scores.append(shown.scores(objective, rows))
            start = rows.stop
        with torch.no_grad():
            overheard = shown.detached() if hearers else shown
            heard = {number: overheard.scores(hearer).detach().to("cpu", torch.float64) for number, hearer in hearers.items()}
        return scores, heard, stimuli

    def _as_seen(self, stimuli: Tensor, work: Pass) -> Tensor:
        """Return ``stimuli`` as the target sees them."""
        if self.transformations is None:
            return stimuli
        if self.plain:
            return self.transformations.plain(stimuli)
        parts = zip(work.latents, work.progress, strict=True)
        progress = torch.cat([torch.full((latents.shape[0],), share, dtype=torch.float64) for latents, share in parts])
        return self.transformations(stimuli, work.trial, progress)


def preserved(part: Generator | Target) -> AbstractContextManager[object]:
    """Return a context that preserves the state of a part's network over forward and backward passes.

    The context does nothing for parts without such state.
    """
    return part.preserved() if isinstance(part, PreservesState) else nullcontext()


def _apart(tensor: Tensor) -> Tensor:
    return tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
