"""Servers and workers killed at random instants; ``benchmarks/service/kills.py`` does that at length."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.service.kills import Campaign, disturb


def test_killed_jobs_end_with_the_bits_of_undisturbed_ones(tmp_path):
    amount = {"kills": 3, "families": ("xdream",), "evaluations": 6000, "pause": 2.0}
    report = disturb(tmp_path, "", Campaign(**amount, seed=1, workers=1, share=0.35, spare=0, standby=False))
    assert sum(report["killed"].values()) >= 3
    assert report["differing"] == report["lost"] == report["doubled"] == 0
    assert report["attempts"] > report["jobs"]
