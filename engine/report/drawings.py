"""Every picture of a job's artifacts, as a name and a function that draws it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from ...models.spaces import StimulusSpec
from ..results.result import JobResult, SearchResult
from . import activating
from .comparison import Comparison
from .film import film
from .importance import faded, shows_importance
from .montage import montage, sheets
from .names import ArtifactNames
from .pictures import enlarged, own_size, png
from .plots import convergence_overview, convergence_plot

Drawing = tuple[str, Callable[[], bytes]]
"""A file's name below the artifacts' folder, and the function that returns its content."""

Group = tuple[str, Callable[[], Iterator[Drawing]]]
"""What a group of drawings is called, and the function that lays the group out."""


def groups_of_drawings(
    result: JobResult, comparison: Comparison, drawn: Comparison, stimulus: StimulusSpec, names: ArtifactNames
) -> list[Group]:
    """Return all pictures of a job in groups, in the order in which they are drawn.

    Parameters
    ----------
    result : JobResult
        What was found.
    comparison, drawn : Comparison
        All searches, and those of the units that get a convergence plot.
    stimulus : StimulusSpec
        What the stimuli are.
    names : ArtifactNames
        Names of the files.
    """
    return [
        ("the stimuli", lambda: _stimuli(result, stimulus, names)),
        ("the convergence plots", lambda: _plots(comparison, drawn, names)),
        ("the montage", lambda: _montages(comparison, stimulus, names)),
        ("the sheets of activating pictures", lambda: _activating(result, comparison, stimulus, names)),
    ]


def _stimuli(result: JobResult, stimulus: StimulusSpec, names: ArtifactNames) -> Iterator[Drawing]:
    for search in result.searches:
        yield from _of_search(search, result.spec.report.film, stimulus, names)


def _of_search(search: SearchResult, kind: str, stimulus: StimulusSpec, names: ArtifactNames) -> Iterator[Drawing]:
    yield names.stimulus(search), lambda: png(enlarged(search.stimulus, stimulus))
    if stimulus.modality == "image":
        yield names.raw(search), lambda: png(own_size(search.stimulus, stimulus))
    for one in search.optima[1:]:
        yield names.stimulus(search, one.number), lambda one=one: png(enlarged(one.stimulus, stimulus))
        if stimulus.modality == "image":
            yield names.raw(search, one.number), lambda one=one: png(own_size(one.stimulus, stimulus))
    importance = search.importance
    if importance is not None and shows_importance(stimulus):
        yield names.importance(search), lambda: png(faded(search.stimulus, importance, stimulus))
    if search.film:
        yield names.film(search, kind), lambda: film(search, stimulus, kind)


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


def _activating(result: JobResult, comparison: Comparison, stimulus: StimulusSpec, names: ArtifactNames) -> Iterator[Drawing]:
    images = result.images
    if images is None:
        return
    for number, units in enumerate(activating.pages(comparison, images)):
        yield names.images(number), lambda units=units: png(activating.sheet(units, images, stimulus))
