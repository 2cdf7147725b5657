"""Whatever is sent, no call ends as only a bug ends it; ``benchmarks/service/fuzz.py`` does that at length."""

import sys
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from paced_engine import PacedEngine

sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.insert(0, str(Path(__file__).parents[1] / "fixtures"))

from actmax.server.errors import ServiceError
from actmax.server.servicers.admission import read
from benchmarks.service.fuzz import REACHED, Messages, fuzz, services


async def test_generated_and_mutated_messages_meet_no_bug(tmp_path):
    report = await fuzz(tmp_path / "data", 700, seed=1, engine=PacedEngine(), seconds=0.3)
    assert report["messages"] >= 700
    called = set(report["codes"])
    assert {path.strip("/") for path in services()} <= called
    assert "grpc.health.v1.Health/Check" in called
    for reached in REACHED:
        assert report["codes"][reached].get("OK", 0) > 0
    assert report["open_files_growth_second_half"] < 30


@settings(deadline=None, max_examples=150)
@given(st.sampled_from(sorted(services())), st.integers(0, 2**32), st.binary(max_size=40))
def test_every_request_is_read_or_refused(path, seed, noise):
    kind = services()[path].request
    for data in (Messages(seed).draw(kind), noise):
        try:
            assert isinstance(read(kind.FromString, data), kind)
        except ServiceError as error:
            assert error.code.name == "INVALID_ARGUMENT"  # noqa: PT017
