"""The commands as a person and a script run them."""

from __future__ import annotations

import errno
import json
import os
import pty
import re
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from serving import ACTMAX, ENDLESS, ENVIRONMENT, actmax, read_until, started

from actmax.client.cli import execute
from actmax.client.commands import common
from actmax.client.commands.common import needing_server
from actmax.client.commands.run import _forget, _written_elsewhere
from actmax.client.jobs import jobfile
from actmax.client.jobs.results import kept
from actmax.engine.jobs.progress import Progress
from actmax.engine.run import NotWritten, run_job
from actmax.models.permissions import Permissions
from jobs import job as small_job

JOBS = ("submit", "watch", "list", "cancel", "suspend", "resume", "delete", "fetch")
COMMANDS = ("serve", *JOBS, "catalog", "token", "run", "demo", "version")


def submitted(server, toy: Path, *overrides: str) -> str:
    sets = [part for text in overrides for part in ("--set", text)]
    done = actmax("submit", str(toy), "--server", server.address, "--json", *sets)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["name"]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    done = actmax(command, "--help")
    assert done.returncode == 0
    assert command in actmax("--help").stdout
    assert f"actmax {command}" in done.stdout


def test_submit_watch_list_fetch_cancel(server, toy: Path, tmp_path: Path) -> None:
    at = {"ACTMAX_SERVER": server.address}
    done = actmax("submit", str(toy), "--set", "title=Über", **at)
    assert done.returncode == 0, done.stderr
    name = re.findall(r"jobs/\S+", done.stdout)[0]
    done = actmax("watch", name.removeprefix("jobs/"), **at)
    assert done.returncode == 0, done.stderr
    assert "succeeded" in done.stdout
    assert "400 of 400 evaluations" in done.stderr
    assert re.search(r"4\[2\] +-?\d", done.stdout)
    assert name in actmax("list", "--state", "succeeded", **at).stdout
    assert name not in actmax("list", "--state", "running", **at).stdout
    folder = tmp_path / "found"
    done = actmax("fetch", name, "--out", str(folder), **at)
    assert done.returncode == 0, done.stderr
    assert f"open {folder / 'report.html'}" in done.stdout
    assert (folder / "report.html").is_file()
    done = actmax("cancel", name, **at)
    assert done.returncode == 2
    assert "ended already" in done.stderr

    # The same for scripts.
    done = actmax("watch", name, "--json", **at)
    assert (done.returncode, done.stderr) == (0, "")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert "snapshot" in lines[0]
    sequences = [line["event"]["sequence"] for line in lines[1:-1]]
    assert sequences == sorted(set(sequences))
    assert lines[-1]["name"] == name
    assert lines[-1]["state"] == "JOB_STATE_SUCCEEDED"
    assert lines[-1]["spec"]["title"] == "Über"
    assert lines[-1]["progress"]["evaluations"] == 400
    listed = json.loads(actmax("list", "--json", "--limit", "1000", **at).stdout)
    assert name in [job["name"] for job in listed["jobs"]]
    fetched = json.loads(actmax("fetch", name, "--json", "--out", str(folder), **at).stdout)
    assert fetched["folder"] == str(folder)
    assert "report.html" in fetched["files"]
    assert set(json.loads(actmax("version", "--json", "--server", server.address).stdout)) == {"version", "server"}


