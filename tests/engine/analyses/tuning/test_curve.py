"""How far a sweep goes until a response is halved, and what can't be told."""

import numpy as np
import pytest
import torch
from scipy import stats

from actmax.engine.analyses.tuning.curve import Curve
from actmax.engine.analyses.tuning.sweeps import Sweep


def sweep(*values, middle):
    return Sweep("rotation", "rotation", "°", values, middle, lambda values: torch.zeros(len(values), 1, 1, 1))


def curve(responses, *values, middle):
    return Curve.of(sweep(*values, middle=middle), np.array(responses, float).reshape(len(values), -1), None)


def test_halves_lie_where_the_straight_lines_cross():
    found = curve([0, 6, 10, 8, 2], -20, -10, 0, 10, 30, middle=2)
    assert found.halved() == (pytest.approx(-10 - 10 / 6), pytest.approx(20.0))
    assert found.row()["strongest at"] == 0
    assert found.row()["mean ÷ own"] == pytest.approx(0.52)
    assert found.row()["limit"] == ""
    # of a unit that was driven down, a half is half of the way back to 0
    assert curve([-10, -2], 0, 8, middle=0).halved() == (None, pytest.approx(5.0))


def test_what_never_falls_below_a_half_is_said():
    found = curve([9, 10, 11], -1, 0, 1, middle=1)
    assert found.halved() == (None, None)
    assert found.row()["limit"] == "not halved below or above within −1 … 1 °"
    assert "below" not in str(curve([10, 2], 0, 5, middle=0).row()["limit"])


@pytest.mark.parametrize("responses", [[0.0, 0.0, 0.0], [3.0, 0.0, 2.0], [1.0, np.nan, 1.0]])
def test_a_silent_unit_has_no_half_and_no_nan(responses):
    row = curve(responses, -1, 0, 1, middle=1).row()
    assert row["limit"]
    assert row["halved below"] is row["halved above"] is row["mean ÷ own"] is None
    assert not any(isinstance(value, float) and np.isnan(value) for value in row.values())


def test_missed_trials_are_left_out_of_means_and_errors():
    responses = np.random.default_rng(0).normal(5, 1, (3, 6))
    responses[0, :] = np.nan
    responses[1, 2:4] = np.nan
    found = Curve.of(sweep(-1, 0, 1, middle=1), responses, None)
    assert np.allclose(found.means[1:], np.nanmean(responses[1:], 1))
    assert np.allclose(found.sems[1:], stats.sem(responses[1:], axis=1, nan_policy="omit"))
    assert "1 value not answered" in str(found.row()["limit"])


def test_noise_alone_is_no_response():
    noise = np.random.default_rng(1).normal(0.01, 1, (3, 8))
    assert Curve.of(sweep(-1, 0, 1, middle=1), noise, None).shares is None
