"""The server and the client of a session killed at random instants; ``benchmarks/sessions/kills.py`` does that at length."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.sessions.kills import SPEC, disturb


def test_a_session_whose_ends_are_killed_loses_no_trial_and_shows_the_same_stimuli(tmp_path):
    spec = SPEC | {"stop": {"evaluations": 120}}
    report = disturb(tmp_path, kills=3, seed=4, spec=spec)
    assert sum(report["kills"].values()) == 3
    assert report["lost"] == report["doubled"] == report["differing"] == 0
