"""``report.html``: a job's report in one self-contained file, without network and scripts."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import jinja2
from markupsafe import Markup

from ...charts.chart import Chart, css_rules, page_css, swatch
from ...charts.style import LEVEL, LIGHT_COLORS, css_variables, line_style
from ...charts.words import cell, count, duration, listed, measured, printable, shown, times
from ...models.spaces import StimulusSpec
from ..results.reference import REFERENCE
from ..results.result import SearchResult
from ..search.tally import JobOutcome
from .charts import convergence_chart, mean_chart
from .comparison import Comparison, exceeds, reference_multiple, reference_response
from .embedded import embedded
from .facts import budget, facts, job_yaml
from .figures import FIGURE_SIZE, FigureCell, FigureRow, figure_cell, placed, rows_below, section_blocks, stands_alone
from .results import Written

TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).with_name("templates")),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    finalize=lambda value: printable(value) if type(value) is str else value,
    trim_blocks=True,
    lstrip_blocks=True,
)
LIGHT = 1_500_000
"""Pixels of all found stimuli together, above which the report embeds small pictures; the files are full size."""

OUTCOMES: dict[JobOutcome, str] = {
    "success": "Before you trust this:",
    "partial": "Some searches never moved, or measured nothing.",
    "stuck": "No search moved, so this shows no preference of any unit.",
    "unmeasured": "No response was a finite number.",
}
"""The heading above the report's warnings."""

TEMPLATES.globals.update(
    swatch=lambda style: Markup(swatch(style)),
    line_style=line_style,
    level=LEVEL,
    css_rules=css_rules,
    page_css=lambda: Markup(page_css()),
    light_colors=css_variables(LIGHT_COLORS),
)
TEMPLATES.filters.update(cell=cell, shown=shown, measured=measured, times=times, count=count, listed=listed, duration=duration)


@dataclass(frozen=True)
class Found:
    """One search as the report shows it; see :class:`Embedded` for the picture.

    ``beside`` are the sections' figures beside it, ``links`` those whose files it links.
    """

    search: SearchResult
    wins: bool
    measured: bool
    multiple: float | None
    above: bool | None
    picture: str | None
    width: int
    chart: Chart | None
    beside: list[FigureCell]
    links: list[FigureCell]


@dataclass(frozen=True)
class UnitRow:
    """One unit: each column's search (None if the optimizer did not search it), and in words which optimizer found the highest response."""

    unit: str
    name: str
    anchor: str
    reference: float | None
    cells: list[Found | None]
    best: Found | None
    verdict: str
    chart: Chart
    rows: list[FigureRow]


@dataclass(frozen=True)
class Page:
    """The data of the page.

    Attributes
    ----------
    job : Written
        The job and the names of its files.
    files : collection of str
        Names of the files beside the page.
    others : str
        Name of the reference stimuli.
    light : bool
        Whether its pictures are small.
    """

    job: Written
    files: Collection[str]
    others: str
    light: bool

    def rows(self) -> list[UnitRow]:
        """Return a row for each unit that is drawn."""
        return [self._row(unit, number) for number, unit in enumerate(self.job.drawn.units, 1)]

    def _row(self, unit: str, number: int) -> UnitRow:
        drawn = self.job.drawn
        winners = drawn.winners(unit)
        cells = [self._found(unit, optimizer, winners) for optimizer in drawn.optimizers]
        best = next((cell for cell in cells if cell is not None and cell.wins), None)
        verdict, chart = _verdict(winners, self.others), convergence_chart(drawn, unit)
        below = rows_below(self.job.result.sections, unit, light=self.light)
        return UnitRow(unit, drawn.name(unit), f"unit-{number}", drawn.reference_response(unit), cells, best, verdict, chart, below)

    def _found(self, unit: str, optimizer: str, winners: list[SearchResult]) -> Found | None:
        search = self.job.drawn.at(unit, optimizer)
        if search is None:
            return None
        says = f"The series that {optimizer} found for {unit}, over time."
        made = embedded(search.stimulus, self.job.stimulus, says, light=self.light)
        return Found(
            search,
            any(search is winner for winner in winners),
            math.isfinite(search.response),
            reference_multiple(search),
            exceeds(search),
            made.picture,
            made.width,
            made.chart,
            self._cells("cell", search, made.width or FIGURE_SIZE),
            [made for made in self._cells("link", search, 0) if made.link in self.files],
        )

    def _cells(self, place: str, search: SearchResult, size: int) -> list[FigureCell]:
        figures = placed(self.job.result.sections, place, search.unit, search.optimizer)
        return [figure_cell(figure, self.job.figures.path(figure), size, light=self.light) for figure in figures]

    def notes(self) -> list[str]:
        """Return the notes of sections without their own place in the page."""
        return [note for section in self.job.result.sections if not stands_alone(section) for note in section.notes]


