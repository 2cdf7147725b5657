"""``actmax analyse``."""

import hashlib
import json

import pytest

from actmax.client import Client
from actmax.client.cli import execute
from actmax.client.commands.analyse import parse_analysis
from actmax.client.jobs.jobfile import load
from actmax.engine.run import run_job
from actmax.v1 import job_pb2
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


def test_a_servers_job_is_analysed_there(server, toy, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    at = ["--server", server.address]
    assert execute(["submit", str(toy), "--json", "--watch", *at]) == 0
    name = json.loads(capsys.readouterr().out.splitlines()[-1])["name"]
    command = ["analyse", name, "--analysis", "toy_lab:Tuning:levels=4", *at]
    assert execute(command) == 0
    told = capsys.readouterr()
    assert f"actmax fetch {name}" in told.out
    assert "all analyses have ended" in told.err
    assert execute([*command, "--json"]) == 0
    done = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (done["state"], done["analysis_of"]) == ("JOB_STATE_SUCCEEDED", name)
    assert execute(["list", *at]) == 0
    assert f"toy_lab:Tuning of {name}" in " ".join(capsys.readouterr().out.split())
    for fetched in (name, done["name"]):
        assert execute(["fetch", fetched, "--out", str(tmp_path / "found"), *at]) == 0
    capsys.readouterr()
    document = json.loads((tmp_path / "found" / "result.json").read_text())
    assert [section["analysis"] for section in document["sections"]] == ["toy_lab:Tuning", "toy_lab:Tuning 2"]
    assert execute(["export", str(tmp_path / "found"), "--json"]) == 0
    assert any("Tuning" in file for file in json.loads(capsys.readouterr().out)["files"])
    assert execute(["analyse", name, "--analysis", "toy_lab:Tuning:levels=1", *at]) == 2
    assert "analyses[0].options.levels" in capsys.readouterr().err
    assert execute([*command, "--threads", "1"]) == 2
    assert "fetch it first" in capsys.readouterr().err
    assert execute(["analyse", "runs/nothing", "--analysis", "film", *at]) == 2
    assert "no such folder" in capsys.readouterr().err


def test_a_fetch_is_of_one_moment(server, toy, tmp_path, monkeypatch):
    with Client(server.address) as client:
        job = client.wait(client.create(load(toy).spec).name)
        listed = client.artifacts(job.name)
        done = client.wait(client.analyse(job.name, ["toy_lab:Tuning"]).name)
        assert done.state == job_pb2.JOB_STATE_SUCCEEDED, done.error
        after = client.artifacts(job.name)
        assert after != listed
        answers = iter([listed])  # as where the analysis ends when the list has just been read
        true = Client.artifacts
        monkeypatch.setattr(Client, "artifacts", lambda self, name: next(answers, None) or true(self, name))
        client.fetch(job.name, tmp_path)
    for artifact in after:
        assert hashlib.sha256((tmp_path / artifact.path).read_bytes()).hexdigest() == artifact.sha256
