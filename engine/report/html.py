"""``report.html``: everything about a job in one file that needs nothing else, neither network nor scripts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import yaml

from ...models.spaces import StimulusSpec
from ..results.result import JobResult, SearchResult
from ..search.tally import JobOutcome
from ..spec import ComponentSpec, DiverseSpec, JobSpec, ReportSpec
from .activating import ImageCell, image_cells, says
from .charts import Chart, convergence_chart, mean_chart
from .comparison import Comparison, exceeds, natural_best, natural_multiple
from .embedded import data_uri, embedded
from .importance import faded, shows_importance
from .names import ArtifactNames
from .optima import OptimumCell, optimum_cells
from .style import line_style
from .words import count, duration, listed, measured, printable, shown, times

TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).with_name("templates")),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    finalize=lambda value: printable(value) if type(value) is str else value,
    trim_blocks=True,
    lstrip_blocks=True,
)
LIGHT = 1_500_000
"""Pixels of all found stimuli together from which the report's pictures are small ones; the files have them whole."""

OUTCOMES: dict[JobOutcome, str] = {
    "success": "Before you trust this:",
    "partial": "Some searches never moved, or measured nothing.",
    "stuck": "No search moved, so this shows no preference of any unit.",
    "unmeasured": "No response was a finite number.",
}
"""What the report says above its warnings."""

TEMPLATES.filters.update(shown=shown, measured=measured, times=times, count=count, listed=listed, duration=duration)


@dataclass(frozen=True)
class Found:
    """One search as the report shows it; see :class:`Embedded` for the picture. ``optima`` are those of a search for a diverse set.

    ``importance`` is the picture faded where its score did not hang on it, as a data URI; ``film`` the name of its film's file.
    """

    search: SearchResult
    style: int
    wins: bool
    measured: bool
    multiple: float | None
    above: bool | None
    picture: str | None
    width: int
    chart: Chart | None
    optima: list[OptimumCell]
    importance: str | None
    film: str | None


@dataclass(frozen=True)
class UnitRow:
    """One unit: what each column's optimizer found (None where it was not searched), and in words who found the most."""

    unit: str
    name: str
    anchor: str
    natural: float | None
    cells: list[Found | None]
    best: Found | None
    verdict: str
    chart: Chart
    images: list[ImageCell]


def report_html(
    result: JobResult, comparison: Comparison, drawn: Comparison, stimulus: StimulusSpec, names: ArtifactNames | None = None
) -> str:
    """The report as text.

    Parameters
    ----------
    comparison : Comparison
        All searches, which its counts are about.
    drawn : Comparison
        Those with a row and pictures.
    names : ArtifactNames or None
        Of the files beside it, which it links; None where there are none.
    """
    kind = "image" if stimulus.modality == "image" else "stimulus"
    natural = f"natural test {'images' if kind == 'image' else 'stimuli'}"
    light = is_light(drawn, stimulus)
    film = result.spec.report.film
    films = {id(search): names.film(search, film) for search in drawn.searches if search.film} if names else {}
    rows = [_unit_row(result, drawn, unit, number, stimulus, natural, films, light) for number, unit in enumerate(drawn.units, 1)]
    standings = comparison.standings()
    named = [result.spec.optimizer.name, *(baseline.name for baseline in result.spec.baselines)]
    # An optimizer that a cancelled job had not come to has no label yet.
    labels = comparison.optimizers if len(comparison.optimizers) == len(named) else named
    return TEMPLATES.get_template("report.html.j2").render(
        result=result,
        spec=result.spec,
        labels=labels,
        facts=_facts(result, stimulus, labels),
        budget=_budget(result.spec),
        kind=kind,
        natural=natural,
        channels_apart=stimulus.modality == "image" and stimulus.shape[0] not in (1, 3),
        comparison=comparison,
        compared=comparison.compared(),
        scored=any(search.score is not None for search in result.searches),
        above=comparison.above_natural(),
        standings=[(standing, _style(column), _beaten(standing.above_natural)) for column, standing in enumerate(standings)],
        styles=[_style(column) for column in range(len(comparison.optimizers))],
        colors=[(line_style(number).color, line_style(number).dark_color) for number in range(6)],
        rows=rows,
        left_out=len(comparison.units) - len(rows),
        mean=mean_chart(comparison),
        folder_says=says(result.images) if result.images else "",
        light=light,
        faded=any(cell.importance for row in rows for cell in row.cells if cell),
        filmed=bool(films),
        outcome_says=OUTCOMES[result.outcome],
        job_yaml=job_yaml(result.spec),
    )


def job_yaml(spec: JobSpec) -> str:
    """The job as a job file, its defaults written out."""
    data = spec.model_dump(mode="json")
    for group in ("budget", "design", "constraints", "transformations"):
        data[group] = {name: value for name, value in (data[group] or {}).items() if value not in (None, "", [])}
    if spec.report == ReportSpec():
        data["report"] = {}
    for group in ("constraints", "transformations", "diverse", "report"):
        if not data[group]:
            del data[group]
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True)


def _style(column: int) -> tuple[int, str]:
    style = line_style(column)
    return style.number, " ".join(f"{2 * dash:g}" for dash in style.dashes)


