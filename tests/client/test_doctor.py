"""``actmax doctor`` and the catalog without a server."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import version

from serving import actmax

NOBODY = "127.0.0.1:9"  # where nothing listens


def test_the_doctor_tells_what_is_here() -> None:
    told = json.loads(actmax("doctor", "--server", NOBODY, "--json").stdout)
    assert told["actmax"] == version("actmax")
    assert told["packages"]["torch"] == version("torch")
    assert told["devices"].startswith("cpu")
    assert told["server"].startswith("none at ")
    assert "GiB" in told["disk"]
    assert "dev" not in told["missing"]


def test_the_doctor_meets_a_server(server) -> None:
    assert f"actmax {version('actmax')} answers at {server.address}" in actmax("doctor", "--server", server.address).stdout


def test_the_doctor_of_a_light_client_says_what_the_engine_needs() -> None:
    # What is not installed has no metadata and cannot be found.
    script = """
import importlib.metadata as metadata, importlib.util as util, sys
absent = {"torch", "snntorch"}
installed, found = metadata.version, util.find_spec
def version(name):
    if name in absent: raise metadata.PackageNotFoundError(name)
    return installed(name)
metadata.version, util.find_spec = version, lambda name: None if name in absent else found(name)
from actmax.client.cli import execute
sys.exit(execute(["doctor", "--server", "127.0.0.1:9"]))
"""
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert "pip install 'actmax[server]' would bring torch" in told
    assert "snntorch" in told


def test_the_catalog_needs_no_server(monkeypatch) -> None:
    monkeypatch.setattr("actmax.client.commands.catalog.SERVER", NOBODY)
    monkeypatch.delenv("ACTMAX_SERVER", raising=False)
    listed = actmax("catalog", "components", "--kind", "optimizer")
    assert "No server runs" in listed.stderr
    assert "tt-evolution" in listed.stdout
    assert "generator" not in listed.stdout
    assert "did you mean optimizer" in actmax("catalog", "components", "--kind", "optimizr").stderr
    assert "lif_out" in actmax("catalog", "layers", "cifar10-snn").stdout
    wrong = actmax("catalog", "layers", "cifar10-sn")
    assert wrong.returncode == 2
    assert "cifar10-snn" in wrong.stderr


def test_a_server_that_is_named_is_the_one_that_is_asked() -> None:
    done = actmax("catalog", "--server", NOBODY)
    assert done.returncode == 3
    assert "cannot reach a server" in done.stderr


def test_short_help() -> None:
    assert actmax("run", "-h").stdout == actmax("run", "--help").stdout
