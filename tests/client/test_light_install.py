"""The client needs neither torch nor a server's packages, and says so where a command does."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

# typer itself imports pydantic where it is installed.
HEAVY = (
    "torch",
    "snntorch",
    "sqlalchemy",
    "nevergrad",
    "actmax.engine",
    "actmax.server",
    "actmax.models",
    "actmax.optimizers",
    "resvg_py",
    "jinja2",
)

LISTED = """
import json, sys
{use}
heavy = {heavy}
print(json.dumps([m for m in sys.modules if m.startswith(tuple(h + "." for h in heavy)) or m in heavy]))
"""


@pytest.mark.parametrize(
    "use",
    [
        "import actmax.client.cli",
        "from actmax.client.cli import execute; assert execute(['--help']) == 0; assert execute(['run', '--help']) == 0",
        "from actmax.client import Client; Client('127.0.0.1:1').close()",
        "import actmax.client.sessions.report",
    ],
)
def test_nothing_heavy_is_imported(use: str) -> None:
    script = LISTED.format(use=use, heavy=HEAVY)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == []


@pytest.mark.parametrize(("command", "needs"), [("serve", "grpc_health"), ("run", "torch")])
def test_a_command_that_needs_more_says_what_to_install(command: str, needs: str, toy, tmp_path) -> None:
    arguments = ["run", str(toy), "--out", str(tmp_path / "out")] if command == "run" else ["serve", "--data", str(tmp_path / "data")]
    # A package that is set to None cannot be imported, as if it were not installed.
    script = f"import sys; sys.modules[{needs!r}] = None\nfrom actmax.client.cli import execute\nsys.exit(execute({arguments!r}))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "pip install 'actmax[server]'" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "data").exists()
