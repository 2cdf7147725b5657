"""Tests whether gradients of a job's scores reach its latents, before a search relies on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ...models.generators.generator import Generator
from ...models.objectives.objective import LATENT, OFFERED, STIMULUS, Objective
from ...models.spaces import Box
from ...models.targets.target import CountsTrials, HasGraphEnd, Target
from ...models.transformations.pipeline import Pipeline
from ...models.units import UnitAddress
from .evaluator import preserved
from .forward_result import ForwardResult

FEW, MORE = 3, 16
"""Stimuli that are tried first, and further stimuli that are tried if all of the first had zero gradients."""
UNITS = 8
"""Most units of a layer that are tried one by one, while their gradients are zero."""


@dataclass(frozen=True)
class Missing:
    """Why a unit has no gradient.

    Attributes
    ----------
    reason : str
        In words; empty if there is a gradient.
    structural : bool
        Whether the gradient is missing for all stimuli, as where the autograd graph ends; False if it was zero on all tried stimuli.
    """

    reason: str = ""
    structural: bool = False


SEEN = Missing()
"""The value for a unit with a gradient."""


@dataclass
class GradientProbe:
    """Looks for gradients with a few small passes, at most two for each layer while the layer's first unit has one.

    The stimuli are natural latents of the generator's bank, or uniform draws without a bank, from a separate random stream.

    Parameters
    ----------
    generator, target : Generator, Target
        Parts that declare themselves differentiable.
    objective : callable
        Returns the objective of a unit.
    transformations : Pipeline or None
        The job's transformations; stimuli are scaled as by them, but not transformed.
    device : str
        Device of generator and target.
    seed : int
        The job's seed, for targets with noise of their own.
    """

    generator: Generator
    target: Target
    objective: Callable[[UnitAddress], Objective]
    transformations: Pipeline | None = None
    device: str = "cpu"
    seed: int = 0
    _layers: dict[tuple[str, ...], list[Missing]] = field(default_factory=dict)
    _units: dict[str, Missing] = field(default_factory=dict)

    def missing(self, unit: UnitAddress) -> Missing:
        """Return why the score of ``unit`` has no gradient; :data:`SEEN` if it has one.

        The result of a layer's first unit holds for the layer's other units. Only if that unit's gradient is zero are other units tried.
        """
        name = str(unit)
        if name not in self._units:
            objective = self.objective(unit)
            known = self._layers.setdefault(tuple(sorted(objective.layers)), [])
            if not known or (known[-1].reason and not known[-1].structural and len(known) < UNITS):
                known.append(self._looked(objective))
            self._units[name] = known[-1]
        return self._units[name]

    def _looked(self, objective: Objective) -> Missing:
        latents = self._latents(FEW + MORE)
        first = self._tried(objective, latents[:FEW])
        if not first.reason or first.structural:
            return first
        return self._tried(objective, latents)

    def _tried(self, objective: Objective, latents: Tensor) -> Missing:
        """Return the result of one forward and backward pass."""
        try:
            with torch.no_grad(), ExitStack() as stack:
                self._enter(stack)
                self._scores(objective, latents)
        except Exception:  # a user's network may fail in any way: the search raises the same error, with or without gradients
            return SEEN
        with torch.enable_grad(), ExitStack() as stack:
            self._enter(stack)
            leaves = latents.float().requires_grad_()
            try:
                scores, stimuli, responses = self._scores(objective, leaves)
            except Exception as error:
                return Missing(f"the forward pass fails while gradients are recorded ({_line(error)})", True)
            if not stimuli.requires_grad:
                return Missing("the graph ends in the generator", True)
            if not scores.isfinite().any():
                return Missing(f"no response to {len(latents)} stimuli was finite")
            try:
                found = self._slopes(scores, stimuli, leaves, responses, objective)
            except Exception as error:
                return Missing(f"the backward pass fails ({_line(error)})", True)
        return self._judged(found, scores, objective)

    def _slopes(
        self, scores: Tensor, stimuli: Tensor, leaves: Tensor, responses: Sequence[Tensor], objective: Objective
    ) -> tuple[Tensor | None, bool]:
        """Return the gradient with respect to the latents, and whether the target's responses depend on the stimuli."""
        mixed = bool(objective.layers & OFFERED) and bool(responses)  # the score may depend on a stimulus other than through the target
        if not scores.requires_grad:
            return None, False
        (slope,) = torch.autograd.grad(scores[scores.isfinite()].sum(), leaves, allow_unused=True, retain_graph=mixed)
        if not mixed:
            return slope, slope is not None
        linked = [response.sum() for response in responses if response.requires_grad]
        reached = bool(linked) and torch.autograd.grad(torch.stack(linked).sum(), stimuli, allow_unused=True)[0] is not None
        return slope, reached

    def _judged(self, found: tuple[Tensor | None, bool], scores: Tensor, objective: Objective) -> Missing:
        slope, reached = found
        if slope is None or not reached:
            return Missing(self._where(objective), True)
        sizes = slope.flatten(1).abs().amax(1)[scores.isfinite().to(slope.device)]
        usable = sizes.isfinite() & (sizes > 0)
        if bool(usable.any()):
            return SEEN
        what = "zero" if bool((sizes == 0).all()) else "not finite" if not bool(sizes.isfinite().any()) else "zero or not finite"
        return Missing(f"the gradient is {what} on {len(sizes)} stimuli")

    def _scores(self, objective: Objective, latents: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Return scores, stimuli, and the responses of the target's layers."""
        stimuli = self.generator(latents.to(self.device))
        seen = stimuli if self.transformations is None else self.transformations.plain(stimuli)
        if isinstance(self.target, CountsTrials):
            self.target.begin(self.seed, 0)
        layers = objective.layers - OFFERED
        responses = self.target.respond(seen, layers) if layers else {}
        scores = ForwardResult(responses, {STIMULUS: stimuli, LATENT: latents.to(self.device)}).scores(objective)
        return scores, stimuli, list(responses.values())

    def _latents(self, n: int) -> Tensor:
        """Return ``n`` latents: floats, or weights over codes."""
        space, prior = self.generator.latent, self.generator.prior
        rng = torch.Generator().manual_seed(0)
        drawn = space.sample(n, rng) if prior is None else prior.sample(n, rng)
        if isinstance(space, Box):
            return drawn
        return torch.nn.functional.one_hot(drawn.long(), space.cardinality).float()

    def _enter(self, stack: ExitStack) -> None:
        """Enter contexts that preserve random state and networks."""
        stack.enter_context(torch.random.fork_rng(devices=[]))
        for part in (self.generator, self.target):
            stack.enter_context(preserved(part))

    def _where(self, objective: Objective) -> str:
        """Return where the graph ends, as far as the target can tell."""
        layers = sorted(objective.layers - OFFERED)
        for layer in layers if isinstance(self.target, HasGraphEnd) else ():
            place = self.target.graph_end(layer)  # pyright: ignore[reportAttributeAccessIssue]
            if place is not None:
                return f"the graph ends {f'at {place!r}' if place else 'in the forward of the network itself'}, before {layer}"
        return f"the graph ends before {', '.join(layers) or 'the score'}"


def _line(error: Exception) -> str:
    """Return the first line of an error's text."""
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
