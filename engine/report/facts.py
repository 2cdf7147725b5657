"""A job's settings in words: the facts at the end of its report, and the job file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from ...charts.words import count, duration, shown
from ...models.spaces import StimulusSpec
from ..results.result import JobResult
from ..spec import ComponentSpec, DiverseSpec, JobSpec, ReportSpec


def job_yaml(spec: JobSpec) -> str:
    """Return the job as a job file, with all defaults."""
    data = spec.model_dump(mode="json")
    for group in ("budget", "design", "constraints", "transformations"):
        data[group] = {name: value for name, value in (data[group] or {}).items() if value not in (None, "", [])}
    if spec.report == ReportSpec():
        data["report"] = {}
    for group in ("constraints", "transformations", "diverse", "report", "analyses"):
        if not data[group]:
            del data[group]
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True)


def facts(result: JobResult, stimulus: StimulusSpec, labels: list[str]) -> list[tuple[str, str]]:
    """Return names and texts of a job's settings and origin, for the report.

    Parameters
    ----------
    result : JobResult
        The result.
    stimulus : StimulusSpec
        The generator's stimulus.
    labels : list of str
        Labels of the optimizers, in the job's order.
    """
    spec = result.spec
    found = [("Target", _component(spec.target)), ("Generator", _component(spec.generator)), ("Stimulus", str(stimulus))]
    if spec.objective.name != "unit" or spec.objective.options:
        found.append(("Objective", _component(spec.objective)))
    optimizers = [_component(component, label) for component, label in zip((spec.optimizer, *spec.baselines), labels, strict=True)]
    found.append(("Optimizer", optimizers[0]))
    if optimizers[1:]:
        found.append(("Compared with", "; ".join(optimizers[1:])))
    notes = dict.fromkeys(f"{search.optimizer}: {search.note}" for search in result.searches if search.note)
    found += [("Chosen", note) for note in notes]
    found += [("Pictures", f"{reading.option}: {reading.account()}") for reading in result.pictures]
    found += [
        ("Budget", budget(spec)),
        ("Start", "from a bank of natural latents" if spec.prior == "natural" else "blind, without natural latents"),
        *[("Constraints", kept) for kept in [_constraints(spec)] if kept],
        *([("Analyses", ", ".join(_component(one) for one in spec.analyses))] if spec.analyses else []),
        *([("Diverse set", _diverse(spec.diverse))] if spec.diverse else []),
        *[("Transformations", under) for under in [_transformations(spec)] if under],
        ("Measurements", _measurements(result)),
        ("Seed", str(spec.seed)),
        ("Device", spec.device),
        ("Running time", duration(result.seconds)),
        *_provenance(result.provenance),
    ]
    return found


def _provenance(provenance: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the result's origin, as far as it is known; digests by their first digits, which ``result.json`` has in full."""
    if not provenance:
        return []
    packages = ", ".join(f"{name} {version}" for name, version in provenance["packages"].items())
    weights = "; ".join(f"{role} {digest[:16]}…" for role, digest in provenance["weights_sha256"].items())
    versions = "; ".join(f"{role} {version}" for role, version in provenance["versions"].items())
    facts = {
        "Ended": provenance["date"],
        "Made by": f"actmax {provenance['actmax']}, Python {provenance['python']}, {provenance['system']}; {packages}",
        "Computed on": f"{provenance['device']}, {count(provenance['threads'], 'thread')}",
        "SHA-256 of weights": weights,
        "Versions": versions,
        "SHA-256 of the job": f"{provenance['job_sha256'][:16]}…",
        "Command": provenance["command"],
    }
    return [(name, text) for name, text in facts.items() if text]


def _transformations(spec: JobSpec) -> str:
    asked = spec.transformations
    if asked is None:
        return ""
    steps = asked.preset or ", ".join(_component(step) for step in asked.steps)
    return steps if asked.samples is None else f"{steps}; {count(asked.samples, 'draw')} a stimulus"


def _component(component: ComponentSpec, label: str = "") -> str:
    options = ", ".join(f"{name} = {_option(value)}" for name, value in component.options.items())
    return f"{label or component.name} ({options})" if options else label or component.name


def _option(value: Any) -> str:
    if isinstance(value, str) and value.startswith("data:image/"):
        return "a picture"  # whole in the job file at the end
    text = shown(value) if isinstance(value, float) else str(value)
    return text if len(text) <= 80 else f"{text[:79]}…"


def budget(spec: JobSpec) -> str:
    """Return the job's budget in words."""
    parts: list[str] = []
    if spec.budget.evaluations is not None:
        parts.append(f"{count(spec.budget.evaluations, 'evaluation')} for each unit and optimizer")
    if spec.budget.seconds is not None:
        parts.append(f"{duration(spec.budget.seconds)} for the whole job")
    if spec.budget.plateau is not None:
        parts.append(f"ending a search after {count(spec.budget.plateau, 'evaluation')} without improvement")
    return ", ".join(parts)


def _diverse(asked: DiverseSpec) -> str:
    least = f"any two at least {shown(asked.distance)} apart (two natural ones are about 1 apart)"
    return f"{count(asked.n, 'stimulus', 'stimuli')} a search, {least}"


def _constraints(spec: JobSpec) -> str:
    kept = spec.constraints
    parts = [f"within {shown(kept.max_latent_std)} standard deviations of natural latents"] if kept.max_latent_std is not None else []
    if kept.max_code_changes is not None:
        parts.append(f"at most {100 * kept.max_code_changes:.3g} % of the codes other than the nearest natural map's")
    parts += [f"{name} {shown(value)}" for name, value in (("luminance", kept.luminance), ("contrast", kept.contrast)) if value is not None]
    return ", ".join(parts)


def _measurements(result: JobResult) -> str:
    replicates = result.spec.design.replicates
    parts = [f"each candidate shown {count(replicates, 'time')}" if replicates > 1 else "each candidate shown once"]
    again = [search.measurements for search in result.searches if search.measurements > 1]
    if again:
        few, most = min(again), max(again)
        parts.append(f"what was found measured {few if few == most else f'{few} to {most}'} times, after it had been chosen")
    return "; ".join(parts)
