"""Jobs that find nothing, from the command line: what is said, and the exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rich.console import Console
from serving import actmax

from actmax.client.jobs.display import Lines, warnings_of
from actmax.v1 import job_pb2


@pytest.mark.parametrize(("target", "says"), [("toy_lab:nan_network", "none of 400 responses"), ("toy_lab:still_network", "never moved")])
def test_a_job_that_finds_nothing_ends_with_a_code_of_its_own(server, toy: Path, tmp_path: Path, target: str, says: str) -> None:
    asked = ("--set", f"target={target}")
    here = actmax("run", str(toy), "--out", str(tmp_path / "here"), "--allow-import", "toy_lab", *asked)
    assert here.returncode == 4, here.stderr
    assert says in here.stderr
    there = actmax("submit", str(toy), "--watch", "--out", str(tmp_path / "there"), "--server", server.address, *asked)
    assert there.returncode == 4, there.stderr
    assert says in there.stderr
    if target == "toy_lab:nan_network":
        assert "failed: none of 400 responses of 4[0], 4[2] was a finite number (400 NaN, 0 infinite)" in there.stderr
        assert not (tmp_path / "here").exists()
        return
    for folder in ("here", "there"):
        result = json.loads((tmp_path / folder / "result.json").read_text())
        assert result["outcome"] == "stuck"
        assert {search["outcome"] for search in result["searches"]} == {"stuck"}
        assert [warning.partition(" were")[0] for warning in result["warnings"]] == [f"4[{unit}]: all 200 responses" for unit in (0, 2)]
        page = (tmp_path / folder / "report.html").read_text()
        assert page.index("No search moved") < page.index("<main>")
        assert page.index("so the search never moved") < page.index("<main>")


def test_lines_tell_a_warning_once_though_its_counts_grow(capsys) -> None:
    lines = Lines(Console(width=200), seconds=0.0)
    for missed in (3, 4, 5):
        search = job_pb2.SearchProgress(unit="a[1]", optimizer="cma", warnings=[f"{missed} of 90 responses were not finite"])
        lines.progress(job_pb2.Progress(searches=[search], warnings=["shown one by one"]))
    told = capsys.readouterr().out
    assert told.count("Warning: a[1]: 3 of 90 responses") == 1
    assert told.count("not finite") == 1
    assert told.count("Warning: shown one by one") == 1


def test_warnings_name_their_search() -> None:
    searches = [job_pb2.SearchProgress(unit="a[1]", optimizer=optimizer, warnings=["it stood still"]) for optimizer in ("adam", "cma")]
    assert warnings_of(job_pb2.Progress(searches=searches)) == ["a[1] by adam: it stood still", "a[1] by cma: it stood still"]
    assert warnings_of(job_pb2.Progress()) == []