def report_html(job: Written, files: Collection[str] = ()) -> str:
    """Return the report as text.

    Parameters
    ----------
    job : Written
        Its counts are about all searches; those that are drawn have a row and pictures.
    files : collection of str
        Names of the files beside it, which it links.
    """
    result, stimulus, comparison = job.result, job.stimulus, job.comparison
    kind = "image" if stimulus.modality == "image" else "stimulus"
    others = REFERENCE.among(stimulus.modality)
    page = Page(job, files, others, is_light(job.drawn, stimulus))
    rows = page.rows()
    standings = comparison.standings()
    named = [result.spec.optimizer.name, *(baseline.name for baseline in result.spec.baselines)]
    # An optimizer that a cancelled job did not start has no label.
    labels = comparison.optimizers if len(comparison.optimizers) == len(named) else named
    return TEMPLATES.get_template("report.html.j2").render(
        result=result,
        spec=result.spec,
        labels=labels,
        facts=facts(result, stimulus, labels),
        budget=budget(result.spec),
        kind=kind,
        others=others,
        reference=REFERENCE,
        channels_apart=stimulus.modality == "image" and stimulus.shape[0] not in (1, 3),
        comparison=comparison,
        compared=comparison.compared(),
        scored=any(search.score is not None for search in result.searches),
        above=comparison.above_reference(),
        standings=[(standing, _beaten(standing.above_reference)) for standing in standings],
        levelled=any(job.drawn.reference_line(unit) is not None for unit in job.drawn.units),
        rows=rows,
        left_out=len(comparison.units) - len(rows),
        mean=mean_chart(comparison),
        light=page.light,
        notes=page.notes(),
        blocks=section_blocks(result.sections, job.figures.path, light=page.light),
        other_files=[section.files for section in result.sections if section.files],
        outcome_says=OUTCOMES[result.outcome],
        job_yaml=job_yaml(result.spec),
    )


def is_light(drawn: Comparison, stimulus: StimulusSpec) -> bool:
    """Return whether the report would be too large with full-size pictures."""
    return stimulus.modality == "image" and len(drawn.searches) * math.prod(stimulus.shape[1:]) > LIGHT


def _verdict(winners: list[SearchResult], others: str) -> str:
    if not winners:
        return "No response could be measured."
    names, first = listed([search.optimizer for search in winners]), winners[0]
    best, multiple = reference_response(first), reference_multiple(first)
    if first.score is not None:
        beside = "" if best is None else f", where the best of the {others} has {shown(best)}"
        return f"{names} found the highest score, {shown(first.score)}; the unit's own response to it is {shown(first.response)}{beside}."
    if best is None:
        return f"{names} found the most: {shown(first.response)}."
    than = f" ({times(multiple)})" if multiple is not None else ""
    if exceeds(first):
        return f"{names} found {shown(first.response)}, above the {shown(best)} of the best of the {others}{than}."
    if first.response == best:
        return f"Nothing found beats the {others}: {names} equals their best, {shown(best)}."
    return f"Nothing found beats the {others}: {names} came to {shown(first.response)} of their {shown(best)}{than}."


def _beaten(above: list[SearchResult]) -> list[str]:
    """Return unit and multiple for each search above the reference, the highest multiple first."""
    return [f"{search.unit} {_by_how_much(search)}" for search in sorted(above, key=lambda search: -(reference_multiple(search) or 0))]


def _by_how_much(search: SearchResult) -> str:
    multiple = reference_multiple(search)
    return f"{shown(search.response)} against {shown(reference_response(search))}" if multiple is None else times(multiple)