def test_suspend_resume_delete_and_labels(server, toy: Path) -> None:
    at = {"ACTMAX_SERVER": server.address}
    done = actmax("submit", str(toy), "--label", "mouse=7", "--label", "lab=a", "--priority", "3", "--set", ENDLESS, "--json", **at)
    job = json.loads(done.stdout)
    assert (job["labels"], job["priority"]) == ({"lab": "a", "mouse": "7"}, 3)
    name = job["name"]
    assert name in actmax("list", "--label", "mouse=7", **at).stdout
    assert name not in actmax("list", "--label", "mouse=8", **at).stdout
    assert "it is not KEY=VALUE" in actmax("list", "--label", "mouse", **at).stderr
    assert re.search("suspended", actmax("suspend", name, **at).stdout)
    while name not in actmax("list", "--state", "suspended", **at).stdout:
        pass
    assert re.search("pending|running", actmax("resume", name, **at).stdout)
    actmax("cancel", name, **at)
    done = actmax("watch", name, **at)
    assert "cancelled" in done.stdout
    assert "cancelled" in actmax("resume", name, **at).stderr.lower()
    done = actmax("delete", name, **at)
    assert (done.returncode, "--yes" in done.stderr) == (2, True)
    assert name in actmax("list", **at).stdout
    assert actmax("delete", name, "--yes", **at).stdout == f"{name} is deleted\n"
    done = actmax("delete", name, "--yes", **at)
    assert done.returncode == 2
    assert "actmax list" in done.stderr


def test_tokens_are_made_listed_and_revoked(tmp_path: Path) -> None:
    data = ("--data", str(tmp_path / "data"))
    made = json.loads(actmax("token", "create", "ann", "--scope", "read", *data, "--json").stdout)
    assert made["token"].startswith(f"actmax_{made['id']}_")
    listed = actmax("token", "list", *data)
    assert "ann" in listed.stdout
    assert made["token"] not in listed.stdout
    assert actmax("token", "revoke", made["id"], *data).returncode == 0
    assert actmax("token", "revoke", made["id"], *data).returncode == 2
    assert json.loads(actmax("token", "list", *data, "--json").stdout) == {"tokens": []}
    done = actmax("token", "create", "ann", "--scope", "root", *data)
    assert done.returncode == 2
    assert "read, submit, admin" in done.stderr


def test_settings_of_a_server_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "actmax.yaml"
    file.write_text("address: 0.0.0.0:0\ntokens: true\n")
    done = actmax("serve", "--config", str(file))
    assert done.returncode == 2
    assert "tls_certificate" in done.stderr
    file.write_text("adress: 127.0.0.1:0\n")
    assert "adress: there is no such setting; did you mean address" in actmax("serve", "--config", str(file)).stderr
    assert "ACTMAX_SERVE_WORKERS" in actmax("serve", ACTMAX_SERVE_WORKERS="many").stderr


def test_the_catalog(server) -> None:
    at = {"ACTMAX_SERVER": server.address}
    done = actmax("catalog", **at)
    assert done.returncode == 0, done.stderr
    assert re.search(r"optimizer +random +\S+", done.stdout)
    assert actmax("catalog", "components", **at).stdout == done.stdout
    assert actmax("catalog", "--server", server.address).stdout == done.stdout
    assert "generator" not in actmax("catalog", "components", "--kind", "optimizer", **at).stdout
    assert re.search(r"batch +int; at least 1", actmax("catalog", "--server", server.address, "options", "adam").stdout)
    done = actmax("catalog", "options", "adan", **at)
    assert done.returncode == 2
    assert "did you mean adam" in done.stderr
    done = actmax("catalog", "layers", "toy_lab:network", **at)
    assert done.returncode == 0, done.stderr
    assert "image 3 x 6 x 6" in done.stdout
    layers = json.loads(actmax("catalog", "--json", "layers", "toy_lab:network", **at).stdout)["layers"]
    assert [layer["shape"] for layer in layers if layer["name"] == "4"] == [[4]]


