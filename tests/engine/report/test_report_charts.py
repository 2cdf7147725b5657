from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from actmax.charts.style import MUTED, line_style
from actmax.engine.report.charts import convergence_chart, convergence_overview, convergence_plot, mean_chart, series_chart
from actmax.engine.report.comparison import Comparison, best_so_far, mean_multiples
from actmax.models.spaces import StimulusSpec
from drawn import Drawn


def search_with(search, scores, **changes):
    return replace(search, scores=np.asarray(scores, np.float64), **changes)


def colored(png: bytes, color: str) -> np.ndarray:
    """Which pixels have the color; rows, columns."""
    image = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)
    return np.stack(np.nonzero(np.abs(image - np.array(tuple(bytes.fromhex(color[1:])))).max(-1) < 12))


def test_best_so_far_skips_missed_trials(make_job):
    search = search_with(make_job(1, 1).searches[0], [np.nan, 2, np.nan, 1, np.inf, 5])
    assert np.array_equal(best_so_far(search), [np.nan, 2, 2, 2, 2, 5], equal_nan=True)


def test_the_mean_multiple_keeps_the_last_value_of_a_search_that_ended_early(make_job):
    first, second, unknown, negative = make_job(4, 1).searches
    searches = [
        search_with(first, [1, 2, 4], natural_best=2.0),
        search_with(second, [np.nan, 3], natural_best=1.0),
        search_with(unknown, [100, 100, 100], natural_best=None),
        search_with(negative, [100, 100, 100], natural_best=-1.0),
    ]
    at, mean = mean_multiples(Comparison(searches), "protes")
    assert at.tolist() == [2, 3]
    assert mean.tolist() == [(2 / 2 + 3) / 2, (4 / 2 + 3) / 2]


def test_a_unit_plot_has_a_line_for_each_optimizer_and_one_for_nature(make_job):
    comparison = Comparison(make_job(1, 3).searches)
    png = convergence_plot(comparison, "lif_out[0]")
    for column in range(3):
        assert colored(png, line_style(column).color).shape[1] > 300
    grey = colored(png, MUTED)
    rows = np.bincount(grey[0])
    without = colored(
        convergence_plot(Comparison([replace(search, natural_best=None) for search in comparison.searches]), "lif_out[0]"), MUTED
    )
    # The axis is the other long grey line.
    assert (rows > 300).sum() > (np.bincount(without[0]) > 300).sum()


def test_the_overview_has_a_mean_panel_only_where_nature_is_known(make_job):
    known = Image.open(io.BytesIO(convergence_overview(Comparison(make_job(7, 2).searches))))
    unknown = Image.open(io.BytesIO(convergence_overview(Comparison(make_job(7, 2, natural=None).searches))))
    assert known.width == unknown.width
    assert known.height > unknown.height + 300


@pytest.mark.parametrize("units", [1, 2, 5, 61])
def test_the_overview_scales(make_job, units):
    image = Image.open(io.BytesIO(convergence_overview(Comparison(make_job(units, 2, evaluations=3).searches))))
    assert image.width < 2200


@pytest.mark.parametrize("scores", [[1.0], [np.nan, np.nan], [3.0, 3.0, 3.0], [-1e9, 1e9], [1e-12, 2e-12], [0.0]])
def test_odd_curves_are_drawn(make_job, scores):
    job = make_job(1, 1)
    for response in (float("nan"), 2.0):
        comparison = Comparison([search_with(job.searches[0], scores, response=response)])
        assert convergence_plot(comparison, "lif_out[0]").startswith(b"\x89PNG")
        assert convergence_overview(comparison).startswith(b"\x89PNG")
        drawn = Drawn(convergence_chart(comparison, "lif_out[0]"))
        assert all(0 <= at <= 360 for at in drawn.x_ticks.values())
        assert "nan" not in "".join(line.path for line in drawn.lines)


def test_a_chart_draws_the_curve_that_it_is_given(make_job):
    search = search_with(make_job(1, 1).searches[0], [1, 1, 4, 2, np.nan, 8, 3, 3, 3, 3], response=6.0, natural_best=5.0)
    drawn = Drawn(convergence_chart(Comparison([search]), "lif_out[0]"))
    level, curve = drawn.lines
    assert [(round(x), round(y, 1)) for x, y in drawn.values(curve.path)] == [(1, 1), (3, 1), (3, 4), (6, 4), (6, 8), (10, 8)]
    assert {y for _, y in drawn.values(level.path)} == {5.0}
    assert level.color == "muted"
    assert drawn.value(*drawn.dots[0]) == pytest.approx((10, 6), abs=0.1)
    assert "protes reached 8" in drawn.says
    assert "best natural response is 5" in drawn.says


def test_a_long_steady_climb_stays_small(make_job):
    search = search_with(make_job(1, 1).searches[0], np.linspace(0, 1, 100_000))
    assert len(convergence_chart(Comparison([search]), "lif_out[0]").svg()) < 20_000


def test_there_is_a_mean_chart_only_where_nature_is_known(make_job):
    assert mean_chart(Comparison(make_job(2, 2, natural=None).searches)) is None
    chart = mean_chart(Comparison(make_job(2, 2).searches))
    assert chart is not None
    assert [line.color for line in Drawn(chart).lines] == ["muted", "c0", "c1"]


def test_a_series_chart_has_a_line_a_channel():
    spec = StimulusSpec((3, 20), -1, 1, "series")
    drawn = Drawn(series_chart(np.zeros(spec.shape, np.float32), spec, "says"))
    assert drawn.says == "says"
    assert len(drawn.lines) == 3
    assert drawn.lines[0].path.count("L") == 19


def test_plots_of_scores_do_not_call_them_responses(make_job):
    responses = make_job(1, 1).searches
    scores = [replace(search, score=search.response, natural_best=None) for search in responses]
    responses = [replace(search, natural_best=None) for search in responses]
    assert "best score so far" in Drawn(convergence_chart(Comparison(scores), "lif_out[0]", labelled=True)).texts
    # the same numbers, so that words alone can differ
    for draw in (convergence_overview, lambda comparison: convergence_plot(comparison, "lif_out[0]")):
        assert draw(Comparison(responses)) != draw(Comparison(scores))
