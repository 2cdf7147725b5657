"""A unit's tuning as a sheet of curves, each above the stimuli that it went through."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from ....charts.chart import Axes, Chart
from ....charts.document import Key, to_png
from ....charts.panels import Panel, panel_sheet
from ....charts.pictures import data_uri, pixels, png
from ....charts.style import LEVEL, LineStyle, line_style
from ....models.spaces import StimulusSpec
from .curve import Curve
from .sweeps import tick_texts

_SIZE = (250, 170)
_SHOWN = (4, 3, 2)
"""Parts that a curve is cut into, equal ones where it can be; the values at their ends are named and shown below it."""
_PICTURE = 40
"""Largest side of a picture below a curve, in pixels."""
_ZOOM = 1.5
_RESPONSE, _MAP = line_style(0), LineStyle("c1", (3, 2))


def tuning_sheet(title: str, curves: Sequence[Curve], spec: StimulusSpec) -> bytes:
    """Return curves as a PNG file: the response as a share of that to the optimum, with its standard error, and the equivariance.

    Parameters
    ----------
    title : str
        The unit and what was changed.
    curves : sequence of Curve
        Of one optimum, at least one; all have :attr:`Curve.shares`.
    spec : StimulusSpec
        Of the stimuli.
    """
    keys = [Key("response ÷ that to the optimum", _RESPONSE), Key("half", LEVEL)]
    if any(curve.equivariance is not None for curve in curves):
        keys.append(Key("equivariance: correlation of the unit's map with the moved one", _MAP))
    panels = [Panel(f"{curve.sweep.title}, {curve.sweep.unit}", *_panel(curve, spec)) for curve in curves]
    return to_png(panel_sheet(title, panels, 3 if len(panels) in (5, 6, 9) else 4, keys), _ZOOM)


def _panel(curve: Curve, spec: StimulusSpec) -> tuple[str, tuple[int, int]]:
    """One curve as SVG elements, and its size."""
    shares, sweep = curve.shares, curve.sweep
    assert shares is not None, "a curve is drawn where the optimum is answered"
    errors = np.nan_to_num(np.abs(curve.sems / curve.own))
    turned = np.full(len(shares), np.nan) if curve.equivariance is None else curve.equivariance
    heights = [0.0, 1.0, *(shares - errors), *(shares + errors), *turned]
    last = len(shares) - 1
    chart = Chart(Axes(_SIZE, (0, last), heights, places=True))
    chart.level(0.5)
    if bool(errors.any()):
        for run in _runs(shares):
            chart.band([(at, shares[at] - errors[at], shares[at] + errors[at]) for at in run], _RESPONSE.name)
    for values, style in ((turned, _MAP), (shares, _RESPONSE)):
        for run in _runs(values):
            chart.line([(at, float(values[at])) for at in run], style)
    chart.dot(sweep.middle, 1.0, _RESPONSE.name)
    parts = next((parts for parts in _SHOWN if last % parts == 0), min(last, 2))
    places = sorted({last * part // parts for part in range(parts + 1)})
    for at, text in zip(places, tick_texts([sweep.values[at] for at in places]), strict=True):
        chart.name_place(at, text, "muted")
    if spec.modality != "image":
        return chart.body(), _SIZE
    values = torch.tensor([sweep.values[at] for at in places], dtype=torch.float64)
    pictures = [_picture(stimulus, spec) for stimulus in sweep.change(values).numpy()]
    high = max(picture.height for picture in pictures)
    below = [_placed(picture, chart.x(at), _SIZE[1] - 8) for at, picture in zip(places, pictures, strict=True)]
    return chart.body() + "".join(below), (_SIZE[0], _SIZE[1] + high)


def _runs(values: NDArray[np.float64]) -> list[list[int]]:
    """Places of neighbouring values that are known."""
    known = np.flatnonzero(np.isfinite(values))
    return [run.tolist() for run in np.split(known, np.flatnonzero(np.diff(known) > 1) + 1) if run.size]


def _picture(stimulus: NDArray[np.float32], spec: StimulusSpec) -> Image.Image:
    made = Image.fromarray(pixels(stimulus, spec.low, spec.high)).convert("RGB")
    share = _PICTURE / max(made.size)
    size = (max(1, round(made.width * share)), max(1, round(made.height * share)))
    return made.resize(size, Image.Resampling.BOX if share < 1 else Image.Resampling.NEAREST)


def _placed(picture: Image.Image, middle: float, top: float) -> str:
    """A picture as an SVG element, centred at ``middle``."""
    left = middle - picture.width / 2
    place = f'x="{left:g}" y="{top:g}" width="{picture.width}" height="{picture.height}"'
    return f'<image {place} href="{data_uri(png(picture))}"/>'
