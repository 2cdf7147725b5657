"""The sensitivity of one optimum as a sheet of charts."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ....charts.chart import Axes, Chart
from ....charts.document import Key, to_png
from ....charts.panels import Panel, panel_sheet
from ....charts.pictures import data_uri, pixels, png
from ....charts.style import LEVEL, LineStyle, line_style
from ....models.spaces import StimulusSpec
from .leading import ENOUGH, numbers_of
from .study import Study

_SIZE = (380, 230)
_MAP = 150
"""Side of the pictures of blocks, in pixels."""
_ZOOM = 1.5
_LETTER = 7.2
"""About the width of a letter of a factor's name, in pixels."""
_RANKED = {"ST": line_style(1), "Morris μ*": line_style(2), "FAST ST": LineStyle("muted"), "PAWN": line_style(4)}
"""What methods are compared by."""


def sensitivity_sheet(title: str, study: Study, spec: StimulusSpec) -> bytes:
    """Return the sensitivity of one optimum as a PNG file.

    Parameters
    ----------
    title : str
        Of the sheet.
    study : Study
        With at least one index.
    spec : StimulusSpec
        Of its stimulus.
    """
    found, panels, keys = study.indices, list[Panel](), list[Key]()
    if "ST" in found:
        panels.append(Panel("Sobol: share of the variance", _dots(study, ("S1", "ST")), _SIZE))
        keys += [Key("alone (S1)", line_style(0), dot=True), Key("with all interactions (ST)", line_style(1), dot=True)]
    compared = [name for name in _RANKED if name in found]
    if len(compared) > 1 or (compared and compared != ["ST"]):
        panels.append(Panel("Methods, each ÷ its largest", _compared(study, compared), _SIZE))
        keys += [Key(name, _RANKED[name], dot=True) for name in compared if name != "ST"]
    if "slope" in found:
        panels.append(Panel("Slope at the optimum", _dots(study, ("slope", "gradient")), _SIZE))
        keys.append(Key("finite difference", _STYLES["slope"], dot=True))
        keys += [Key("gradient", _STYLES["gradient"], dot=True)] * ("gradient" in found)
    if study.explained is not None:
        panels.append(Panel("Leading factors alone: r² with all", _suffice(study), _SIZE))
        keys.append(Key(f"{100 * ENOUGH:.0f} %", LEVEL))
    if study.factors.grid is not None and study.leading is not None:
        panels.append(Panel("Where it counts: optimum, and its blocks by index", _blocks(study, spec), _SIZE))
    return to_png(panel_sheet(title, panels, 2, keys), _ZOOM)


_STYLES = {"S1": line_style(0), "ST": line_style(1), "slope": line_style(5), "gradient": line_style(3)}


def _chart(study: Study, heights: list[float]) -> Chart:
    """Axes over the factors, as many of them named as there is room for."""
    names = study.factors.names
    chart = Chart(Axes(_SIZE, (-0.5, len(names) - 0.5), heights, places=True))
    pitch = max(1, math.ceil(_LETTER * (max(map(len, names)) + 1) * len(names) / (_SIZE[0] - 60)))
    for at in range(0, len(names), pitch):
        chart.name_place(at, names[at], "muted")
    return chart


def _dots(study: Study, columns: tuple[str, ...]) -> str:
    """Columns side by side as dots, with intervals where they have them."""
    known = [(name, study.indices[name], study.indices.get(f"{name} ±")) for name in columns if name in study.indices]
    heights = [0.0]
    for _, values, errors in known:
        wide = np.zeros(len(values)) if errors is None else np.nan_to_num(errors)
        heights += [*(values - wide), *(values + wide)]
    chart = _chart(study, heights)
    chart.level(0.0)
    for number, (name, values, errors) in enumerate(known):
        aside = 0.24 * (number - (len(known) - 1) / 2)
        for at, value in enumerate(values.tolist()):
            if not math.isfinite(value):
                continue
            if errors is not None and math.isfinite(errors[at]):
                ends = [(at + aside, value - errors[at]), (at + aside, value + errors[at])]
                chart.line(ends, LineStyle(_STYLES[name].name))
            chart.dot(at + aside, value, _STYLES[name].name, 3.5)
    return chart.body()


def _compared(study: Study, columns: list[str]) -> str:
    chart = _chart(study, [0.0, 1.0])
    for number, name in enumerate(columns):
        values = study.indices[name]
        largest = float(np.abs(values).max())
        for at, value in enumerate((values / largest if largest else values).tolist()):
            chart.dot(at + 0.2 * (number - (len(columns) - 1) / 2), value, _RANKED[name].name, 3.5)
    return chart.body()


def _suffice(study: Study) -> str:
    assert study.explained is not None
    assert study.leading is not None
    numbers = numbers_of(len(study.leading))
    chart = Chart(Axes(_SIZE, (0, numbers[-1]), [0.0, 1.0, *study.explained], "leading factors"))
    chart.level(ENOUGH)
    chart.line(list(zip(map(float, numbers), study.explained.tolist(), strict=True)), line_style(0))
    for number, share in zip(numbers, study.explained.tolist(), strict=True):
        chart.dot(number, share, line_style(0).name, 3)
    return chart.body()


def _blocks(study: Study, spec: StimulusSpec) -> str:
    """The optimum, and beside it the same, each block as visible as it counts."""
    assert study.factors.grid is not None
    values = next(study.indices[name] for name in _RANKED if name in study.indices)
    weights = np.clip(values, 0, None).reshape(study.factors.grid)
    share = weights / weights.max() if weights.max() > 0 else weights
    rows, columns = (np.arange(size) * side // size for size, side in zip(spec.shape[1:], study.factors.grid, strict=True))
    middle = (spec.low + spec.high) / 2
    faded = (middle + (study.stimulus - middle) * share[rows][:, columns]).astype(np.float32)
    return "".join(_picture(one, spec, 10 + number * (_MAP + 20)) for number, one in enumerate((study.stimulus, faded)))


def _picture(stimulus: NDArray[np.float32], spec: StimulusSpec, left: float) -> str:
    image = Image.fromarray(pixels(stimulus, spec.low, spec.high))
    scale = _MAP / max(image.size)
    size = f'width="{image.width * scale:g}" height="{image.height * scale:g}"'
    return f'<image x="{left:g}" y="10" {size} image-rendering="optimizeSpeed" href="{data_uri(png(image))}"/>'
