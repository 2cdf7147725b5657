from __future__ import annotations

import sys
from pathlib import Path

import pytest

HERE = str(Path(__file__).parent)
FIXTURES = str(Path(__file__).parents[1] / "fixtures")
sys.path[:0] = [folder for folder in (HERE, FIXTURES) if folder not in sys.path]


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """A server over the toy lab that stays up for all tests."""
    from serving import ServerProcess

    process = ServerProcess(tmp_path_factory.mktemp("server") / "data")
    yield process
    assert process.stop() == 0


@pytest.fixture
def toy(tmp_path) -> Path:
    """A small job's file."""
    from serving import TOY

    path = tmp_path / "toy.yaml"
    path.write_text(TOY)
    return path
