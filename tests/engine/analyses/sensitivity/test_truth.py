"""Global indices of functions of which they are known, within SALib's own intervals."""

import math

import numpy as np
import pytest

from actmax.engine.analyses.sensitivity.analysis import Sensitivity
from actmax.engine.maximize import maximize
from actmax.models.spaces import StimulusSpec
from actmax.models.targets.function import FunctionTarget

WEIGHTS = np.array([4.0, 2.0, 1.0, 0.0])


def ishigami(x):
    a, b, c = x[:, 0].T
    return np.sin(a) + 7 * np.sin(b) ** 2 + 0.1 * c**4 * np.sin(a)


def linear(x):
    return x[:, 0] @ WEIGHTS


def found(function, spec, **options):
    target = FunctionTarget({"y": function}, spec)
    given = Sensitivity(Sensitivity.Options(**options))
    result = maximize("pixel", target, "y", optimizer="random", evaluations=4, analyses=[given])
    assert result.notices == ()
    return {section.title: section for section in result.sections if section.title in ("Sensitivity", "Interactions", "How many suffice")}


def column(section, name):
    return np.array([row[name] for row in section.rows], float)


def test_indices_of_the_ishigami_function():
    """Ishigami and Homma, 1990: V = a²/8 + bπ⁴/5 + b²π⁸/18 + 1/2 for a = 7, b = .1."""
    spec = StimulusSpec((1, 3), -math.pi, math.pi, "series")
    sections = found(ishigami, spec, samples=1024, methods=["sobol", "fast", "morris", "pawn"], local=False)
    variance = 49 / 8 + 0.1 * math.pi**4 / 5 + 0.01 * math.pi**8 / 18 + 0.5
    alone = np.array([(1 + 0.1 * math.pi**4 / 5) ** 2 / 2, 49 / 8, 0]) / variance
    both = 0.01 * math.pi**8 * (1 / 18 - 1 / 50) / variance
    total = alone + np.array([both, 0, both])
    section = sections["Sensitivity"]
    for name, truth in (("S1", alone), ("ST", total)):
        assert np.all(np.abs(column(section, name) - truth) <= column(section, f"{name} ±")), name
    assert column(section, "FAST S1") == pytest.approx(alone, abs=0.02)
    assert column(section, "FAST ST") == pytest.approx(total, abs=0.05)
    assert column(section, "PAWN").argmax() == 1
    assert column(section, "Morris μ*").argmin() == 2
    pairs = sections["Interactions"]
    truth = {"0 and 2": both, "0 and 1": 0.0, "1 and 2": 0.0}
    assert pairs.rows[0]["factors"] == "0 and 2"
    errors = column(pairs, "S2") - [truth[str(row["factors"])] for row in pairs.rows]
    assert np.all(np.abs(errors) <= column(pairs, "S2 ±"))


def test_indices_of_a_linear_table():
    sections = found(linear, StimulusSpec((1, 4), 0.0, 2.0, "series"), samples=512, methods=["sobol", "morris"])
    section = sections["Sensitivity"]
    shares = WEIGHTS**2 / (WEIGHTS**2).sum()
    for name in ("S1", "ST"):
        assert np.all(np.abs(column(section, name) - shares) <= column(section, f"{name} ±") + 1e-9), name
    assert column(section, "Morris μ*") == pytest.approx(2 * WEIGHTS, rel=1e-5)
    assert column(section, "Morris σ") == pytest.approx(np.zeros(4), abs=1e-4)
    assert column(section, "slope") == pytest.approx(WEIGHTS, abs=1e-3)
    leading = sections["How many suffice"]
    assert [row["last of them"] for row in leading.rows] == ["", "0", "1", "2", "3"]
    assert column(leading, "r²") == pytest.approx(np.cumsum([0.0, *shares]), abs=0.06)
    assert "y: 2 factors of 4 bring 90 % of the variance." in leading.notes
