"""The Node.js examples with their packages installed, and servers for them."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path[:0] = [folder for folder in (str(ROOT / "tests/client"), str(ROOT / "tests/fixtures")) if folder not in sys.path]
NO_NETWORK = re.compile(r"\b(ENOTFOUND|EAI_AGAIN|ETIMEDOUT|ECONNREFUSED|ENETUNREACH)\b")


@pytest.fixture(scope="session")
def example(tmp_path_factory) -> Path:
    """A copy of ``examples/node`` with its packages installed."""
    if shutil.which("npm") is None:
        pytest.skip("Node.js is not installed")
    folder = tmp_path_factory.mktemp("node") / "node"
    shutil.copytree(ROOT / "examples/node", folder, ignore=shutil.ignore_patterns("node_modules", "found"))
    done = subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=folder, capture_output=True, text=True, timeout=200, check=False)
    if done.returncode and NO_NETWORK.search(done.stderr):
        pytest.skip("the npm registry cannot be reached")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """A server over the toy lab, which tests may kill and start."""
    from serving import ServerProcess  # pyright: ignore[reportMissingImports]

    process = ServerProcess(tmp_path_factory.mktemp("server") / "data")
    yield process
    assert process.stop() == 0


@pytest.fixture
def address(server) -> str:
    """Of the server."""
    return server.address
