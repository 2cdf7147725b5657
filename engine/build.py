"""From a job's text to its parts: everything that can be refused is refused here, before the first evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch

from ..models.ambient import under_default_settings
from ..models.generators.constrained import ConstrainedGenerator, Unconstrainable
from ..models.generators.generator import FitsStimulus, Generator, HasCodebook, HasStep, Unfit
from ..models.objectives.objective import Objective, compares
from ..models.options import InvalidOption
from ..models.permissions import NOTHING, Permissions
from ..models.pictures.log import Reading, readings
from ..models.spaces import StimulusSpec
from ..models.targets.target import HasNaturalResponses, HasNoise, HasNotices, HasUnitNames, LayerInfo, Target
from ..models.units import BadAddress, UnitAddress, resolve
from ..optimizers.optimizer import Optimizer, Problem, StimulusMap, Unsuitable
from .analyses.resolving import JobAnalysis, analyses_of
from .components.adapt import adapt
from .components.registry import Kind, Resolver
from .errors import InvalidJob, Violation
from .evaluation.gradients import GradientProbe, Missing
from .evaluation.input_contract import input_notices
from .evaluation.scoring import Scoring
from .search.design import Design
from .search.distance import LatentDistance
from .search.diverse import Diverse
from .spec import ComponentSpec, ConstraintsSpec, JobSpec

REMEASURE = 0.1
"""Share of the evaluations on a noisy target that is kept back to measure leaders again."""


@dataclass(frozen=True)
class CheckedJob:
    """A job that can run. ``total_evaluations`` is 0 where seconds alone limit it."""

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
    """What is to be said of the pictures that its options name."""
    seen: tuple[str, ...] = ()
    """What a user should know that was seen when the job was checked, a line each."""
    analyses: Sequence[JobAnalysis] = ()
    """What is computed about the units once the searches have ended."""

    @property
    def differentiable(self) -> bool:
        """Whether gradients reach the latents."""
        return self.generator.differentiable and self.target.differentiable

    @cached_property
    def _probe(self) -> GradientProbe:
        given = bool(self.resolver.given)  # parts at hand may lie elsewhere already; others are on the CPU until the job runs
        generator = self.generator.to(self.device) if given else self.generator
        target = self.target.to(self.device) if given else self.target
        device = self.device if given else "cpu"
        return GradientProbe(generator, target, self.objective, self.scoring.transformations(), device, self.spec.seed)

    def missing_gradient(self, unit: UnitAddress) -> Missing:
        """Why no gradient of the unit's score reaches the latents, as seen on a few stimuli; without a reason where one does."""
        if self.differentiable:
            return self._probe.missing(unit)
        return Missing(f"this {'target' if self.generator.differentiable else 'generator'} gives none", structural=True)

    @property
    def design(self) -> Design:
        """What each search does about noise, the target's own word on it included."""
        asked = self.spec.design
        noisy = asked.noisy if asked.noisy is not None else isinstance(self.target, HasNoise) and self.target.noisy
        remeasure = asked.remeasure if asked.remeasure is not None else REMEASURE if noisy else 0.0
        return Design(asked.replicates, remeasure, noisy)

    def notices(self) -> tuple[str, ...]:
        """What there is to say of the job besides its searches: what was seen when it was checked, and what its parts have said since."""
        of_parts = (notice for part in (self.generator, self.target) if isinstance(part, HasNotices) for notice in part.notices)
        return tuple(dict.fromkeys((*self.seen, *of_parts)))

    @property
    def searches(self) -> int:
        """Units times optimizers."""
        return len(self.units) * len(self.optimizers)

    @property
    def total_evaluations(self) -> int:
        """The budget over all searches."""
        return self.searches * (self.spec.budget.evaluations or 0)

    def labels(self) -> list[str]:
        """One name an optimizer, numbered where a job names one twice."""
        names = [component.name for component in self.optimizers]
        return [name if names.count(name) == 1 else f"{name} {names[: at + 1].count(name)}" for at, name in enumerate(names)]

    def objective(self, unit: UnitAddress) -> Objective:
        """The job's objective for one unit."""
        return self.scoring.objective(unit)

    @cached_property
    def scoring(self) -> Scoring:
        """Builds its objectives and transformations."""
        return Scoring(self.spec, self.generator, self.target, self.resolver)

    @property
    def plain(self) -> bool:
        """Whether scores are the units' own responses to the stimuli as they are."""
        return self.spec.objective == ComponentSpec(name="unit") and self.spec.transformations is None

    def optimizer(self, number: int, unit_number: int) -> Optimizer:
        """A fresh optimizer for one search, with a seed of its own."""
        field = "optimizer" if number == 0 else f"baselines[{number - 1}]"
        component = self.optimizers[number]
        found = self.resolver.find("optimizer", component.name, field)
        options = self.resolver.options(found, component.options, field)
        unit = self.units[min(unit_number, len(self.units) - 1)]  # sessions number further objectives of their last unit on
        missing = self.missing_gradient(unit) if found.needs_gradient is not False else Missing()
        if found.needs_gradient is True and missing.structural:
            raise InvalidJob.at(field, _needs_gradient(component.name, unit, missing, self.differentiable))
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

    def _diverse(self, found: Any, problem: Problem, options: Any) -> Diverse:
        asked, plateau = self.spec.diverse, self.spec.budget.plateau
        assert asked is not None
        return Diverse(
            problem,
            lambda stage: found(stage, options),
            asked.n,
            asked.distance,
            self.latent_distance(),
            None if plateau is None else max(1, plateau // self.design.replicates),
        )

    def latent_distance(self) -> LatentDistance:
        """Distances of what is decoded; their unit is that of natural latents wherever the generator knows some, blind searches too."""
        prior, generator = self.generator.prior, self.generator
        project = generator.project if isinstance(generator, ConstrainedGenerator) else None
        return LatentDistance(generator.latent, None if prior is None else prior.bank, project)

    def unit_name(self, unit: UnitAddress) -> str:
        """What the target calls the unit, empty where it has no name."""
        index = unit.integers
        return self.target.unit_name(unit.layer, index) if index is not None and isinstance(self.target, HasUnitNames) else ""

    def natural_best(self, unit: UnitAddress) -> float | None:
        """The best natural stimulus's response, where the target knows it and the unit is not kept down."""
        index = unit.integers
        if index is None or self.spec.objective.options.get("direction") == "down" or not isinstance(self.target, HasNaturalResponses):
            return None
        quantiles = self.target.natural_quantiles(unit.layer, index)
        return None if quantiles is None else quantiles.get(1.0)


@under_default_settings
def check(
    spec: JobSpec,
    *,
    permissions: Permissions | None = None,
    allow_imports: Sequence[str] = (),
    allow_files: bool | Sequence[str] = False,
    given: Mapping[str, Any] | None = None,
) -> CheckedJob:
    """Resolve every component, option, layer, unit and pairing of a job without starting it.

    Parameters
    ----------
    spec : JobSpec
        The job.
    permissions : Permissions, optional
        What the job may import, read and ask.
    allow_imports, allow_files
        The same as lists, where ``permissions`` is not given; see :meth:`actmax.models.permissions.Permissions.of`.
    given : mapping of str to object, optional
        Parts that the job names and that are at hand: generators, targets, and classes of objectives and optimizers.

    Raises
    ------
    InvalidJob
        With a violation for each wrong part.
    """
    resolver = Resolver(permissions or Permissions.of(allow_imports, allow_files), given or {})
    with readings() as found:
        return _checked(spec, resolver, found)


def _checked(spec: JobSpec, resolver: Resolver, pictures: Sequence[Reading]) -> CheckedJob:
    """See :func:`check`; ``pictures`` grows as its parts are made."""
    violations: list[Violation] = []
    builder = _Builder(resolver)
    target = _collect(violations, lambda: builder.component("target", spec.target))
    taken = None if target is None else target.stimulus
    generator = _collect(violations, lambda: builder.component("generator", spec.generator, stimulus=taken))
    device = _collect(violations, lambda: _device(spec.device))
    analyses = _collect(violations, lambda: analyses_of(spec, target, resolver)) or []
    units: list[UnitAddress] = []
    if target is not None:
        layers = target.layers()
        for number, text in enumerate(spec.units):
            try:
                units.extend(resolve(text, layers))
            except BadAddress as error:
                violations.append(Violation(f"units[{number}]", str(error)))
        repeated = {str(unit) for unit in units if units.count(unit) > 1}
        if repeated:
            violations.append(Violation("units", f"{', '.join(sorted(repeated)[:3])} would be searched more than once"))
    if generator is not None and target is not None:
        _collect(violations, lambda: _fits(generator.stimulus, target.stimulus, spec.transformations is not None))
        if spec.prior == "natural" and generator.prior is None:
            violations.append(Violation("prior", f"{spec.generator.name} has no natural latents to start from; set prior: none"))
    if generator is not None:
        generator = _collect(violations, lambda: _constrained(generator, spec))
    if violations or generator is None or target is None or device is None:
        raise InvalidJob(violations)
    optimizers = [spec.optimizer, *spec.baselines]
    job = CheckedJob(
        spec, generator, target, units, optimizers, device, resolver, pictures=pictures, seen=input_notices(target), analyses=analyses
    )
    _check_diverse(job)
    _collect(violations, lambda: _check_scoring(job))
    for number in range(len(job.optimizers)):
        _collect(violations, lambda number=number: _check_optimizer(job, number))
    if violations:
        raise InvalidJob(violations)
    return job


@under_default_settings
def describe_target(
    component: ComponentSpec, *, permissions: Permissions = NOTHING, field: str = "target"
) -> tuple[StimulusSpec, bool, list[LayerInfo]]:
    """What a target takes, whether it gives gradients, and its layers.

    Raises
    ------
    InvalidJob
        The component or its options are wrong, below ``field``.
    """
    target = build_target(component, permissions=permissions, field=field)
    return target.stimulus, target.differentiable, list(target.layers())


@under_default_settings
def build_generator(
    component: ComponentSpec,
    stimulus: StimulusSpec | None,
    *,
    permissions: Permissions = NOTHING,
    given: Mapping[str, Any] | None = None,
    field: str = "generator",
) -> Generator | None:
    """A generator by itself; None where it makes whatever is asked for and ``stimulus`` does not say what.

    Raises
    ------
    InvalidJob
        The component or its options are wrong, below ``field``.
    """
    return _Builder(Resolver(permissions, given or {})).component("generator", component, field, stimulus=stimulus)


@under_default_settings
def build_target(component: ComponentSpec, *, permissions: Permissions = NOTHING, field: str = "target") -> Target:
    """A target by itself.

    Raises
    ------
    InvalidJob
        The component or its options are wrong, below ``field``.
    """
    return _Builder(Resolver(permissions)).component("target", component, field)


def _collect(violations: list[Violation], attempt: Any) -> Any:
    try:
        return attempt()
    except InvalidJob as error:
        violations.extend(error.violations)
        return None


@dataclass(frozen=True)
class _Builder:
    """Makes generators and targets."""

    resolver: Resolver

    def component(self, kind: Kind, spec: ComponentSpec, field: str | None = None, *, stimulus: StimulusSpec | None = None) -> Any:
        """One part; None for a generator that is made to fit a target that could not be built. torch's random state stays as it is."""
        with torch.random.fork_rng(devices=[]):  # networks draw weights before they load others
            return self._component(kind, spec, field or kind, stimulus)

    def _component(self, kind: Kind, spec: ComponentSpec, field: str, stimulus: StimulusSpec | None) -> Any:
        options: Any
        found = self.resolver.find(kind, spec.name, field)
        made = not isinstance(found, type)  # an object at hand, whatever its class could be made from
        if not made and hasattr(found, "around"):  # it wraps another of its kind, which its options name
            options = self.resolver.options(found, spec.options, field)
            inside = ComponentSpec.model_validate(getattr(options, kind).model_dump())
            wrapped = self.component(kind, inside, f"{field}.options.{kind}", stimulus=stimulus)
            return None if wrapped is None else found.around(wrapped, options)
        fits = kind == "generator" and isinstance(found, FitsStimulus)
        if made or not (fits or hasattr(found, "from_options")):
            return adapt(kind, found, spec.options, field, self.resolver.permissions)
        options = self.resolver.options(found, spec.options, field)
        try:
            if not fits:
                return found.from_options(options)
            return None if stimulus is None else found.for_stimulus(options, stimulus)
        except InvalidOption as error:
            raise InvalidJob.at(f"{field}.options.{error.option}", str(error)) from error
        except Unfit as error:
            raise InvalidJob.at(field, str(error)) from error


def _constrained(generator: Generator, spec: JobSpec) -> Generator:
    asked = spec.constraints
    if asked == ConstraintsSpec():
        return generator
    try:
        return ConstrainedGenerator(generator, **asked.model_dump())
    except Unconstrainable as error:
        raise InvalidJob.at(f"constraints.{error.constraint}", str(error)) from error


def _check_diverse(job: CheckedJob) -> None:
    asked, evaluations = job.spec.diverse, job.spec.budget.evaluations
    if asked is not None and (evaluations is None or job.design.candidates(evaluations) < asked.n):
        raise InvalidJob.at("diverse", f"{asked.n} optima share the evaluations; set budget.evaluations so that each has some")


def _check_scoring(job: CheckedJob) -> None:
    job.scoring.transformations()
    for unit in job.units:
        objective = job.objective(unit)
    if compares(objective):  # pyright: ignore[reportPossiblyUnboundVariable] - a job has units
        if job.design.replicates > 1:
            raise InvalidJob.at("design.replicates", "candidates are scored by how they differ from each other; show each once")
        if job.design.remeasure:
            raise InvalidJob.at(
                "design.remeasure", "candidates are scored by how they differ from each other, so none can be measured alone; set 0"
            )


def _check_optimizer(job: CheckedJob, number: int) -> None:
    """Build the optimizer for a unit of each layer; refuse one that needs gradients where no unit has any."""
    firsts = {unit.layer: at for at, unit in reversed(list(enumerate(job.units)))}
    for at in sorted(firsts.values()):
        job.optimizer(number, at)
    component = job.optimizers[number]
    field = "optimizer" if number == 0 else f"baselines[{number - 1}]"
    found = job.resolver.find("optimizer", component.name, field)
    if found.needs_gradient is True:
        missing = [job.missing_gradient(unit) for unit in job.units]
        if all(one.reason for one in missing):
            raise InvalidJob.at(field, _needs_gradient(component.name, job.units[0], missing[0], job.differentiable))


def _needs_gradient(name: str, unit: UnitAddress, missing: Missing, differentiable: bool) -> str:
    """Why an optimizer can't search a unit, and what can."""
    if not differentiable:
        return f"{name} needs gradients and {missing.reason}; use auto, which does without"
    what = f"{name} needs gradients and {unit} has none that reach the input: {missing.reason}"
    if missing.structural:
        return f"{what}; use auto, which does without, or let gradients through there (no torch.no_grad, detach or inference tensors)"
    return f"{what}; use auto, which does without, or another unit"


def _fits(made: StimulusSpec, taken: StimulusSpec, resized: bool) -> None:
    if resized and replace(made, shape=taken.shape) == taken and made.shape[0] == taken.shape[0]:
        return
    if made != taken:
        raise InvalidJob.at("generator", f"it makes an {made}, the target takes an {taken}; they must agree")


def _device(device: str) -> str:
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device.startswith("cuda"):
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        number = int(device.partition(":")[2] or 0)
        if number >= count:
            raise InvalidJob.at(
                "device", f"{device} is not here: this machine has {count} CUDA device{'' if count == 1 else 's'}; use cpu or auto"
            )
    return device