def is_light(drawn: Comparison, stimulus: StimulusSpec) -> bool:
    """Whether the report would be too large with every picture whole."""
    return stimulus.modality == "image" and len(drawn.searches) * math.prod(stimulus.shape[1:]) > LIGHT


def _unit_row(
    result: JobResult,
    drawn: Comparison,
    unit: str,
    number: int,
    spec: StimulusSpec,
    natural: str,
    films: dict[int, str],
    light: bool,
) -> UnitRow:
    winners = drawn.winners(unit)
    cells = [_found(drawn, unit, optimizer, column, winners, spec, films, light) for column, optimizer in enumerate(drawn.optimizers)]
    best = next((cell for cell in cells if cell is not None and cell.wins), None)
    verdict, chart = _verdict(winners, natural), convergence_chart(drawn, unit)
    images = image_cells(result.images, unit, spec, light=light)
    return UnitRow(unit, drawn.name(unit), f"unit-{number}", drawn.natural_best(unit), cells, best, verdict, chart, images)


def _found(
    drawn: Comparison,
    unit: str,
    optimizer: str,
    column: int,
    winners: list[SearchResult],
    spec: StimulusSpec,
    films: dict[int, str],
    light: bool,
) -> Found | None:
    search = drawn.at(unit, optimizer)
    if search is None:
        return None
    made = embedded(search.stimulus, spec, f"The series that {optimizer} found for {unit}, over time.", light=light)
    return Found(
        search,
        column % 6,
        any(search is winner for winner in winners),
        math.isfinite(search.response),
        natural_multiple(search),
        exceeds(search),
        made.picture,
        made.width,
        made.chart,
        optimum_cells(search, spec, light=light),
        _importance(search, spec, made.width, light),
        films.get(id(search)),
    )


def _importance(search: SearchResult, spec: StimulusSpec, width: int, light: bool) -> str | None:
    if search.importance is None or not shows_importance(spec):
        return None
    return data_uri(faded(search.stimulus, search.importance, spec, to=1), width if light else None)


def _verdict(winners: list[SearchResult], natural: str) -> str:
    if not winners:
        return "No response could be measured."
    names, first = listed([search.optimizer for search in winners]), winners[0]
    best, multiple = natural_best(first), natural_multiple(first)
    if first.score is not None:
        beside = "" if best is None else f", where the best of the {natural} has {shown(best)}"
        return f"{names} found the highest score, {shown(first.score)}; the unit's own response to it is {shown(first.response)}{beside}."
    if best is None:
        return f"{names} found the most: {shown(first.response)}."
    than = f" ({times(multiple)})" if multiple is not None else ""
    if exceeds(first):
        return f"{names} found {shown(first.response)}, above the {shown(best)} of the best of the {natural}{than}."
    if first.response == best:
        return f"Nothing found beats the {natural}: {names} equals their best, {shown(best)}."
    return f"Nothing found beats the {natural}: {names} came to {shown(first.response)} of their {shown(best)}{than}."


def _beaten(above: list[SearchResult]) -> list[str]:
    """Unit and by how much, for each search that found more than nature, the strongest first."""
    return [f"{search.unit} {_by_how_much(search)}" for search in sorted(above, key=lambda search: -(natural_multiple(search) or 0))]


def _by_how_much(search: SearchResult) -> str:
    multiple = natural_multiple(search)
    return f"{shown(search.response)} against {shown(natural_best(search))}" if multiple is None else times(multiple)


def _facts(result: JobResult, stimulus: StimulusSpec, labels: list[str]) -> list[tuple[str, str]]:
    spec = result.spec
    facts = [("Target", _component(spec.target)), ("Generator", _component(spec.generator)), ("Stimulus", str(stimulus))]
    if spec.objective.name != "unit" or spec.objective.options:
        facts.append(("Objective", _component(spec.objective)))
    optimizers = [_component(component, label) for component, label in zip((spec.optimizer, *spec.baselines), labels, strict=True)]
    facts.append(("Optimizer", optimizers[0]))
    if optimizers[1:]:
        facts.append(("Compared with", "; ".join(optimizers[1:])))
    notes = dict.fromkeys(f"{search.optimizer}: {search.note}" for search in result.searches if search.note)
    facts += [("Chosen", note) for note in notes]
    facts += [("Pictures", f"{reading.option}: {reading.account()}") for reading in result.pictures]
    facts += [
        ("Budget", _budget(spec)),
        ("Start", "from a bank of natural latents" if spec.prior == "natural" else "blind, without natural latents"),
        *[("Constraints", kept) for kept in [_constraints(spec)] if kept],
        *([("Diverse set", _diverse(spec.diverse))] if spec.diverse else []),
        *[("Transformations", under) for under in [_transformations(spec)] if under],
        ("Measurements", _measurements(result)),
        ("Seed", str(spec.seed)),
        ("Device", spec.device),
        ("Running time", duration(result.seconds)),
    ]
    return facts


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


def _budget(spec: JobSpec) -> str:
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
    parts = [f"within {shown(kept.within)} standard deviations of natural latents"] if kept.within is not None else []
    if kept.changes is not None:
        parts.append(f"at most {100 * kept.changes:.3g} % of the codes other than the nearest natural map's")
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
