"""Marks stand where their values are, in charts that stand alone and say what they show."""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ET
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from actmax.charts.chart import Axes, Chart, css_rules, swatch, ticks
from actmax.charts.document import Key, document, legend, placed, to_png
from actmax.charts.style import DARK_COLORS, LIGHT_COLORS, LineStyle, css_variables, line_style
from drawn import Drawn, corners

AXES = Axes((400, 200), (0, 10), [0, 5], "time", "spikes")


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-3.2, 7.9), (1e-9, 2e-9), (1e-12, 2e-12), (0, 123456), (5, 5), (-1e9, 1e9)])
def test_ticks_are_round_and_within(low, high):
    found = ticks(low, high, 5)
    assert 1 <= len(found) <= 7
    assert len(set(found)) == len(found)
    assert all(low <= value <= high for value in found)


def test_a_line_goes_where_the_ticks_say():
    chart = Chart(AXES)
    chart.line([(0, 0), (5, 5), (10, 2)], line_style(0))
    drawn = Drawn(chart)
    assert drawn.values(drawn.lines[0].path) == [(0, 0), (5, 5), (10, 2)]


def test_steps_keep_each_value_until_the_next():
    chart = Chart(AXES)
    chart.steps([(0, 1), (3, 4), (3.001, 4.001), (10, 4)], line_style(1))
    drawn = Drawn(chart)
    assert drawn.values(drawn.lines[0].path) == [(0, 1), (3, 1), (3, 4), (10, 4)]
    assert drawn.lines[0].dashes == "10 3.2"


def test_what_lies_outside_the_axes_is_drawn_at_their_ends():
    chart = Chart(AXES)
    assert chart.y(1e9) == chart.top
    assert chart.y(-1e9) == chart.bottom


def test_values_above_zero_do_not_make_room_below_it():
    near, far = Chart(Axes((400, 200), (0, 1), [0.2, 5])), Chart(Axes((400, 200), (0, 1), [4.9, 5]))
    assert near.y(0) == near.bottom > near.y(0.2)
    assert far.y(4.9) < far.bottom


@pytest.mark.parametrize("values", [[], [float("nan")], [3, 3], [0, 0], [-1e9, 1e9], [1e-12, 2e-12]])
def test_odd_ranges_have_ticks_within_the_axes(values):
    drawn = Drawn(Chart(Axes((300, 200), (5, 5), values)))
    assert drawn.y_ticks
    assert all(0 <= at <= 200 for at in drawn.y_ticks.values())


def test_ticks_of_near_values_read_differently():
    drawn = Drawn(Chart(Axes((300, 200), (0, 1), [100000.1, 100000.3])))
    assert len(drawn.y_ticks) > 2


def test_names_that_would_touch_are_moved_apart():
    chart = Chart(Axes((400, 200), (0, 1), [0, 5], right=100))
    for name, value in (("a", 2), ("b", 2.01), ("c", 5)):
        chart.name_line(value, name, "c0")
    texts = {text.text: float(text.get("y", "")) for text in Drawn(chart).elements("text")}
    heights = sorted(texts[name] for name in "abc")
    assert all(lower - upper >= 16 for upper, lower in pairwise(heights))
    assert texts["c"] < texts["a"]


def test_a_cross_stands_at_its_mean_over_its_error():
    chart = Chart(AXES)
    chart.cross(5, 3, 1, "c1")
    chart.cross(5, 3, float("nan"), "c2")
    drawn = Drawn(chart)
    upright = re.search(r"M(\S+) (\S+)V(\S+)", drawn.lines[0].path)
    assert upright
    assert [float(part) for part in upright.groups()] == [chart.x(5), chart.y(2), chart.y(4)]
    assert "V" not in drawn.lines[1].path


def test_text_stays_text_and_is_well_formed():
    hostile = "</text><script>&\"'\x00"
    chart = Chart(Axes((400, 200), (0, 1), [0, 1], hostile, hostile), hostile)
    svg = ET.fromstring(chart.svg())
    assert svg.get("aria-label") == hostile.replace("\x00", "\ufffd")
    assert not list(svg.iter("script"))
    assert sum(text.text == hostile.replace("\x00", "\ufffd") for text in svg.iter("text")) == 2


def test_a_document_names_its_colours_and_stands_alone():
    chart = Chart(AXES)
    chart.line([(0, 0), (10, 5)], line_style(0))
    svg = document((400, 200), [chart.body()])
    assert "var(" not in svg
    assert ET.fromstring(svg).tag == "{http://www.w3.org/2000/svg}svg"
    assert LIGHT_COLORS["c0"] in svg


def test_every_colour_of_the_rules_is_light_and_dark():
    used = set(re.findall(r"var\(--(\w+)\)", css_rules()))
    assert used <= set(LIGHT_COLORS)
    assert list(LIGHT_COLORS) == list(DARK_COLORS)
    assert css_variables({"c0": "#123456"}) == "--c0: #123456;"
    assert all(line.startswith(".page .") for line in css_rules(".page").splitlines())


def test_a_png_shows_what_the_document_says():
    chart = Chart(AXES)
    chart.line([(0, 2), (10, 2)], LineStyle("c1"))
    chart.dot(5, 4, "c2", 6)
    image = pixels(to_png(document((400, 200), [placed(chart.body(), 0, 0)]), 2))
    assert image.shape == (400, 800, 3)

    def middle(name: str) -> tuple[float, float]:
        color = np.array(tuple(bytes.fromhex(LIGHT_COLORS[name][1:])))
        rows, columns = np.nonzero(np.abs(image - color).max(-1) < 12)
        return float(columns.mean() / 2), float(rows.mean() / 2)

    assert middle("c1") == pytest.approx(((chart.x(0) + chart.x(10)) / 2, chart.y(2)), abs=1)
    assert middle("c2") == pytest.approx((chart.x(5), chart.y(4)), abs=1)


def test_letters_of_many_scripts_are_drawn_without_fonts_of_the_system():
    def ink(text: str) -> int:
        chart = Chart(Axes((400, 200), (0, 1), [0, 1], text))
        return int((pixels(to_png(document((400, 200), [chart.body()]))) < 200).any(-1).sum())

    assert ink("ä÷×−αЖ") > ink("") + 100


def test_a_legend_has_as_many_rows_as_its_width_needs():
    keys = [Key(f"optimizer {number}", line_style(number)) for number in range(6)]
    _, one = legend(keys, 2000)
    body, more = legend(keys, 300)
    assert more == 3 * one
    texts = [text.text for text in ET.fromstring(f"<g>{body}</g>").iter("text")]
    assert texts == [key.text for key in keys]


def test_a_swatch_looks_like_its_line():
    path = ET.fromstring(swatch(line_style(1))).find("path")
    assert path is not None
    assert path.get("class") == "line c1"
    assert corners(path.get("d", "")) == [(1, 5), (27, 5)]


def test_styles_differ_by_color_or_dashes_and_neighbors_by_both():
    styles = [line_style(column) for column in range(24)]
    assert len(set(styles)) == 24
    for one, other in pairwise(styles):
        assert one.color != other.color
        assert one.dashes != other.dashes