def test_wrong_input_is_told_by_field_and_line(server, toy: Path) -> None:
    done = actmax("submit", str(toy), "--server", server.address, "--set", "units[1]=4[9]")
    assert done.returncode == 2
    assert "  units[1]: " in done.stderr
    assert "(--set units[1]=4[9])" in done.stderr
    toy.write_text(toy.read_text().replace("4[2]", "44[2]"))
    done = actmax("submit", str(toy), "--server", server.address, "--json")
    assert done.returncode == 2
    assert done.stdout == ""
    error = json.loads(done.stderr)["error"]
    assert error["code"] == "INVALID_ARGUMENT"
    assert [v["field"] for v in error["violations"]] == ["units[1]"]
    assert error["violations"][0]["description"].endswith("(line 4)")


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["list", "--server", "127.0.0.1:1"], 3, "cannot reach a server at 127.0.0.1:1"),
        (["list", "--server", "no-such-host.invalid:1"], 3, "cannot reach a server at no-such-host.invalid:1 (Domain name not found)"),
        (["token", "list", "--data", "typo"], 2, "there is no server's database in typo"),
        (["submit", "missing.yaml"], 2, f"missing.yaml: {os.strerror(errno.ENOENT)}"),
        (["run", "missing.yaml"], 2, f"missing.yaml: {os.strerror(errno.ENOENT)}"),
        (["demo", "--job", "missing.yaml"], 2, f"missing.yaml: {os.strerror(errno.ENOENT)}"),
        (["submit"], 2, "JOB"),
        (["sumbit"], 2, "submit"),
        (["list", "--limit", "0"], 2, "limit"),
        (["list", "--state", "runing"], 2, "did you mean running"),
        (["serve", "--address", "0.0.0.0:0"], 2, "listen on 127.0.0.1"),
        (["serve", "--address", "nowhere"], 2, "is not host:port"),
    ],
)
def test_expected_errors(arguments: list[str], code: int, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(common, "PATIENCE", 0.3)
    done = actmax(*arguments)
    assert done.returncode == code
    assert says in done.stderr
    assert list(tmp_path.iterdir()) == []
    if arguments[0] != "serve":
        done = actmax(*arguments, "--json")
        assert done.returncode == code
        assert says in json.loads(done.stderr)["error"]["message"]


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("s3cret", "no database's URL, such as postgresql://"),
        ("postgresql://ann:s3cret@db:port/x", "no database's URL"),
        ("mysql://ann:s3cret@db/x", "mysql is not supported"),
        ("postgresql://ann:s3cret@db/x", "pip install 'actmax[postgres]'"),
    ],
)
@pytest.mark.parametrize("command", [("token", "list"), ("serve", "--address", "127.0.0.1:0")], ids=lambda command: command[0])
def test_a_database_that_cannot_be_used_is_told_without_its_password(
    command: tuple[str, ...], url: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)  # as where it is not installed
    done = actmax(*command, "--data", str(tmp_path / "data"), ACTMAX_SERVE_DATABASE=url)
    assert done.returncode in (1, 2)
    assert says in done.stderr
    assert "s3cret" not in done.stderr
    assert not (tmp_path / "data" / "actmax.db").exists()


