import json
import sys
from datetime import datetime
from importlib.metadata import version

import numpy as np
import pytest
import torch
from torch import nn

from actmax.engine.jobs.provenance import command_line, weights_digest
from actmax.engine.maximize import maximize
from actmax.engine.results.reading import read_result


def network(seed):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The same job twice, and one with another network."""
    folder = tmp_path_factory.mktemp("runs")
    found = {}
    for name, seed in (("one", 1), ("again", 1), ("other", 2)):
        job = {"target_options": {"shape": [3, 8, 8]}, "optimizer": "random", "evaluations": 4, "device": "cpu", "seed": 5}
        found[name] = maximize("pixel", network(seed), ["4[1]"], folder=folder / name, **job)
    return folder, found


def test_a_result_says_what_it_was_made_by(runs):
    folder, found = runs
    told = found["one"].provenance
    assert (told["actmax"], told["packages"]["torch"], told["packages"]["numpy"]) == (version("actmax"), version("torch"), np.__version__)
    assert (told["seed"], told["device"], told["threads"]) == (5, "cpu", torch.get_num_threads())
    assert datetime.fromisoformat(told["date"]).tzinfo is not None
    assert told["command"] == command_line()
    assert json.loads((folder / "one/artifacts/result.json").read_text())["provenance"] == told
    page = (folder / "one/artifacts/report.html").read_text()
    assert f"actmax {told['actmax']}" in page
    assert told["weights_sha256"]["target"][:16] in page
    assert read_result(folder / "one/artifacts").provenance == told


def test_weights_and_jobs_are_told_apart_by_their_digests(runs):
    _, found = runs
    one, again, other = (found[name].provenance for name in ("one", "again", "other"))
    assert one["weights_sha256"] == again["weights_sha256"]
    assert one["weights_sha256"]["target"] != other["weights_sha256"]["target"]
    assert one["job_sha256"] == again["job_sha256"]
    for change in ("4.weight", "1.running_mean", "1.num_batches_tracked"):
        changed = network(1)
        before = weights_digest(changed)
        changed.state_dict()[change].add_(1)
        assert weights_digest(changed) != before


def test_equal_runs_give_equal_arrays(runs):
    folder, _ = runs
    with np.load(folder / "one/artifacts/arrays.npz") as one, np.load(folder / "again/artifacts/arrays.npz") as again:
        assert set(one) == set(again)
        assert all(one[name].tobytes() == again[name].tobytes() for name in one)
        assert json.loads(str(one["provenance"]))["seed"] == 5


@pytest.mark.parametrize(
    "part", [lambda stimuli: stimuli, nn.Identity(), nn.Linear(2, 2, device="meta")], ids=["no module", "no tensors", "no storage"]
)
def test_what_has_no_readable_weights_has_no_digest(part):
    assert weights_digest(part) == ""


def test_the_command_line_names_the_program_without_its_folder(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/opt/bin/actmax", "run", "my job.yaml"])
    assert command_line() == "actmax run 'my job.yaml'"
    monkeypatch.setattr(sys, "argv", [""])
    assert command_line() == ""
