"""The Node.js client of ``examples/node``, against a real server: gRPC from the plain protos."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
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


def node(example: Path, address: str, job: dict[str, object], out: Path) -> subprocess.CompletedProcess[str]:
    (example / "other.json").write_text(json.dumps(job))
    command = ["node", "client.mjs", "--server", address, "--job", "other.json", "--out", str(out), "--protos", str(ROOT / "protos")]
    return subprocess.run(command, cwd=example, capture_output=True, text=True, timeout=200, check=False)


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
    from actmax.client.jobs import jobfile

    spec = jobfile.load(ROOT / "examples/node/job.json").spec
    assert (spec.generator.name, spec.target.name) == ("cifar10-vqvae", "cifar10-snn")