@pytest.mark.parametrize("below", [False, True])
@pytest.mark.parametrize(
    "arguments",
    [
        ["demo", "--job", "job.yaml", "--out"],
        ["submit", "job.yaml", "--watch", "--server", "127.0.0.1:1", "--out"],
        ["simulate", "cifar10-snn", "--unit", "lif_out[3]", "--server", "127.0.0.1:1", "--out"],
        ["rig", "0123456789abcdef", "--server", "127.0.0.1:1"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_a_file_is_no_folder_and_that_is_told_before_the_search(
    arguments: list[str], below: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("job.yaml").write_text("{generator: a, target: b, units: c, budget: {evaluations: 1}}")
    Path("file").touch()
    assert execute([*arguments, "file/found" if below else "file"]) == 2
    assert "file is a file; give a folder" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "job.yaml"]


def test_results_that_cannot_be_written_end_in_a_message(server, toy: Path, tmp_path: Path, capsys) -> None:
    name = submitted(server, toy)
    assert execute(["watch", name, "--server", server.address]) == 0
    (tmp_path / "file").touch()
    capsys.readouterr()
    assert execute(["fetch", name, "--out", str(tmp_path / "file"), "--server", server.address]) == 2
    assert capsys.readouterr().err.startswith(f"actmax: {tmp_path / 'file'}")


def test_a_taken_port_is_named(server, tmp_path: Path) -> None:
    done = actmax("serve", "--address", server.address, "--data", str(tmp_path / "data"))
    assert done.returncode == 1
    assert server.address in done.stderr
    assert not (tmp_path / "data").exists()


def test_interrupting_a_watch_leaves_the_job_alone(server, toy: Path) -> None:
    name = submitted(server, toy, ENDLESS)
    process = started("watch", name, "--server", server.address)
    read_until(process.stderr, "evaluations")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=200)
    assert process.returncode == 130
    assert f"actmax cancel {name}" in err
    assert "Traceback" not in err + out
    done = actmax("cancel", name, "--server", server.address)
    assert done.returncode == 0
    assert re.search("cancelling|cancelled", done.stdout)


def test_interrupting_a_submitted_watch_cancels_and_fetches(server, toy: Path, tmp_path: Path) -> None:
    folder = tmp_path / "found"
    process = started("submit", str(toy), "--watch", "--out", str(folder), "--set", ENDLESS, "--server", server.address)
    read_until(process.stderr, "evaluations")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=200)
    assert process.returncode == 1
    assert "Cancelling" in err
    assert "cancelled" in out
    assert json.loads((folder / "result.json").read_text())["cancelled"] is True
    assert "Traceback" not in err + out


def test_a_live_table_in_a_terminal(server, toy: Path) -> None:
    leader, follower = pty.openpty()
    command = [*ACTMAX, "submit", str(toy), "--watch", "--server", server.address]
    process = subprocess.Popen(command, stdout=follower, stderr=follower, env=ENVIRONMENT | {"TERM": "xterm-256color", "LINES": "30"})
    os.close(follower)
    seen = b""
    while True:
        try:
            more = os.read(leader, 65536)
        except OSError:  # Linux's way to say that the other side has gone
            break
        if not more:
            break
        seen += more
    os.close(leader)
    assert process.wait(200) == 0
    text = seen.decode()
    assert "\x1b[" in text
    assert "400 of 400 evaluations" in text
    assert "4[2]" in text


def test_run_finds_what_a_server_finds(server, toy: Path, tmp_path: Path) -> None:
    folder = tmp_path / "found"
    done = actmax("run", str(toy), "--out", str(folder), "--allow-import", "toy_lab")
    assert done.returncode == 0, done.stderr
    assert f"The report: {folder / 'report.html'}" in done.stdout
    assert re.search(r"4\[0\] +-?\d", done.stdout)
    assert "400 of 400 evaluations" in done.stderr
    assert {"report.html", "result.json", "arrays.npz"} <= {path.name for path in folder.iterdir()}
    assert not list(folder.glob(".*"))
    done = actmax("submit", str(toy), "--watch", "--out", str(tmp_path / "served"), "--server", server.address)
    assert done.returncode == 0, done.stderr
    here, served = (json.loads((each / "result.json").read_text())["searches"] for each in (folder, tmp_path / "served"))
    for search in here + served:
        search.pop("ended_after_seconds")
    assert here == served


def test_a_run_whose_pictures_have_no_room_says_so_and_has_the_numbers(toy: Path, tmp_path: Path) -> None:
    def run(folder: Path, most_bytes: int) -> subprocess.CompletedProcess[str]:
        target = f"target={{name: cramped_lab:target, options: {{most_bytes: {most_bytes}}}}}"
        allowed = ("--allow-import", "toy_lab", "--allow-import", "cramped_lab")
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        try:
            return actmax("run", str(toy), "--out", str(folder), *allowed, "--set", target)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    done = run(tmp_path / "a", 12_000)
    assert done.returncode == 0, done.stderr
    assert "could not be drawn: File too large" in " ".join(done.stderr.split())
    assert f"The report: {tmp_path / 'a' / 'result.json'}" in done.stdout
    assert not (tmp_path / "a/report.html").exists()
    done = run(tmp_path / "b", 50)
    assert done.returncode == 2
    assert "4[0]" in done.stdout
    assert "cannot write the results into" in done.stderr
    assert "Traceback" not in done.stderr


def test_results_that_have_no_place_are_written_into_a_temporary_folder(tmp_path: Path, capsys) -> None:
    def occupy(progress: Progress) -> None:
        if progress.searches[0].stopped_by:
            (tmp_path / "artifacts").write_text("in the way")

    with pytest.raises(NotWritten) as lost:
        run_job(small_job(), tmp_path, on_progress=occupy, permissions=Permissions.of(("toy_lab",)))
    told = str(_written_elsewhere(lost.value, tmp_path))
    elsewhere = Path(told.rpartition("they are in ")[2])
    assert (elsewhere / "report.html").is_file()
    assert "4[0]" in capsys.readouterr().out
    shutil.rmtree(elsewhere)


def test_an_earlier_jobs_pages_do_not_stand_beside_a_later_ones_numbers(tmp_path: Path) -> None:
    for name in ("result.json", "report.html", "montage-2.png", "notes.txt"):
        (tmp_path / name).write_text("{}")
    _forget(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes.txt", "result.json"]


def test_a_refused_run_leaves_nothing(toy: Path, tmp_path: Path) -> None:
    done = actmax("run", str(toy), "--out", str(tmp_path / "found"), "--allow-import", "toy_lab", "--set", "optimizer=randon")
    assert done.returncode == 2
    assert "optimizer.name: " in done.stderr
    assert "random" in done.stderr
    assert "(--set optimizer=randon)" in done.stderr
    assert not (tmp_path / "found").exists()
    done = actmax("run", str(toy), "--out", str(tmp_path / "found"))
    assert done.returncode == 2
    assert "--allow-import toy_lab" in done.stderr


def test_interrupting_a_run_writes_what_was_found(toy: Path, tmp_path: Path) -> None:
    folder = tmp_path / "found"
    process = started("run", str(toy), "--out", str(folder), "--allow-import", "toy_lab", "--set", ENDLESS)
    read_until(process.stderr, "evaluations")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=200)
    assert process.returncode == 1, err
    assert "cancelled" in out
    assert json.loads((folder / "result.json").read_text())["cancelled"] is True
    assert "Traceback" not in err


def test_an_interrupt_while_checking_ends_without_a_trace(toy: Path, tmp_path: Path) -> None:
    process = started("run", str(toy), "--out", str(tmp_path / "found"), "--allow-import", "toy_lab", "--set", ENDLESS)
    read_until(process.stderr, "checking")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=200)
    assert process.returncode == 130, err
    assert not re.search("Traceback|terminate|KeyboardInterrupt", err)
    assert not (tmp_path / "found").exists()


