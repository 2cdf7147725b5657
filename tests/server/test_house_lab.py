"""One class and one entry point a kind: a package that is installed brings seven parts, and a job over the wire uses them all."""

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from google.protobuf.json_format import MessageToDict, ParseDict

from actmax.server.execution.engine import ActmaxEngine
from actmax.v1 import catalog_service_pb2, job_pb2

PACKAGE = Path(__file__).parents[1] / "fixtures/packages/house_lab"
JOB = {
    "generator": {"name": "bars"},
    "target": {"name": "two-layers", "options": {"steps": 8, "coding": {"name": "blinking", "options": {"fastest": 0.8}}}},
    "units": ["4[0]", "4[2]"],
    "objective": {"name": "above-mean"},
    "optimizer": {"name": "coin"},
    "transformations": {"steps": [{"name": "dim", "options": {"most": 0.1}}]},
    "analyses": [{"name": "brightness", "options": {"unit": "share"}}],
    "budget": {"evaluations": 40},
    "prior": "none",
}


@pytest.fixture
def _installed(tmp_path_factory, monkeypatch):
    """The package, installed into a folder of its own that the server's processes look into."""
    source, place = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("site")
    for name in ("pyproject.toml", "house_lab.py"):
        (source / name).write_text((PACKAGE / name).read_text())
    install = [
        "-m",
        "uv",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--offline",
        "--target",
        str(place),
        str(source),
    ]
    subprocess.run([sys.executable, *install], check=True)
    monkeypatch.syspath_prepend(str(place))


@pytest.mark.usefixtures("_installed")
async def test_a_job_uses_a_part_of_every_kind_and_shows_what_the_analysis_found(serving):
    async with serving(engine=ActmaxEngine()) as (_, calls):
        entries = (await calls.catalog.ListComponents(catalog_service_pb2.ListComponentsRequest())).components
        kinds = catalog_service_pb2.ComponentKind
        offered = {
            (kinds.Name(entry.kind).removeprefix("COMPONENT_KIND_").lower(), entry.name) for entry in entries if not entry.unavailable
        }
        assert {
            ("generator", "bars"),
            ("target", "two-layers"),
            ("coding", "blinking"),
            ("objective", "above-mean"),
            ("transformation", "dim"),
            ("optimizer", "coin"),
            ("analysis", "brightness"),
        } <= offered
        schema = next(entry.options_schema for entry in entries if entry.name == "brightness")
        assert "unit" in MessageToDict(schema)["properties"]

        made = await calls.create(ParseDict(JOB, job_pb2.JobSpec()))
        done = await calls.ended(made.name)
        assert done.state == job_pb2.JOB_STATE_SUCCEEDED, done.error
        assert not done.progress.warnings

        async def file(path: str) -> bytes:
            return b"".join((await calls.download(made.name, path))[1])

        written = json.loads(await file("result.json"))
        (section,) = written["sections"]
        assert (section["analysis"], section["title"], section["columns"]) == ("brightness", "Brightness", ["unit", "share"])
        assert [row["unit"] for row in section["rows"]] == ["4[0]", "4[2]"]
        with np.load(io.BytesIO(await file("arrays.npz"))) as arrays:
            light = arrays[section["arrays"]["light"]]
            assert light == pytest.approx(arrays["stimuli"].reshape(2, -1).mean(1))
        assert [row["share"] for row in section["rows"]] == pytest.approx(100 * light)
        page = (await file("report.html")).decode()
        assert "<h2" in page
        assert "Brightness" in page
        assert "Of what was found." in page
        (figure,) = section["figures"]
        assert (await file(figure["file"])).startswith(b"\x89PNG")
