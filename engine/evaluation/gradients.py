"""Whether gradients of a job's scores reach its latents: looked at before a search believes in them."""

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
from .shown import Shown

FEW, MORE = 3, 16
"""Stimuli that are tried first, and those that are tried besides where all of the first gave zero."""
UNITS = 8
"""Units of a layer that are tried, each by itself, where the first had no gradient but zero."""


@dataclass(frozen=True)
class Missing:
    """Why a unit has no gradient.

    Attributes
    ----------
    reason : str
        In words; empty where there is a gradient.
    structural : bool
        Whether no stimulus can have one, as where the autograd graph ends; not where it was zero on all that were tried.
    """

    reason: str = ""
    structural: bool = False


SEEN = Missing()
"""There is a gradient."""


@dataclass
class GradientProbe:
    """Looks for gradients with a few small passes, at most two a layer while the first unit of each has one.

    Stimuli are natural latents of the generator's bank, and uniform draws where there is none, from a random stream of their own.

    Parameters
    ----------
    generator, target : Generator, Target
        Both say that they are differentiable.
    objective : callable
        From a unit to its objective.
    transformations : Pipeline or None
        The job's; stimuli are scaled as it scales them, and not transformed.
    device : str
        Where generator and target are.
    seed : int
        The job's, for targets with noise of their own.
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
        """Return why the score of ``unit`` has no gradient; :data:`SEEN` where it has one.

        A layer's units share its first unit's gradient, and the place where its graph ends. Where that unit's is zero, others are tried.
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
        """What one forward and backward pass shows."""
        try:
            with torch.no_grad(), ExitStack() as stack:
                self._enter(stack)
                self._scores(objective, latents)
        except Exception:  # another's network fails in any way: the search meets and tells it, with gradients or without
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
        """The gradient of the scores with respect to the latents, and whether the target's responses depend on the stimuli at all."""
        mixed = bool(objective.layers & OFFERED) and bool(responses)  # the score may depend on a stimulus past the target
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
        """Scores, stimuli, and the responses of the target's layers."""
        stimuli = self.generator(latents.to(self.device))
        seen = stimuli if self.transformations is None else self.transformations.plain(stimuli)
        if isinstance(self.target, CountsTrials):
            self.target.begin(self.seed, 0)
        layers = objective.layers - OFFERED
        responses = self.target.respond(seen, layers) if layers else {}
        scores = Shown(responses, {STIMULUS: stimuli, LATENT: latents.to(self.device)}).scores(objective)
        return scores, stimuli, list(responses.values())

    def _latents(self, n: int) -> Tensor:
        """``n`` latents: floats, or weights over codes."""
        space, prior = self.generator.latent, self.generator.prior
        rng = torch.Generator().manual_seed(0)
        drawn = space.sample(n, rng) if prior is None else prior.sample(n, rng)
        if isinstance(space, Box):
            return drawn
        return torch.nn.functional.one_hot(drawn.long(), space.cardinality).float()

    def _enter(self, stack: ExitStack) -> None:
        """Leave random state and networks as they are."""
        stack.enter_context(torch.random.fork_rng(devices=[]))
        for part in (self.generator, self.target):
            stack.enter_context(preserved(part))

    def _where(self, objective: Objective) -> str:
        """Where the graph ends, as far as the target can tell."""
        layers = sorted(objective.layers - OFFERED)
        for layer in layers if isinstance(self.target, HasGraphEnd) else ():
            place = self.target.graph_end(layer)  # pyright: ignore[reportAttributeAccessIssue]
            if place is not None:
                return f"the graph ends {f'at {place!r}' if place else 'in the forward of the network itself'}, before {layer}"
        return f"the graph ends before {', '.join(layers) or 'the score'}"


def _line(error: Exception) -> str:
    """The first line of an error's text."""
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
