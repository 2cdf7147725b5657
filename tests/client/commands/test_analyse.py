"""``actmax analyse``."""

import json
from pathlib import Path

import pytest

from actmax.client.cli import execute
from actmax.client.commands.analyse import parse_analysis
from actmax.engine.run import run_job
from actmax.wire.errors import InvalidInput
from jobs import PERMITTED, job


@pytest.mark.parametrize(
    ("text", "name", "options"),
    [
        ("film", "film", {}),
        ("toy_lab:Tuning", "toy_lab:Tuning", {}),
        ("toy_lab:Tuning:levels=4", "toy_lab:Tuning", {"levels": 4}),
        ("most-activating:images=/data/a,b,top=3", "most-activating", {"images": "/data/a,b", "top": 3}),
        ("x:scales=[1, 2],on=true,name='1'", "x", {"scales": [1, 2], "on": True, "name": "1"}),
    ],
)
def test_an_analysis_is_read_as_in_a_job_file(text, name, options):
    assert parse_analysis(text) == {"name": name, "options": options}


def test_what_cannot_be_read_is_named():
    for text in ("", "x:a=[1"):
        with pytest.raises(InvalidInput, match="--analysis"):
            parse_analysis(text)


def test_a_finished_job_gets_its_sections(tmp_path, capsys):
    run_job(job(), tmp_path, permissions=PERMITTED)
    folder = tmp_path / "artifacts"
    command = ["analyse", str(folder), "--analysis", "toy_lab:Tuning:levels=4", "--allow-import", "toy_lab"]
    assert execute(command) == 0
    assert f"Added to {folder / 'report.html'}: Tuning to contrast" in capsys.readouterr().out
    assert execute([*command, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["sections"], told["warnings"], told["cancelled"]) == (["Tuning to contrast"], [], False)
    assert len(json.loads((folder / "result.json").read_text())["sections"]) == 2


def test_wrong_input_ends_with_its_field(tmp_path, capsys):
    run_job(job(), tmp_path, permissions=PERMITTED)
    folder = tmp_path / "artifacts"
    (tmp_path / "empty").mkdir()
    assert execute(["analyse", str(tmp_path / "empty"), "--analysis", "film"]) == 2
    assert "actmax fetch" in capsys.readouterr().err
    assert execute(["analyse", str(folder), "--analysis", "toy_lab:Tuning:levels=1", "--allow-import", "toy_lab"]) == 2
    assert "analyses[0].options.levels" in capsys.readouterr().err


def test_a_servers_job_is_fetched_first(server, toy, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    at = ["--server", server.address]
    assert execute(["submit", str(toy), "--json", "--watch", *at]) == 0
    name = json.loads(capsys.readouterr().out.splitlines()[-1])["name"]
    for _ in range(2):
        assert execute(["analyse", name, "--analysis", "toy_lab:Tuning", "--allow-import", "toy_lab", *at]) == 0
    folder = tmp_path / "runs" / name.removeprefix("jobs/")
    assert f"Added to {Path('runs') / folder.name / 'report.html'}" in capsys.readouterr().out
    assert len(json.loads((folder / "result.json").read_text())["sections"]) == 2
