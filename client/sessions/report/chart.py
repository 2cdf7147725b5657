"""Charts of a session's searches."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ....charts.chart import Axes, Chart
from ....charts.style import LineStyle
from ....charts.words import shown
from .figures import Figures, GenerationFigures, Mean

CANDIDATES, REFERENCES, RECOMMENDED = "c0", "c1", "c2"
_WIDTH, _NAMES = 720, 128


def evolution(figures: Figures, recommended: tuple[float, float, float]) -> Chart:
    """Return scores against generations: candidates and references with standard errors, leaders, and what is recommended.

    Parameters
    ----------
    figures : Figures
        The search's numbers.
    recommended : tuple of float
        Response, and its 95 % interval.
    """
    rows = figures.generations
    highs = [part for row in rows for part in (row.best, row.candidates.value, row.references.value, row.leaders.value)]
    lows = [row.references.value - _size(row.references.sem) for row in rows] + [row.candidates.value for row in rows]
    first, last = min((row.number for row in rows), default=0), max((row.number for row in rows), default=1)
    axes = Axes((_WIDTH, 340), (first, last), [*highs, *lows], "generation", "response, drift corrected", right=_NAMES)
    response, low, high = recommended
    says = f"Mean response of each of {len(rows)} generations' candidates and references; the recommended stimulus has {shown(response)}."
    chart = Chart(axes, says)
    if math.isfinite(low) and math.isfinite(high):
        chart.band([(x, low, high) for x in chart.ends], RECOMMENDED)
    if math.isfinite(response):
        chart.level(response, LineStyle(RECOMMENDED, (3, 2)))
        chart.name_line(response, "recommended", RECOMMENDED)
    for row in rows:
        if math.isfinite(row.best):
            chart.dot(row.number, row.best, CANDIDATES, 2.5, faint=True)
        if math.isfinite(row.leaders.value):
            chart.dot(row.number, row.leaders.value, RECOMMENDED, 3)
    _add_curve(chart, rows, lambda row: row.references, "references", REFERENCES)
    _add_curve(chart, rows, lambda row: row.candidates, "candidates", CANDIDATES)
    return chart


def gain(figures: Figures) -> Chart | None:
    """Return the units' gain against generations; None where it was never estimated."""
    rows = [row for row in figures.generations if math.isfinite(row.gain)]
    if len(rows) < 2 or all(row.gain == 1 for row in rows):
        return None
    gains = [1.0, *(row.gain for row in rows)]
    axes = Axes((_WIDTH, 210), (rows[0].number, rows[-1].number), gains, "generation", "gain, 1 at the beginning", right=_NAMES)
    chart = Chart(axes, f"Gain of the units, as references tell it, ends at {shown(rows[-1].gain)}.")
    chart.level(1.0)
    chart.line([(row.number, row.gain) for row in rows], LineStyle(REFERENCES))
    return chart


def side_by_side(figures: Figures) -> Chart | None:
    """Return what was shown side by side at the end: a dot a measurement, with mean and standard error; None before that."""
    groups = {name: values for name, values in figures.side_by_side.items() if values.size}
    if not groups:
        return None
    means = {name: Mean.of(values) for name, values in groups.items()}
    says = "; ".join(f"{name}: mean {shown(mean.value)} of {mean.n}" for name, mean in means.items())
    scores = [0.0, *np.concatenate(list(groups.values())).tolist()]
    axes = Axes((_WIDTH, 260), (0, len(groups)), scores, y_label="response, drift corrected", right=20, places=True)
    chart = Chart(axes, f"Shown side by side at the end: {says}.")
    for at, (name, values) in enumerate(groups.items()):
        color, middle, mean = {"recommended": RECOMMENDED, "references": REFERENCES}.get(name, CANDIDATES), at + 0.5, means[name]
        for value, shift in zip(values.tolist(), _spread(values), strict=True):
            chart.dot(middle, value, color, shift=shift, faint=True)
        chart.cross(middle, mean.value, mean.sem, color)
        chart.name_place(middle, f"{name}, n = {mean.n}", color)
    return chart


def _add_curve(chart: Chart, rows: list[GenerationFigures], pick: Callable[[GenerationFigures], Mean], name: str, color: str) -> None:
    """Add a line of means with a band of standard errors; none where none is known."""
    known = [(row.number, pick(row)) for row in rows if math.isfinite(pick(row).value)]
    if known:
        chart.band([(x, mean.value - _size(mean.sem), mean.value + _size(mean.sem)) for x, mean in known], color)
        chart.line([(x, mean.value) for x, mean in known], LineStyle(color))
        chart.name_line(known[-1][1].value, name, color)


def _spread(values: NDArray[np.float64], step: float = 8.0) -> list[float]:
    """Return how far dots of the same height are moved sideways, so that each is seen."""
    count: dict[float, int] = {}
    places: list[float] = []
    for value in values.tolist():
        at = count[value] = count.get(value, -1) + 1
        places.append((at + 1) // 2 * step * (1 if at % 2 else -1))
    return places


def _size(value: float) -> float:
    return value if math.isfinite(value) else 0.0