def test_an_interrupt_during_imports_is_raised_after_them() -> None:
    before = signal.getsignal(signal.SIGINT)
    imported: list[bool] = []

    def importing() -> None:
        with needing_server("run"):
            os.kill(os.getpid(), signal.SIGINT)
            imported.append(True)

    with pytest.raises(KeyboardInterrupt):
        importing()
    assert imported
    assert signal.getsignal(signal.SIGINT) is before


def test_a_job_cancelled_at_once_says_that_nothing_was_found() -> None:
    assert kept({"searches": []}) == "The job was cancelled before it had found anything."
    assert kept({"searches": [{"unit": "4[2]", "optimizer": "auto", "response": 3.0}]}).endswith("what it had found until then was kept.")


def test_a_second_interrupt_leaves_at_once(toy: Path, tmp_path: Path) -> None:
    process = started("run", str(toy), "--out", str(tmp_path / "found"), "--allow-import", "toy_lab", "--set", ENDLESS)
    read_until(process.stderr, "evaluations")
    os.kill(process.pid, signal.SIGSTOP)
    process.send_signal(signal.SIGINT)
    os.kill(process.pid, signal.SIGCONT)
    read_until(process.stderr, "Cancelling")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=200)
    assert process.returncode in (130, 1)
    assert "Traceback" not in err


