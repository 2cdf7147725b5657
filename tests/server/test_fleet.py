"""Two servers and four workers on one PostgreSQL under kills; ``benchmarks/service/fleet.py`` does that at length."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.service.fleet import run


def test_each_job_of_a_fleet_that_is_killed_ends_once_with_its_undisturbed_result(tmp_path, postgres):
    report = run(tmp_path, postgres(), jobs=20, pause=0.7, seed=2)
    assert sum(report["killed"].values()) >= 2
    assert report["lost"] == report["doubled"] == report["differing"] == 0
    assert report["attempts"] >= report["jobs"] == 20
