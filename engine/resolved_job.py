"""A job whose parts are resolved, with what searches, loops and reports need of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from ..models.generators.constrained import ConstrainedGenerator
from ..models.generators.generator import Generator, HasCodebook, HasStep
from ..models.objectives.objective import Objective
from ..models.pictures.log import Reading
from ..models.targets.target import HasNaturalResponses, HasNoise, HasNotices, HasUnitNames, Target
from ..models.units import UnitAddress
from ..optimizers.optimizer import Optimizer, Problem, StimulusMap, Unsuitable
from .analyses.resolving import JobAnalysis
from .components.registry import Resolver
from .errors import InvalidJob
from .evaluation.gradients import GradientProbe, Missing
from .evaluation.scoring import Scoring
from .search.design import Design
from .search.distance import LatentDistance
from .search.sequential_niching import SequentialNiching
from .spec import ComponentSpec, JobSpec

REMEASURE = 0.1
"""Default fraction of the evaluations on a noisy target that is reserved to measure leaders again."""


@dataclass(frozen=True)
class ResolvedJob:
    """A job that can run. ``total_evaluations`` is 0 if seconds alone limit it."""

    spec: JobSpec
    generator: Generator
    target: Target
    units: list[UnitAddress]
    optimizers: list[ComponentSpec]
    device: str
    resolver: Resolver
    starts: torch.Tensor | None = None
    """(k, *latent) latents that every search tries first; None for none."""
    pictures: Sequence[Reading] = ()
    """Notes about the pictures that its options name."""
    seen: tuple[str, ...] = ()
    """Notices from the check of the job, a line each."""
    analyses: Sequence[JobAnalysis] = ()
    """Analyses of the units, run after the searches."""

    @property
    def differentiable(self) -> bool:
        """Whether gradients reach the latents."""
        return self.generator.differentiable and self.target.differentiable

    @cached_property
    def _probe(self) -> GradientProbe:
        given = bool(self.resolver.given)  # ready parts may be on another device already; others are on the CPU until the job runs
        generator = self.generator.to(self.device) if given else self.generator
        target = self.target.to(self.device) if given else self.target
        device = self.device if given else "cpu"
        return GradientProbe(generator, target, self.objective, self.scoring.transformations(), device, self.spec.seed)

    def missing_gradient(self, unit: UnitAddress) -> Missing:
        """Return why no gradient of the unit's score reaches the latents, tested on a few stimuli; ``reason`` is empty if one does."""
        if self.differentiable:
            return self._probe.missing(unit)
        return Missing(f"this {'target' if self.generator.differentiable else 'generator'} gives none", structural=True)

    @property
    def design(self) -> Design:
        """How each search handles noise, from the job's settings and the target's noise."""
        asked = self.spec.design
        noisy = asked.noisy if asked.noisy is not None else isinstance(self.target, HasNoise) and self.target.noisy
        remeasure = asked.remeasure if asked.remeasure is not None else REMEASURE if noisy else 0.0
        return Design(asked.replicates, remeasure, noisy)

    def notices(self) -> tuple[str, ...]:
        """Return notices about the job besides its searches: from its check, and from its parts since."""
        of_parts = (notice for part in (self.generator, self.target) if isinstance(part, HasNotices) for notice in part.notices)
        return tuple(dict.fromkeys((*self.seen, *of_parts)))

    @property
    def searches(self) -> int:
        """Number of searches: units times optimizers."""
        return len(self.units) * len(self.optimizers)

    @property
    def total_evaluations(self) -> int:
        """Number of evaluations over all searches."""
        return self.searches * (self.spec.budget.evaluations or 0)

    def labels(self) -> list[str]:
        """Return one label for each optimizer, numbered if the job names a component twice."""
        names = [component.name for component in self.optimizers]
        return [name if names.count(name) == 1 else f"{name} {names[: at + 1].count(name)}" for at, name in enumerate(names)]

    def objective(self, unit: UnitAddress) -> Objective:
        """Return the job's objective for one unit; see :meth:`actmax.engine.evaluation.scoring.Scoring.objective`."""
        return self.scoring.objective(unit)

    @cached_property
    def scoring(self) -> Scoring:
        """The builder of the job's objectives and transformations."""
        return Scoring(self.spec, self.generator, self.target, self.resolver)

    @property
    def plain(self) -> bool:
        """Whether scores are the units' own responses to untransformed stimuli."""
        return self.spec.objective == ComponentSpec(name="unit") and self.spec.transformations is None

    def optimizer(self, number: int, unit_number: int) -> Optimizer:
        """Return a new optimizer for one search, with its own seed.

        Parameters
        ----------
        number : int
            Position among the job's optimizers, from 0.
        unit_number : int
            Position among the job's units, from 0; the last unit for greater numbers.

        Raises
        ------
        InvalidJob
            The optimizer doesn't suit the job, or its options are wrong.
        """
        field = "optimizer" if number == 0 else f"baselines[{number - 1}]"
        component = self.optimizers[number]
        found = self.resolver.find("optimizer", component.name, field)
        options = self.resolver.options(found, component.options, field)
        unit = self.units[min(unit_number, len(self.units) - 1)]  # sessions count on for further objectives of their last unit
        missing = self.missing_gradient(unit) if found.needs_gradient is not False else Missing()
        if found.needs_gradient is True and missing.structural:
            raise InvalidJob.at(field, needs_gradient(component.name, unit, missing, self.differentiable))
        seed = int(np.random.SeedSequence((self.spec.seed, unit_number, number)).generate_state(1, np.uint64)[0] >> 1)
        prior = self.generator.prior if self.spec.prior == "natural" else None
        evaluations = self.spec.budget.evaluations
        problem = Problem(
            self.generator.latent,
            seed,
            None if evaluations is None else self.design.candidates(evaluations),
            bank=None if prior is None else prior.bank,
            density=None if prior is None else lambda: prior.density,
            code_vectors=self.generator.codebook if isinstance(self.generator, HasCodebook) else None,
            differentiable=self.differentiable and not missing.reason,
            lacks=missing.reason if self.differentiable else "",
            pixels=self.generator.latent.shape == self.generator.stimulus.shape,
            noisy=self.design.noisy,
            step=self.generator.step if isinstance(self.generator, HasStep) else None,
            starts=self.starts,
            stimuli=StimulusMap(self.generator, self.generator.stimulus, self.generator.differentiable, self.device),
        )
        try:
            return self._diverse(found, problem, options) if self.spec.diverse else found(problem, options)
        except Unsuitable as error:
            raise InvalidJob.at(field, str(error)) from error

    def _diverse(self, found: Any, problem: Problem, options: Any) -> SequentialNiching:
        asked, plateau = self.spec.diverse, self.spec.budget.plateau
        assert asked is not None
        return SequentialNiching(
            problem,
            lambda stage: found(stage, options),
            asked.n,
            asked.distance,
            self.latent_distance(),
            None if plateau is None else max(1, plateau // self.design.replicates),
        )

    def latent_distance(self) -> LatentDistance:
        """Return the distance between latents; its unit is that of natural latents if the generator has any, in blind searches too."""
        prior, generator = self.generator.prior, self.generator
        project = generator.project if isinstance(generator, ConstrainedGenerator) else None
        return LatentDistance(generator.latent, None if prior is None else prior.bank, project)

    def unit_name(self, unit: UnitAddress) -> str:
        """Return the target's name of the unit; empty without a name."""
        index = unit.integers
        return self.target.unit_name(unit.layer, index) if index is not None and isinstance(self.target, HasUnitNames) else ""

    def response_unit(self, unit: UnitAddress) -> str:
        """Return the unit of measurement of the unit's responses; empty without one."""
        return next((layer.response_unit for layer in self.target.layers() if layer.name == unit.layer), "")

    def reference(self, unit: UnitAddress) -> float | None:
        """Return the response to the best natural stimulus; None if it is unknown or the objective minimizes the response."""
        index = unit.integers
        if index is None or self.spec.objective.options.get("direction") == "down" or not isinstance(self.target, HasNaturalResponses):
            return None
        quantiles = self.target.natural_quantiles(unit.layer, index)
        return None if quantiles is None else quantiles.get(1.0)


def needs_gradient(name: str, unit: UnitAddress, missing: Missing, differentiable: bool) -> str:
    """Return why an optimizer that needs gradients can't search a unit, and what would work, in a line.

    Parameters
    ----------
    name : str
        The optimizer's name.
    unit : UnitAddress
        The unit.
    missing : Missing
        Why the unit has no gradient.
    differentiable : bool
        Whether generator and target both declare themselves differentiable.
    """
    if not differentiable:
        return f"{name} needs gradients and {missing.reason}; use auto, which does without"
    what = f"{name} needs gradients and {unit} has none that reach the input: {missing.reason}"
    if missing.structural:
        return f"{what}; use auto, which does without, or let gradients through there (no torch.no_grad, detach or inference tensors)"
    return f"{what}; use auto, which does without, or another unit"
