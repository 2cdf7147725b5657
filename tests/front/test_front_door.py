"""``import actmax``: every public name, loaded when it is first used."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import actmax


@pytest.mark.parametrize("name", actmax.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(actmax, name) is not None
    assert name in dir(actmax)


def test_a_wrong_name_is_told_with_the_right_ones() -> None:
    with pytest.raises(AttributeError, match=r"'maximise'.*maximize"):
        _ = actmax.maximise


def test_nothing_heavy_is_imported_before_it_is_used() -> None:
    script = "import json, sys, actmax; actmax.Client; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout))
    assert "actmax.client" in loaded
    assert not loaded & {"torch", "pydantic", "scipy", "actmax.engine"}


@pytest.mark.parametrize("name", ["maximize", "Result", "components"])
def test_the_light_client_says_what_to_install(name: str) -> None:
    # A package that is set to None cannot be imported, as if it were not installed.
    script = f"import sys; sys.modules.update(dict.fromkeys(('torch', 'pydantic'))); import actmax; actmax.{name}"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "pip install 'actmax[server]'" in done.stderr.splitlines()[-1]
