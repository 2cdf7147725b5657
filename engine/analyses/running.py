"""Runs a job's analyses: each alone, so that a fault of one takes nothing from the job or the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..checkpoint import require_plain
from ..evaluation.loop import StopReason
from ..results.section import Section, checked_section
from ..search.recorder import SearchPlan
from ..search.search import Search
from .analysis import AnalysisContext, HasEmptySections, Instant, RecordsSearches
from .resolving import JobAnalysis


@dataclass(frozen=True)
class Analysed:
    """What analyses found: their sections, a notice for each that failed, and why they ended early (empty: they did not)."""

    sections: tuple[Section, ...]
    notices: tuple[str, ...]
    reason: StopReason


def attach_recorders(analyses: Sequence[JobAnalysis], searches: Sequence[Search], plan: SearchPlan) -> None:
    """Have searches watched by the recorders of analyses; ``plan`` is of the first search."""
    for one in analyses:
        if isinstance(one.analysis, RecordsSearches):
            for number, search in enumerate(searches):
                recorder = one.analysis.recorder(replace(plan, number=number))
                if recorder is not None:
                    search.recorders[one.analysis.name] = recorder


def run_analyses(
    analyses: Sequence[JobAnalysis], context: AnalysisContext, states: dict[str, dict[str, Any]], reason: StopReason = ""
) -> Analysed:
    """Run analyses one after the other.

    Parameters
    ----------
    analyses : sequence of JobAnalysis
        In the order of their sections.
    context : AnalysisContext
        What each is given, but for ``state`` and ``field``.
    states : dict
        Of each analysis by its label, as checkpoints keep them; changed in place.
    reason : str
        "cancel": only those run that are :class:`actmax.engine.analyses.analysis.Instant`.

    Returns
    -------
    Analysed
        After "suspend" its sections are not complete.
    """
    sections: list[Section] = []
    notices: list[str] = []
    stopped: StopReason = reason
    laid_out: set[type] = set()

    def should_stop() -> StopReason:
        nonlocal stopped
        stopped = stopped or context.should_stop()
        return stopped

    for one in analyses:
        if stopped == "suspend":
            break
        given = replace(context, state=states.setdefault(one.label, {}), options_field=one.options, should_stop=should_stop)
        made: list[Section] = []
        if not stopped or (isinstance(one.analysis, Instant) and one.analysis.instant):
            try:
                made = [checked_section(section).of(one.label) for section in one.analysis.run(given)]
                require_plain(given.state)
            except Exception as error:  # what the searches found is worth more than what is computed about it
                notices.append(f"the analysis {one.label} failed: {type(error).__name__}: {error}")
                states.pop(one.label, None)
                made = []
        if not made and isinstance(one.analysis, HasEmptySections):
            made = [section.of(one.label) for section in one.analysis.empty(given)]
        if type(one.analysis) in laid_out:  # result.json has one place for such a section
            made = [replace(section, layout=None) for section in made]
        laid_out.add(type(one.analysis))
        sections += _named_apart(made)
    return Analysed(tuple(sections), tuple(notices), stopped)


def _named_apart(sections: Sequence[Section]) -> list[Section]:
    """Sections of one analysis, numbered where two have the same name."""
    names: dict[str, int] = {}
    found: list[Section] = []
    for section in sections:
        names[section.name] = number = names.get(section.name, 0) + 1
        found.append(section if number == 1 else replace(section, name=f"{section.name}-{number}".lstrip("-")))
    return found
