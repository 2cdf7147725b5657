"""Results in notebooks: stimuli, responses and curves, in HTML without network and scripts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from ...charts.chart import Chart
from ...charts.pictures import from_png, png
from ...charts.style import LineStyle, line_style
from ...charts.words import count, duration, shown, times
from ...models.spaces import StimulusSpec
from ..results.reference import REFERENCE
from ..results.result import JobResult, SearchResult
from ..results.section import Section
from .artifacts import write_artifacts
from .charts import convergence_chart, convergence_overview, convergence_plot
from .comparison import Comparison
from .embedded import Embedded, embedded
from .figures import section_blocks
from .html import TEMPLATES
from .montage import montage, sheets
from .pictures import enlarged

MOST_UNITS = 24
"""Most units of a job in one cell of a notebook."""
MOST_WARNINGS = 5
"""Most warnings of a job in one cell of a notebook; all are in ``.warnings``."""
MOST_CURVES = 8
"""Most units of a job with a curve for each."""
MOST_ROWS, MOST_FIGURES = 20, 12
"""Most rows and figures of a section in one cell of a notebook."""
_SIZE = 128


@dataclass(frozen=True)
class _Cell:
    search: SearchResult
    made: Embedded
    captions: list[str]
    style: LineStyle


@dataclass(frozen=True)
class _Row:
    unit: str
    name: str
    cells: list[_Cell]
    chart: Chart | None


def search_html(search: SearchResult) -> str:
    """Return one search as HTML: stimulus, response and curve."""
    return _html([search], "", "", MOST_CURVES, search.warnings)


def job_html(result: JobResult) -> str:
    """Return all searches of a job as HTML, or the first units if there are many."""
    if not result.searches:
        return _html([], result.spec.title, "Nothing was found.", 0, result.warnings)
    units = len(Comparison(result.searches).units)
    end = "cancelled" if result.cancelled else duration(result.seconds)
    note = f"{count(len(result.searches), 'search', 'searches')} of {count(units, 'unit')} of {result.spec.target.name}, {end}"
    return _html(result.searches, result.spec.title, note, MOST_CURVES, result.warnings, result.sections)


def search_png(search: SearchResult) -> bytes:
    """Return the search's stimulus as a PNG file, enlarged or plotted."""
    return png(enlarged(search.stimulus, spec_of(search)))


def job_png(result: JobResult) -> bytes | None:
    """Return the first sheet of the montage as a PNG file; None without searches."""
    if not result.searches:
        return None
    first, *others = sheets(Comparison(result.searches))[0]
    left_out = sum(len(units.units) for units in others)
    return png(montage(first, spec_of(result.searches[0]), left_out=left_out))


def search_picture(search: SearchResult) -> Image.Image:
    """Return the stimulus, enlarged or plotted."""
    return enlarged(search.stimulus, spec_of(search))


def job_plot(result: JobResult, unit: str | None) -> Image.Image:
    """Return the curves of one unit, or of all in small panels."""
    comparison = Comparison(result.searches)
    file = convergence_overview(comparison) if unit is None else convergence_plot(comparison, result.best(unit).unit)
    return from_png(file)


def write(result: JobResult, folder: Path) -> JobResult:
    """Write the artifacts of a job; see :func:`actmax.engine.report.artifacts.write_artifacts`.

    Raises
    ------
    ValueError
        No search measured anything.
    """
    if not result.searches:
        raise ValueError("no search measured anything, so there is nothing to save")
    return write_artifacts(result, folder, spec_of(result.searches[0]))


def spec_of(search: SearchResult) -> StimulusSpec:
    """Return the stimulus' spec as the search has it; else one from its dimensions and values."""
    if search.stimulus_spec is not None:
        return search.stimulus_spec
    low, high = float(np.min(search.stimulus)), float(np.max(search.stimulus))
    if search.stimulus.ndim == 3:
        low, high = min(low, 0.0), max(high, 1.0)
    return StimulusSpec(search.stimulus.shape, low, max(high, low + 1e-6), "image" if search.stimulus.ndim == 3 else "series")


def _html(
    searches: list[SearchResult], title: str, note: str, curves: int, warnings: Sequence[str], sections: Sequence[Section] = ()
) -> str:
    every = Comparison(searches)
    drawn = every.first(MOST_UNITS)
    rows: list[_Row] = []
    for unit in drawn.units:
        cells: list[_Cell] = []
        for column, optimizer in enumerate(drawn.optimizers):
            search = drawn.at(unit, optimizer)
            if search is not None:
                says = f"The series that {optimizer} found for {unit}, over time."
                made = embedded(search.stimulus, spec_of(search), says, _SIZE, light=True)
                cells.append(_Cell(search, made, _captions(search), line_style(column)))
        rows.append(_Row(unit, drawn.name(unit), cells, convergence_chart(drawn, unit) if len(drawn.units) <= curves else None))
    left_out = len(every.units) - len(rows)
    return TEMPLATES.get_template("notebook.html.j2").render(
        title=title,
        note=note,
        warnings=warnings[:MOST_WARNINGS],
        further_warnings=max(0, len(warnings) - MOST_WARNINGS),
        rows=rows,
        blocks=section_blocks(sections, lambda _: "", MOST_ROWS, MOST_FIGURES, light=True),
        several=len(every.optimizers) > 1,
        left_out=f"{count(left_out, 'further unit')} in .searches" if left_out else "",
    )


def _captions(search: SearchResult) -> list[str]:
    found = [search.measured if math.isfinite(search.response) else "not measured"]
    if search.score is not None:
        found.append(f"score {shown(search.score)}")
    if search.reference_multiple is not None and math.isfinite(search.reference_multiple):
        found.append(f"{times(search.reference_multiple)} {REFERENCE.best}")
    return [*found, count(search.evaluations, "evaluation")]
