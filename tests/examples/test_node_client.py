"""The Node.js client of ``examples/node``, against a real server: gRPC from the plain protos."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NO_NETWORK = re.compile(r"\b(ENOTFOUND|EAI_AGAIN|ETIMEDOUT|ECONNREFUSED|ENETUNREACH)\b")
JOB = {
    "title": "From Node.js",
    "generator": {"name": "toy_lab:decoder"},
    "target": {"name": "toy_lab:network"},
    "units": ["4[0]", "4[2]"],
    "optimizer": {"name": "adam", "options": {"batch": 4, "betas": [0.8, 0.9], "schedule": "cosine"}},
    "baselines": [{"name": "random"}],
    "budget": {"evaluations": 80},
    "seed": 2,
}

pytestmark = pytest.mark.skipif(shutil.which("npm") is None, reason="Node.js is not installed")


@pytest.fixture(scope="module")
def example(tmp_path_factory) -> Path:
    """A copy of the example with its packages installed."""
    folder = tmp_path_factory.mktemp("node") / "node"
    shutil.copytree(ROOT / "examples/node", folder, ignore=shutil.ignore_patterns("node_modules", "found"))
    done = subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=folder, capture_output=True, text=True, timeout=200, check=False)
    if done.returncode and NO_NETWORK.search(done.stderr):
        pytest.skip("the npm registry cannot be reached")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """Of a server over the toy lab."""
    command = [sys.executable, "-m", "actmax.client.cli", "serve", "--address", "127.0.0.1:0", "--allow-import", "toy_lab"]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "tests/fixtures"), "OMP_NUM_THREADS": "1"}
    data = tmp_path_factory.mktemp("server") / "data"
    with subprocess.Popen([*command, "--data", str(data)], stdout=subprocess.PIPE, env=environment, text=True) as server:
        assert server.stdout is not None
        said = re.search(r"serving on ([^\s,]+)", server.stdout.readline())
        assert said is not None
        yield said[1]
        server.terminate()


def node(example: Path, address: str, job: dict[str, object], out: Path) -> subprocess.CompletedProcess[str]:
    (example / "other.json").write_text(json.dumps(job))
    command = ["node", "client.mjs", "--server", address, "--job", "other.json", "--out", str(out), "--protos", str(ROOT / "protos")]
    return subprocess.run(command, cwd=example, capture_output=True, text=True, timeout=120, check=False)


def test_it_submits_watches_and_downloads(example: Path, address: str, tmp_path: Path) -> None:
    done = node(example, address, JOB, tmp_path / "found")
    assert done.returncode == 0, done.stderr
    assert "320 of 320 evaluations" in done.stdout
    assert sorted(path.name for path in (tmp_path / "found").iterdir()) == ["report.html", "result.json"]
    results = json.loads((tmp_path / "found/result.json").read_text())
    assert [(search["unit"], search["optimizer"]) for search in results["searches"]] == [
        ("4[0]", "adam"),
        ("4[0]", "random"),
        ("4[2]", "adam"),
        ("4[2]", "random"),
    ]
    # Options arrived as what they were.
    options = results["spec"]["optimizer"]["options"]
    assert options == JOB["optimizer"]["options"]  # type: ignore[index]


def test_it_tells_what_is_wrong(example: Path, address: str, tmp_path: Path) -> None:
    done = node(example, address, {**JOB, "units": ["4[9]"]}, tmp_path / "found")
    assert done.returncode == 1
    assert "INVALID_ARGUMENT" in done.stderr
    assert "units[0]" in done.stderr
    assert not (tmp_path / "found").exists()


def test_its_own_job_is_one() -> None:
    from actmax.client import jobfile

    spec = jobfile.load(ROOT / "examples/node/job.json").spec
    assert (spec.generator.name, spec.target.name) == ("cifar10-vqvae", "cifar10-snn")
