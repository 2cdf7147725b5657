"""The Node.js plugin of ``examples/node``: a neuron in another language, searched by a job of a real server."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

from actmax.models.plugins.connection import PluginError
from actmax.models.targets.remote import RemoteTarget
from actmax.models.targets.testing import check_target

ROOT = Path(__file__).parents[2]
SIZE = 16

pytestmark = pytest.mark.skipif(shutil.which("npm") is None, reason="Node.js is not installed")


@pytest.fixture(scope="module")
def neuron(example):
    """Its address."""
    command = ["node", "neuron.mjs", "--address", "127.0.0.1:0", "--size", str(SIZE), "--protos", str(ROOT / "protos")]
    with started(command, cwd=example) as address:
        yield address


@contextmanager
def started(command, **settings):
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **settings) as running:
        assert running.stdout is not None
        said = re.search(r"serving on ([^\s,]+)", running.stdout.readline())
        assert said is not None
        yield said[1]
        running.terminate()


def test_it_keeps_the_contract_and_prefers_its_orientation(neuron: str) -> None:
    target = RemoteTarget.from_options(RemoteTarget.Options(address=f"grpc://{neuron}"))
    check_target(target)
    assert [target.unit_name("v1", (unit,)) for unit in range(4)] == ["0 degrees", "45 degrees", "90 degrees", "135 degrees"]
    x = (torch.arange(SIZE) + 0.5) / SIZE - 0.5
    bars = 0.5 + 0.5 * torch.cos(2 * torch.pi * 4 * x)
    upright, lying = bars.expand(3, SIZE, SIZE), bars[:, None].expand(3, SIZE, SIZE)
    answers = target.respond(torch.stack([upright, lying]), {"v1"})["v1"]
    assert answers.argmax(1).tolist() == [0, 2]
    target.version = "2"
    with pytest.raises(PluginError, match="this is version 1, 2 was asked"):
        target.respond(torch.zeros(1, 3, SIZE, SIZE), {"v1"})


def test_a_job_of_a_server_finds_what_it_prefers(neuron: str, tmp_path: Path) -> None:
    allowed = ["--allow-import", f"grpc://{neuron}"]
    server = [sys.executable, "-m", "actmax.client.cli", "serve", "--address", "127.0.0.1:0", "--data", str(tmp_path / "data"), *allowed]
    job = tmp_path / "job.json"
    plain = {
        "generator": {"name": "pixel"},
        "target": {"name": "remote", "options": {"address": f"grpc://{neuron}"}},
        "units": ["v1[1]"],
        "optimizer": {"name": "cma"},
        "prior": "none",
        "budget": {"evaluations": 300},
        "seed": 1,
    }
    job.write_text(json.dumps(plain))
    with started(server, cwd=tmp_path, env=os.environ | {"OMP_NUM_THREADS": "1"}) as address:
        submit = ["submit", str(job), "--server", address, "--watch", "--out", str(tmp_path / "found")]
        done = subprocess.run(
            [sys.executable, "-m", "actmax.client.cli", *submit], capture_output=True, text=True, timeout=250, check=False
        )
    assert done.returncode == 0, done.stderr
    (search,) = json.loads((tmp_path / "found/result.json").read_text())["searches"]
    with np.load(tmp_path / "found/arrays.npz") as arrays:
        ((scores,),) = (value for key, value in arrays.items() if key.endswith("scores"))
    assert len(scores) == 300
    assert search["response"] > 2 * np.median(scores[:10])
