"""Builds the parts of a job from its spec; whatever can be refused is refused here, before the first evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from ..models.ambient import under_default_settings
from ..models.generators.constrained import ConstrainedGenerator, Unconstrainable
from ..models.generators.generator import FitsStimulus, Generator, Unfit
from ..models.objectives.objective import compares
from ..models.options import InvalidOption
from ..models.permissions import NOTHING, Permissions
from ..models.pictures.log import Reading, readings
from ..models.spaces import StimulusSpec
from ..models.targets.target import LayerInfo, Target
from ..models.units import BadAddress, UnitAddress, resolve
from .analyses.resolving import analyses_of, require_units
from .components.adapt import adapt
from .components.registry import Kind, Resolver
from .errors import InvalidJob, Violation
from .evaluation.input_contract import input_notices
from .resolved_job import ResolvedJob, needs_gradient
from .spec import ComponentSpec, ConstraintsSpec, JobSpec


@under_default_settings
def check(
    spec: JobSpec,
    *,
    permissions: Permissions | None = None,
    allow_imports: Sequence[str] = (),
    allow_files: bool | Sequence[str] = False,
    given: Mapping[str, Any] | None = None,
) -> ResolvedJob:
    """Resolve every component, option, layer, unit and pairing of a job without starting it.

    Parameters
    ----------
    spec : JobSpec
        The job.
    permissions : Permissions, optional
        What the job may import, read and ask.
    allow_imports, allow_files
        The same as lists, used if ``permissions`` is not given; see :meth:`actmax.models.permissions.Permissions.of`.
    given : mapping of str to object, optional
        Ready parts by the names that the job uses: generators, targets, and classes of objectives and optimizers.

    Raises
    ------
    InvalidJob
        With a violation for each wrong part.
    """
    resolver = Resolver(permissions or Permissions.of(allow_imports, allow_files), given or {})
    with readings() as found:
        return _checked(spec, resolver, found)


def _checked(spec: JobSpec, resolver: Resolver, pictures: Sequence[Reading]) -> ResolvedJob:
    """See :func:`check`; ``pictures`` grows while the parts are built."""
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
    job = ResolvedJob(
        spec, generator, target, units, optimizers, device, resolver, pictures=pictures, seen=input_notices(target), analyses=analyses
    )
    _check_diverse(job)
    _collect(violations, lambda: require_units(analyses, target, units))
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
    """Return a target's stimulus, whether it is differentiable, and its layers.

    Parameters
    ----------
    component : ComponentSpec
        Name and options of the target.
    permissions : Permissions
        What the target may import, read and ask.
    field : str
        Field that holds ``component``, for violations.

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
    """Return a generator; None if its shape follows from ``stimulus``, and that is None.

    Parameters
    ----------
    component : ComponentSpec
        Name and options of the generator.
    stimulus : StimulusSpec or None
        Stimulus of the target, for generators that take their shape from it.
    permissions : Permissions
        What the generator may import, read and ask.
    given : mapping of str to object, optional
        Ready parts, by name.
    field : str
        Field that holds ``component``, for violations.

    Raises
    ------
    InvalidJob
        The component or its options are wrong, below ``field``.
    """
    return _Builder(Resolver(permissions, given or {})).component("generator", component, field, stimulus=stimulus)


@under_default_settings
def build_target(component: ComponentSpec, *, permissions: Permissions = NOTHING, field: str = "target") -> Target:
    """Return a target; parameters are those of :func:`describe_target`.

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
    """Builds generators and targets."""

    resolver: Resolver

    def component(self, kind: Kind, spec: ComponentSpec, field: str | None = None, *, stimulus: StimulusSpec | None = None) -> Any:
        """Return one part; None for a generator that needs a target which could not be built. torch's random state is preserved."""
        with torch.random.fork_rng(devices=[]):  # networks draw weights before they load others
            return self._component(kind, spec, field or kind, stimulus)

    def _component(self, kind: Kind, spec: ComponentSpec, field: str, stimulus: StimulusSpec | None) -> Any:
        options: Any
        found = self.resolver.find(kind, spec.name, field)
        made = not isinstance(found, type)  # a ready object, which needs no options of its class
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


def _check_diverse(job: ResolvedJob) -> None:
    asked, evaluations = job.spec.diverse, job.spec.budget.evaluations
    if asked is not None and (evaluations is None or job.design.candidates(evaluations) < asked.n):
        raise InvalidJob.at("diverse", f"{asked.n} optima share the evaluations; set budget.evaluations so that each has some")


def _check_scoring(job: ResolvedJob) -> None:
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


def _check_optimizer(job: ResolvedJob, number: int) -> None:
    """Build the optimizer for a unit of each layer; refuse one that needs gradients if no unit has any."""
    firsts = {unit.layer: at for at, unit in reversed(list(enumerate(job.units)))}
    for at in sorted(firsts.values()):
        job.optimizer(number, at)
    component = job.optimizers[number]
    field = "optimizer" if number == 0 else f"baselines[{number - 1}]"
    found = job.resolver.find("optimizer", component.name, field)
    if found.needs_gradient is True:
        missing = [job.missing_gradient(unit) for unit in job.units]
        if all(one.reason for one in missing):
            raise InvalidJob.at(field, needs_gradient(component.name, job.units[0], missing[0], job.differentiable))


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
