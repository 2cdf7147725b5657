"""MATLAB's calls through its Python bridge, with the types that MATLAB passes; MATLAB itself is not here.

Conversions as in https://www.mathworks.com/help/matlab/matlab_external/passing-data-to-python.html: doubles are floats, int64 are ints,
rows of doubles array.array, matrices memoryview, cells lists.
"""

from __future__ import annotations

import array
import importlib
import json
import re
from pathlib import Path

import numpy as np
import pytest

from actmax.client import Session
from actmax.client.sessions.trials import fetch_trials

PAGE = (Path(__file__).parents[2] / "docs/rigs.md").read_text()
RECIPE = next(block for block in re.findall(r"```matlab\n(.*?)```", PAGE, re.DOTALL) if "py." in block)
SESSION_CALLS = set(re.findall(r"\bs\.(\w+)", PAGE.split("## MATLAB")[1].split("## Lab")[0]))

SPEC = {"generator": "toy_lab:decoder", "stop": {"evaluations": 40}, "design": {"generation_size": 10}, "seed": 1, "optimizer": "random"}


def row(values) -> array.array:
    """A row of doubles."""
    return array.array("d", [float(value) for value in values])


def matrix(values) -> memoryview:
    """A matrix of doubles, column by column."""
    return np.asfortranarray(values, dtype=np.float64).data


def test_every_name_of_the_recipe_exists():
    names = set(re.findall(r"\bpy\.([A-Za-z_][\w.]*)", RECIPE)) - {"NoneType"}
    assert {"actmax.client.Session.create", "json.loads", "numpy.array"} <= names
    for name in names:
        module, *rest = name.split(".")
        found = importlib.import_module(module)
        for at, part in enumerate(rest):
            path = ".".join([module, *rest[: at + 1]])
            found = getattr(found, part) if hasattr(found, part) else importlib.import_module(path)
    assert {"ask", "tell", "tell_trial", "advance", "close", "described", "name"} <= SESSION_CALLS
    assert all(hasattr(Session, call) for call in SESSION_CALLS)


@pytest.mark.parametrize("units", [1, 2])
def test_the_recipe_runs_with_matlabs_types(server, units):
    # jsonencode writes a cell of structs as a list of objects
    spec = json.loads(json.dumps(SPEC | {"units": [{"name": f"ch{at}", "kind": "count"} for at in range(units)]}))
    s = Session.create(spec, server.address)
    told = {}
    step = 0
    while (g := s.ask()) is not None:
        trials = np.array(g.trials)  # py.numpy.array
        assert trials.dtype == np.int64  # int64(…) takes it
        pictures = np.transpose(np.asfortranarray(g.stimuli), (2, 3, 1, 0))  # permute(…, [3 4 2 1])
        assert pictures.shape == (6, 6, 3, len(trials))
        assert pictures.dtype == np.float32  # single(…)
        counts = np.round(20 * pictures.mean((0, 1, 2)))[:, None] + np.arange(units)
        step += 1
        if step == 1:  # trial by trial: int64 is an int, a double a float, a row an array
            for k, trial in enumerate(trials.tolist()):
                s.tell_trial(trial, row(counts[k]) if units > 1 else float(counts[k, 0]), onset=float(trial), offset=trial + 0.1)
        elif step == 2:  # the second half is missed
            counts[len(counts) // 2 :] = np.nan
            s.tell(matrix(counts))
        else:
            s.tell(row(counts[:, 0]) if units == 1 else matrix(counts))
        told |= {int(trial): counts[k] for k, trial in enumerate(trials)}
    found = s.described.recommendation
    assert isinstance(found.response, float)
    s.close()
    kept = fetch_trials(s.name, server.address)
    np.testing.assert_array_equal(kept.responses, np.array([told[trial] for trial in kept.trial.tolist()]))
    assert "missed" in kept.status


def test_a_double_is_no_trial(server):
    spec = SPEC | {"units": ["ch0"]}
    with Session.create(spec, server.address) as s:
        g = s.ask()
        assert g is not None
        with pytest.raises(TypeError):
            s.tell_trial(float(g.trials[0]), 3.0)  # type: ignore[arg-type]
        s.tell_trial(g.trials[0], 3.0)