def test_a_run_goes_on_from_its_checkpoint(toy: Path, tmp_path: Path) -> None:
    from actmax.engine.run import Suspended, run_job
    from actmax.engine.spec import JobSpec

    folder = tmp_path / "found"
    spec = JobSpec.parse(jobfile.to_plain(jobfile.load(toy).spec))
    with pytest.raises(Suspended):
        run_job(spec, folder / ".actmax-run", should_stop=lambda: "suspend", permissions=Permissions.of(["toy_lab"]))
    arguments = ("run", str(toy), "--out", str(folder), "--allow-import", "toy_lab", "--json")
    other = actmax(*arguments, "--set", "seed=4")
    assert other.returncode == 2
    assert "another job" in json.loads(other.stderr)["error"]["message"]
    done = actmax(*arguments)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert [search["evaluations"] for search in document["result"]["searches"]] == [200, 200]
    assert "report.html" in document["files"]
    assert not (folder / ".actmax-run").exists()


def test_the_first_job_is_a_job() -> None:
    spec = jobfile.load(Path(__file__).parents[2] / "examples/first_job.yaml").spec
    assert list(spec.units) == ["lif_out[*]"]
    assert [spec.optimizer.name, *(b.name for b in spec.baselines)] == ["tt-evolution", "auto", "nevergrad"]


def demo(toy: Path, folder: Path, *more: str) -> tuple[str, ...]:
    return ("demo", "--job", str(toy), "--out", str(folder), "--allow-import", "toy_lab", *more)


def servers_of(process: subprocess.Popen[str]) -> list[int]:
    """Children of a process."""
    return [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


def gone(pids: list[int]) -> bool:
    return not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_the_demo_does_all_of_it(toy: Path, tmp_path: Path) -> None:
    folder = tmp_path / "found"
    done = actmax(*demo(toy, folder))
    assert done.returncode == 0, done.stderr
    assert re.search(r"A server listens on 127\.0\.0\.1:\d+", done.stderr)
    assert re.search(r"4\[2\] +-?\d", done.stdout)
    assert done.stdout.rstrip().endswith(f"The report: {folder / 'report.html'}")
    assert (folder / "report.html").is_file()


def test_the_demo_refuses_a_wrong_job(toy: Path, tmp_path: Path) -> None:
    done = actmax(*demo(toy, tmp_path / "found", "--set", "target=toy_lab:netwrok", "--json"))
    assert done.returncode == 2
    assert json.loads(done.stderr)["error"]["violations"][0]["field"] == "target.name"
    assert not (tmp_path / "found").exists()


def test_an_interrupted_demo_keeps_what_was_found_and_leaves_no_server(toy: Path, tmp_path: Path) -> None:
    folder = tmp_path / "found"
    process = started(*demo(toy, folder, "--set", ENDLESS))
    read_until(process.stderr, "searches running")
    servers = servers_of(process)
    assert servers
    # A terminal's Ctrl-C comes as SIGINT; whoever stops a service sends this, which means the same.
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=200)
    assert process.returncode == 1, err
    assert "cancelled" in out
    assert json.loads((folder / "result.json").read_text())["cancelled"] is True
    assert "Traceback" not in err
    assert gone(servers)


def test_a_demo_interrupted_twice_leaves_no_server(toy: Path, tmp_path: Path) -> None:
    process = started(*demo(toy, tmp_path / "found", "--set", ENDLESS))
    read_until(process.stderr, "searches running")
    servers = servers_of(process)
    process.send_signal(signal.SIGINT)
    read_until(process.stderr, "Cancelling")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=200)
    assert process.returncode in (1, 130)
    assert "Traceback" not in err
    assert gone(servers)
