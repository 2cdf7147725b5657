"""How a layer's features share its units, as a sheet of charts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ....charts.chart import Axes, Chart, text_element
from ....charts.document import Key, to_png
from ....charts.panels import Panel, panel_sheet
from ....charts.style import LineStyle, line_style
from ....charts.words import shortened
from .geometry import Matrix
from .measures import LayerFound, Measures

_SIZE = (330, 240)
_BINS = 40
_ZOOM = 1.5
_DASHES: dict[str, tuple[float, ...]] = {"own": (), "other": (5, 1.6)}
"""Of lines, by the weights that they belong to."""
_COLOURS = 6


def superposition_sheet(title: str, found: LayerFound) -> bytes:
    """Return the charts of one layer as a PNG file: cosines, dictionary, selectivity, and maps of the stimuli by class.

    Parameters
    ----------
    title : str
        Of the sheet.
    found : LayerFound
        With :attr:`Measures.activation_cosines` of one set of weights at least.
    """
    measured = {which: made for which, made in found.of.items() if made.activation_cosines is not None}
    named = {0: "activations; dictionary; class selectivity", 1: "weights; principal components; d′ ÷ largest"}
    keys = [Key(text, _style(column, "own")) for column, text in named.items()]
    if len(measured) > 1:
        keys.append(Key("dashed: the other weights", LineStyle("muted", _DASHES["other"])))
    panels = [Panel("Cosines between units, share of pairs", _cosines(measured), _SIZE)]
    panels += [Panel("Variance, by coefficients of a stimulus", _reconstruction(measured), _SIZE)] * any(
        made.dictionary is not None for made in measured.values()
    )
    panels += [Panel("Selectivity of units, sorted", _selectivity(measured), _SIZE)] * any(
        made.distance is not None for made in measured.values()
    )
    for which, made in measured.items():
        of = f" ({which} weights)" if len(measured) > 1 else ""
        for name, places in ((f"Principal components{of}", made.principal), (f"t-SNE{of}", made.tsne)):
            if places is not None:
                panels.append(Panel(name, _map(places, found), _SIZE))
    return to_png(panel_sheet(title, panels, 3, keys), _ZOOM)


def _style(column: int, which: str) -> LineStyle:
    return LineStyle(line_style(column).name, _DASHES[which])


def _cosines(measured: dict[str, Measures]) -> str:
    edges = np.linspace(-1, 1, _BINS + 1)
    lines: list[tuple[NDArray[np.float64], LineStyle]] = []
    for which, made in measured.items():
        for column, values in ((1, made.weight_cosines), (0, made.activation_cosines)):
            if values is not None and values.size:
                lines.append((np.histogram(values, edges)[0] / values.size, _style(column, which)))
    chart = Chart(Axes(_SIZE, (-1, 1), [0.0, *(float(shares.max()) for shares, _ in lines)], "cosine"))
    for shares, style in lines:
        chart.steps([*zip(edges[:-1].tolist(), shares.tolist(), strict=True), (1.0, float(shares[-1]))], style)
    return chart.body()


def _reconstruction(measured: dict[str, Measures]) -> str:
    known = {which: made.dictionary for which, made in measured.items() if made.dictionary is not None}
    most = max(len(one.sparsities) for one in known.values())
    sparsities = next(one.sparsities for one in known.values() if len(one.sparsities) == most)
    chart = Chart(Axes(_SIZE, (0, max(most - 1, 1)), [0.0, 1.0], places=True))
    for at, number in enumerate(sparsities):
        chart.name_place(at, str(number), "muted")
    for which, one in known.items():
        for column, shares in ((1, one.principal), (0, one.explained)):
            chart.line(list(enumerate(shares.tolist())), _style(column, which))
    return chart.body()


def _selectivity(measured: dict[str, Measures]) -> str:
    chart = Chart(Axes(_SIZE, (0, max(made.activations.shape[1] for made in measured.values()) - 1), [0.0, 1.0], "units"))
    for which, made in measured.items():
        for column, values in ((1, made.distance), (0, made.selectivity)):
            if values is None:
                continue
            scale = float(values.max()) if column and values.max() > 0 else 1.0
            chart.line(list(enumerate(np.clip(np.sort(values / scale)[::-1], 0, 1).tolist())), _style(column, which))
    return chart.body()


def _map(places: Matrix, found: LayerFound) -> str:
    """Stimuli as dots in the colours of their classes, and the classes' names, or numbers, at their medians."""
    low, high = places.min(0), places.max(0)
    chart = Chart(Axes(_SIZE, (float(low[0]), float(high[0])), [float(low[1]), float(high[1])], places=True))
    for (x, y), label in zip(places.tolist(), found.labels.tolist(), strict=True):
        chart.dot(x, y, line_style(label % _COLOURS).name, 2.5, faint=label // _COLOURS % 2 == 1)
    names = found.names or [str(label + 1) for label in range(int(found.labels.max()) + 1)]
    parts = [chart.body()]
    for label, name in enumerate(names):
        inside = places[found.labels == label]
        if len(inside):
            x, y = np.median(inside, axis=0).tolist()
            parts.append(text_element(chart.x(x), chart.y(y) + 4, shortened(name, 14), 'class="ink strong" text-anchor="middle"'))
    return "".join(parts)
