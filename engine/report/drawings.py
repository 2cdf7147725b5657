"""Every picture of a job's artifacts, as a name and a function that draws it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from ...charts.pictures import png
from ...models.spaces import StimulusSpec
from ..results.section import Section
from .charts import convergence_overview, convergence_plot
from .comparison import Comparison
from .figures import FigureFiles, figure_file
from .montage import montage, sheets
from .names import ArtifactNames
from .pictures import enlarged, own_size
from .results import Written

Drawing = tuple[str, Callable[[], bytes]]
"""A file's name below the artifacts' folder, and the function that returns its content."""

Group = tuple[str, Callable[[], Iterator[Drawing]]]
"""Name of a group of drawings, and the function that lays the group out."""


def groups_of_drawings(job: Written) -> list[Group]:
    """Return all pictures of a job in groups, in the order in which they are drawn."""
    return [
        ("the stimuli", lambda: _stimuli(job)),
        ("the convergence plots", lambda: _plots(job.comparison, job.drawn, job.names)),
        ("the montage", lambda: _montages(job.comparison, job.stimulus, job.names)),
        *((f"the figures of {section.title.lower()}", partial(_figures, section, job.figures)) for section in job.result.sections),
    ]


def _stimuli(job: Written) -> Iterator[Drawing]:
    stimulus = job.stimulus
    for search in job.result.searches:
        yield job.names.stimulus(search), lambda search=search: png(enlarged(search.stimulus, stimulus))
        if stimulus.modality == "image":
            yield job.names.raw(search), lambda search=search: png(own_size(search.stimulus, stimulus))


def _plots(comparison: Comparison, drawn: Comparison, names: ArtifactNames) -> Iterator[Drawing]:
    for unit in drawn.units:
        yield names.convergence(unit), partial(convergence_plot, drawn, unit)
    if comparison.units:
        yield "convergence.png", lambda: convergence_overview(drawn)


def _montages(comparison: Comparison, stimulus: StimulusSpec, names: ArtifactNames) -> Iterator[Drawing]:
    if not comparison.units:
        return
    tabled, left_out = sheets(comparison)
    for number, units in enumerate(tabled):
        more = left_out if number == len(tabled) - 1 else 0
        yield names.montage(number), lambda units=units, more=more: png(montage(units, stimulus, left_out=more))


def _figures(section: Section, files: FigureFiles) -> Iterator[Drawing]:
    for figure in section.figures:
        if path := files.path(figure):
            yield path, partial(figure_file, figure)
