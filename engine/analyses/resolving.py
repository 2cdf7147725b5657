"""The analyses of a job: those that every job has, and those that it names."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...models.options import InvalidOption
from ...models.targets.target import Target
from ...models.units import UnitAddress
from ..components.registry import Resolver, options_of
from ..errors import InvalidJob, Violation
from ..spec import ComponentSpec, JobSpec
from .analysis import Analysis, ChecksTarget, ChecksUnits, RecordsSearches
from .diversity import Diversity
from .film import FilmAnalysis
from .importance import Importance
from .most_activating import MostActivating
from .natural import Natural


@dataclass(frozen=True)
class JobAnalysis:
    """An analysis of a job.

    Attributes
    ----------
    label : str
        The component's name, with a number where a job names it twice.
    analysis : Analysis
        Ready to run.
    field : str
        Where the job names it, such as ``analyses[0]``, or ``report``.
    options : str
        Where the job has its options.
    """

    label: str
    analysis: Analysis
    field: str
    options: str


def analyses_of(spec: JobSpec, target: Target | None, resolver: Resolver) -> list[JobAnalysis]:
    """Return the analyses that every job has, with the options that ``report`` gives them, then those that the job names.

    One that the job names takes the place of the same one that every job has.

    Raises
    ------
    InvalidJob
        With a violation for each that is unknown, has wrong options, or can't be used with ``target``, where that is known.
    """
    violations: list[Violation] = []
    named: list[JobAnalysis] = []
    for number, (component, label) in enumerate(zip(spec.analyses, _labels(spec.analyses), strict=True)):
        field = f"analyses[{number}]"
        try:
            named.append(JobAnalysis(label, _made(component, resolver, field), field, f"{field}.options"))
        except InvalidJob as error:
            violations.extend(error.violations)
    try:
        every = _standard(spec, resolver)
    except InvalidJob as error:
        violations.extend(error.violations)
        every = []
    asked = {"film": spec.report.film != "none", "most-activating": bool(spec.report.images)}
    taken = {type(one.analysis) for one in named}
    found = [one for one in every if type(one.analysis) not in taken or asked.get(one.label, False)] + named
    violations += _repeated(found)
    if target is not None:
        for one in found:
            violations += _unfit(one, target, spec.target.name)
    if violations:
        raise InvalidJob(violations)
    return found


def require_units(analyses: Sequence[JobAnalysis], target: Target, units: Sequence[UnitAddress]) -> None:
    """Have analyses that :class:`ChecksUnits` look at the units of a job.

    Raises
    ------
    InvalidJob
        With a violation for each that refuses them.
    """
    violations: list[Violation] = []
    for one in analyses:
        if isinstance(one.analysis, ChecksUnits):
            try:
                one.analysis.check_units(target, units)
            except InvalidOption as error:
                violations.append(Violation(_at(one.options, error.option, one.field), str(error)))
    if violations:
        raise InvalidJob(violations)


def _standard(spec: JobSpec, resolver: Resolver) -> list[JobAnalysis]:
    report = spec.report
    if report.images:
        options_of(MostActivating, {"images": report.images, "top": report.top}, "report", resolver.permissions)
    every: dict[str, Analysis] = {
        "natural": Natural(),
        "importance": Importance(),
        "most-activating": MostActivating(report.images, report.top),
        "film": FilmAnalysis(report.film),
        "diversity": Diversity(),
    }
    return [JobAnalysis(name, analysis, "report", "report") for name, analysis in every.items()]


def _labels(components: Sequence[ComponentSpec]) -> list[str]:
    names = [component.name for component in components]
    return [name if names.count(name) == 1 else f"{name} {names[: at + 1].count(name)}" for at, name in enumerate(names)]


def _made(component: ComponentSpec, resolver: Resolver, field: str) -> Analysis:
    found: Any = resolver.find("analysis", component.name, field)
    if not isinstance(found, type) and isinstance(found, Analysis):
        if component.options:
            raise InvalidJob.at(f"{field}.options", f"it is ready made and takes no options, got {', '.join(component.options)}")
        return found
    if not hasattr(found, "from_options") or not hasattr(found, "Options"):
        raise InvalidJob.at(
            f"{field}.name", f"{component.name} is no analysis: it has no Options and from_options; see docs/how-to-analysis.md"
        )
    try:
        made = found.from_options(resolver.options(found, component.options, field))
    except InvalidOption as error:
        raise InvalidJob.at(_at(f"{field}.options", error.option, field), str(error)) from error
    if not isinstance(made, Analysis):
        raise InvalidJob.at(f"{field}.name", f"{component.name} is no analysis: it has no needs or no run")
    return made


def _repeated(found: Sequence[JobAnalysis]) -> list[Violation]:
    """Analyses that would record the same searches under one name."""
    first: dict[str, JobAnalysis] = {}
    violations: list[Violation] = []
    for one in found:
        if isinstance(one.analysis, RecordsSearches):
            other = first.setdefault(one.analysis.name, one)
            if other is not one:
                violations.append(Violation(one.field, f"{other.field} asks for {one.analysis.name} already; leave one of the two out"))
    return violations


def _unfit(one: JobAnalysis, target: Target, named: str) -> list[Violation]:
    """Why an analysis can't be used with a target."""
    for need in one.analysis.needs:
        if not isinstance(target, need):
            says = (inspect.getdoc(need) or "").partition("\n")[0].rstrip(".")
            what = f" ({says[:1].lower()}{says[1:]})" if says else ""
            return [Violation(one.field, f"{one.label} needs {need.__name__}{what}, which the target {named} does not offer")]
    if isinstance(one.analysis, ChecksTarget):
        try:
            one.analysis.check(target)
        except InvalidOption as error:
            return [Violation(_at(one.options, error.option, one.field), str(error))]
    return []


def _at(options: str, option: str, field: str) -> str:
    """The field of an option; ``report`` calls a film's format ``film``."""
    if options == "report" and option == "format":
        return "report.film"
    return f"{options}.{option}" if option else field
