"""The script of GPU figures runs at small sizes on a CPU; its page says "not measured" until a GPU was."""

import json
import os
import subprocess
import sys

import pytest

from benchmarks.gpu import NOT_MEASURED, PAGE, RESULTS, joined, page, table

PARTS = ("spiking", "step", "step-trained", "units", "units-224", "latency")


def test_the_page_has_the_stored_figures():
    text = PAGE.read_text("utf-8")
    results = json.loads(RESULTS.read_text()) if RESULTS.is_file() else None
    assert page(text, results) == text
    if results is None:
        assert text.count(f"| {NOT_MEASURED} |") == len(table(None).splitlines()) - 4
    else:
        assert not results["small"]
        assert not any(str((part["figures"] or {}).get("device", "")).startswith("CPU") for part in results["parts"].values())


def test_a_part_that_failed_is_named_and_the_others_have_their_figures(tmp_path):
    (tmp_path / "ended").write_text("spiking 124 140\nunits 0 31\n")
    (tmp_path / "units.json").write_text(json.dumps({"device": "A GPU", "torch": "2", "median_ratio": 0.25}))
    text = table(joined(tmp_path, small=False))
    assert "On: A GPU, torch 2" in text
    assert "| 64 units in one job ÷ 64 jobs, 32 px | 0.250 |" in text
    assert "failed (exit code 124 after 140 s)" in text
    assert f"EfficientNet-lite0, 224 px | {NOT_MEASURED} |" in text


@pytest.mark.nightly
def test_the_script_runs_on_a_cpu_at_small_sizes(tmp_path):
    root, before = PAGE.parents[1], PAGE.read_bytes()
    command = ["bash", "benchmarks/gpu.sh", "--small", "--device", "cpu", "--out", str(tmp_path / "figures.json")]
    done = subprocess.run(command, cwd=root, env=os.environ | {"PYTHON": sys.executable}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "figures.json").read_text())
    assert results["small"]
    assert tuple(results["parts"]) == PARTS
    assert all(part["figures"] for part in results["parts"].values())
    assert "failed" not in done.stdout
    assert NOT_MEASURED not in done.stdout
    assert PAGE.read_bytes() == before


def test_an_unknown_option_is_refused():
    done = subprocess.run(["bash", "benchmarks/gpu.sh", "--fast"], cwd=PAGE.parents[1], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "there are --small, --device and --out" in done.stderr
