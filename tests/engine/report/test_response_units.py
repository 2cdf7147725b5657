"""Responses have their unit on axes, in tables and in files, where the target knows it."""

import json

import pytest
from torch import nn

from actmax.client.jobs.results import table
from actmax.engine.maximize import maximize
from actmax.engine.report.charts import convergence_chart
from actmax.engine.report.comparison import Comparison
from actmax.engine.results.reading import read_result


@pytest.mark.parametrize(
    ("target", "unit", "options", "expected"),
    [
        ("cifar10-snn", "lif_out[3]", {}, "spikes"),
        ("cifar10-snn", "lif_out[3]", {"readout": "rate"}, "spikes per step"),
        ("cifar10-snn", "lif_out[3]", {"readout": "latency"}, ""),
        ("cifar10-cnn", "fc[3]", {}, "logit"),
        ("cifar10-cnn", "layer1.conv1[2]", {}, ""),
    ],
)
def test_a_search_says_what_its_response_is_measured_in(target, unit, options, expected):
    result = maximize("pixel", target, unit, target_options=options, optimizer="random", evaluations=2, device="cpu")
    assert result.searches[0].response_unit == expected
    assert repr(result.searches[0]).splitlines()[0].partition(" (")[0].endswith(expected)


def test_files_and_pages_have_the_unit(tmp_path):
    maximize("pixel", "cifar10-snn", "lif_out[3]", optimizer="random", evaluations=2, device="cpu", folder=tmp_path)
    found = json.loads((tmp_path / "artifacts/result.json").read_text())
    assert found["searches"][0]["response_unit"] == "spikes"
    assert read_result(tmp_path / "artifacts").searches[0].response_unit == "spikes"
    page = (tmp_path / "artifacts/report.html").read_text()
    assert page.count(" spikes") >= 2
    cells = [str(cell) for column in table(found).columns for cell in column.cells]
    assert any(" spikes" in cell for cell in cells)


def test_a_module_has_no_unit_unless_it_is_known():
    module = nn.Sequential(nn.Flatten(), nn.Linear(12, 2))
    given = {"shape": [3, 2, 2]}
    result = maximize("pixel", module, "1[0]", target_options=given, optimizer="random", evaluations=2, device="cpu")
    assert result.searches[0].response_unit == ""


def test_axes_have_the_unit_where_all_searches_share_it():
    result = maximize("pixel", "cifar10-snn", ["lif_out[3]", "conv2[1]"], optimizer="random", evaluations=2, device="cpu")
    comparison = Comparison(result.searches)
    assert comparison.measure(["lif_out[3]"]) == "response (spikes)"
    assert comparison.measure(["conv2[1]"]) == "response"
    assert "best response (spikes) so far" in convergence_chart(comparison, "lif_out[3]", labelled=True).body()
