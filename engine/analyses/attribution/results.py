"""Attributions as a section: a table of scores, arrays, and a figure a unit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from ....charts.words import shown
from ....models.units import UnitAddress
from ...results.section import Figure, Section, Value
from ..analysis import AnalysisContext
from .sheet import Panel, film, sheet_file
from .stimuli import Item

_COLUMNS = (
    "response",
    "sum",
    "expected sum",
    "deletion",
    "insertion",
    "random order",
    "max-sensitivity",
    "randomisation",
    "pointing game",
)
_EXPLAINED = {
    "expected sum": "What a map's values add up to, beside what they should.",
    "deletion": (
        "Deletion and insertion: the response, 0 at the baseline and 1 at the stimulus, averaged while places are taken away or put back "
        "in the map's order. A map that tells has deletion below the random order and insertion above it."
    ),
    "max-sensitivity": "Max-sensitivity: how far the map moves, relative to its size, when values change by 2 % of their range.",
    "randomisation": (
        "Randomisation: the rank correlation with the map of the network with shuffled weights; near 1, it shows little of what it learned."
    ),
    "pointing game": "Pointing game: 1 where the highest place of the map lies in the picture's mask.",
}


class Method(Protocol):
    """What a section says of the method that made it."""

    title: ClassVar[str]
    reading: ClassVar[str]
    signed: ClassVar[bool]


@dataclass(frozen=True)
class Row:
    """A unit's attribution on one stimulus; ``values`` holds ``maps``, ``attributions`` and scores by name."""

    item: Item
    unit: UnitAddress
    values: dict[str, NDArray[Any]]


def attribution_section(method: Method, context: AnalysisContext, rows: Sequence[Row], remarks: Sequence[str]) -> Section:
    """Return the section of a method's rows, of which there is at least one; those of a unit are neighbours.

    Parameters
    ----------
    method : Method
        What made them.
    context : AnalysisContext
        The job's.
    rows : sequence of Row
        The lines of the table, and of every array.
    remarks : sequence of str
        Sentences about this job.
    """
    table = [_line(row) for row in rows]
    present = {column for line in table for column in line}
    notes = [method.reading, *(text for column, text in _EXPLAINED.items() if column in present)]
    flat = [row for row in rows if not row.values["maps"].any()]
    if flat:
        notes.append(f"{len(flat)} of {len(rows)} maps are zero throughout: the response has no gradient there, or nothing changes it.")
    notes += remarks
    arrays = {"maps": np.stack([row.values["maps"] for row in rows])}
    arrays |= {
        name: np.stack([row.values[name] for row in rows])
        for name in ("attributions", "film")
        if name in rows[0].values and rows[0].values[name].shape != rows[0].values["maps"].shape
    }
    notes.append("Arrays have a row for each line of the table.")
    figures = [
        _figure(method, context, unit, [row for row in rows if row.unit == unit]) for unit in dict.fromkeys(row.unit for row in rows)
    ]
    films = [_film(context, row) for row in rows if "film" in row.values and row.item.optimizer]
    return Section(method.title, tuple(notes), table, arrays, [*figures, *films])


def _line(row: Row) -> dict[str, Value]:
    line: dict[str, Value] = {"unit": str(row.unit), "optimizer": row.item.optimizer, "stimulus": row.item.name}
    for column in _COLUMNS:
        if column in row.values:
            value = float(row.values[column])
            line[column] = value if math.isfinite(value) else None
    return line


def _figure(method: Method, context: AnalysisContext, unit: UnitAddress, rows: Sequence[Row]) -> Figure:
    """What was found for a unit and the pictures, each with its map."""
    panels = [Panel(row.item.stimulus.numpy(), row.values["maps"], row.item.name, _caption(row)) for row in rows]
    return Figure(
        method.title,
        f"Stimuli for {unit}, and over each the map by {method.title}",
        partial(sheet_file, f"{unit}: {method.title}", panels, context.target.stimulus, signed=method.signed),
        unit=str(unit),
        caption=(method.title, "stimuli, and where they count"),
        place="unit",
        wide=True,
    )


def _caption(row: Row) -> str:
    by = f"{row.item.optimizer}: " if row.item.optimizer else ""
    return f"{by}response {shown(float(row.values['response']))}"


def _film(context: AnalysisContext, row: Row) -> Figure:
    return Figure(
        "a map a time step",
        f"Where what was found for {row.unit} counts, time step by time step",
        partial(film, row.item.stimulus.numpy(), row.values["film"], context.target.stimulus),
        media_type="image/gif",
        unit=str(row.unit),
        optimizer=row.item.optimizer,
        place="unit",
    )
