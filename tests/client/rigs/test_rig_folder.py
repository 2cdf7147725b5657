"""A rig that only exchanges files gets the same experiment as one that calls, whoever is killed meanwhile."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from file_rig import count
from serving import ACTMAX, ENVIRONMENT, actmax

from actmax.client import InvalidInput, Session
from actmax.client.rigs.folder import FolderRig
from actmax.client.rigs.options import FolderOptions, Format, RigSilent, Then
from actmax.client.rigs.ownership import create_in
from actmax.client.rigs.stimulus_files import as_image
from actmax.client.sessions.trials import fetch_trials

SPEC = {
    "generator": "toy_lab:decoder",
    "units": ["a"],
    "optimizer": "random",
    "stop": {"evaluations": 60},
    "design": {"generation_size": 12},
    "seed": 5,
}
RIG = Path(__file__).parents[1] / "file_rig.py"


@contextmanager
def process(*command: str):
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)
    try:
        yield running
    finally:
        if running.poll() is None:
            running.kill()
        running.communicate()


def neuron(generation, described, folder: Path) -> list[int]:
    """What the rig of ``file_rig`` would count, for a client that gets arrays."""
    found = []
    for trial, stimulus in zip(generation.trials, generation.stimuli, strict=True):
        as_image(stimulus, described.stimulus_low, described.stimulus_high).save(folder / "shown.png")
        found.append(count(trial, folder / "shown.png"))
    return found


@pytest.fixture(scope="module")
def undisturbed(server, tmp_path_factory):
    """All trials of the session when it is run by calls."""
    folder = tmp_path_factory.mktemp("shown")
    with Session.create(SPEC, server.address) as session:
        for generation in session:
            session.tell(neuron(generation, session.described, folder))
        return fetch_trials(session.name, server.address, stimuli=True)


def same(found, wanted) -> None:
    np.testing.assert_array_equal(found.trial, wanted.trial)
    np.testing.assert_array_equal(found.stimuli, wanted.stimuli)
    np.testing.assert_array_equal(found.responses, wanted.responses)
    assert found.status == wanted.status
    assert found.session.recommendation.response == wanted.session.recommendation.response


@pytest.mark.parametrize("style", ["renamed", "dribbled", "mat"])
def test_a_rig_of_files_runs_the_same_experiment(server, undisturbed, tmp_path, style):
    spec = tmp_path / "spec.json"
    spec.write_text(json.dumps(SPEC))
    folder = tmp_path / "rig"
    with process(sys.executable, str(RIG), str(folder), style) as rig:
        done = actmax("rig", str(spec), str(folder), "--server", server.address, "--timeout", "60", "--then", "stop")
        assert done.returncode == 0, done.stderr
        assert rig.wait(200) == 0
    ended = json.loads((folder / "ENDED.json").read_text())
    found = fetch_trials(ended["session"], server.address, stimuli=True)
    same(found, undisturbed)
    if style == "mat":
        np.testing.assert_allclose(found.onset, found.trial * 0.5)
    assert not (folder / "refused").exists()
    assert not (folder / "READY").exists()
    assert not list(folder.glob(".writing*"))
    assert (folder / "recommended.png").stat().st_size > 50
    # a manifest for every generation, with every trial once
    listed = [row for path in sorted(folder.glob("generation-*/trials.csv")) for row in csv.DictReader(path.open())]
    assert [int(row["trial"]) for row in listed] == found.trial.tolist()
    assert [row["kind"] for row in listed] == found.kind


def test_adapter_and_rig_may_be_killed_at_any_moment(server, undisturbed, tmp_path):
    spec = tmp_path / "spec.yaml"
    spec.write_text(json.dumps(SPEC))
    folder = tmp_path / "rig"
    draws = np.random.default_rng(3)
    adapter_command = (*ACTMAX, "rig", str(spec), str(folder), "--server", server.address, "--take-over")
    kills = 0
    while not (folder / "ENDED.json").exists():
        with process(*adapter_command) as adapter, process(sys.executable, str(RIG), str(folder), "dribbled") as rig:
            began = written_so_far(folder)
            while adapter.poll() is None:
                time.sleep(0.002)
                if kills < 5 and written_so_far(folder) > began:  # in the middle of an exchange
                    time.sleep(draws.uniform(0, 0.04))
                    (rig if kills == 2 else adapter).kill()
                    if kills != 2:
                        adapter.wait()
                    kills += 1
                    break
            else:
                assert adapter.returncode == 0, adapter.communicate()[1]
    assert kills == 5
    ended = json.loads((folder / "ENDED.json").read_text())
    same(fetch_trials(ended["session"], server.address, stimuli=True), undisturbed)


def written_so_far(folder: Path) -> int:
    """Bytes of responses."""
    return sum(path.stat().st_size for path in folder.glob("responses/*"))


class Cut(BaseException):
    """A process that ends between two operations on the disk."""


def test_an_adapter_that_ends_before_any_operation_on_the_disk_goes_on(server, undisturbed, tmp_path, monkeypatch):
    left = [0]

    def cutting(operation):
        def cut(*arguments, **options):
            left[0] -= 1
            if left[0] == 0:
                raise Cut
            return operation(*arguments, **options)

        return cut

    for name in ("replace", "write_bytes", "write_text", "mkdir", "unlink"):
        monkeypatch.setattr(Path, name, cutting(getattr(Path, name)))
    folder = tmp_path / "rig"
    cuts = 0
    while True:
        left[0] = cuts % 37 + 1 if cuts < 60 else 0
        try:
            with create_in(folder, SPEC, server.address, take_over=True) as session:
                Told(session, folder).run()
            break
        except Cut:
            cuts += 1
    left[0] = 0
    assert cuts >= 20
    same(fetch_trials(session.name, server.address, stimuli=True), undisturbed)
    assert not (folder / "refused").exists()


class Told(FolderRig):
    """An adapter whose rig answers in the same process, as ``file_rig`` does."""

    def __init__(self, session, folder) -> None:
        super().__init__(session, folder, FolderOptions(timeout=30, then=Then.STOP))

    def _wait(self, generation) -> None:
        name = (self.folder / "READY").read_text().strip()
        with (self.folder / name / "left.csv").open() as opened:
            counts = [(row["trial"], count(int(row["trial"]), self.folder / name / row["file"])) for row in csv.DictReader(opened)]
        with (self.folder / "responses" / f"{name}.csv").open("a") as opened:
            opened.write("".join(f"{trial},{found}\n" for trial, found in counts))
        super()._wait(generation)


def written(folder: Path, name: str, text: str) -> None:
    (folder / "responses" / name).write_text(text)


class Watched(FolderRig):
    """Steps that a test takes while the rig is waited for, one each time."""

    def __init__(self, session, folder, steps, options=None) -> None:
        super().__init__(session, folder, options)
        self.steps = list(steps)

    def _wait(self, generation) -> None:
        if self.steps:
            self.steps.pop(0)(generation)
        else:
            put(self.folder, generation)
        super()._wait(generation)


def put(folder: Path, generation) -> None:
    written(folder, f"{generation.trials[0]}.csv", "trial,a\n" + "".join(f"{trial},{trial % 7}\n" for trial in generation.trials))


def test_wrong_rows_are_refused_by_name_and_nothing_else_is_lost(server, tmp_path):
    reports = {}

    def wrong(generation):
        first, second, third, fourth, fifth, *_ = generation.trials
        rows = [f"{first},3", "999999,4", f"{second},-1", f"{third},4.5", f"{fourth},many", f"{first},8", f"{fifth},inf", "", "x,2"]
        written(tmp_path, "g1.csv", "trial,a\n" + "\n".join(rows) + "\n")

    def look(generation):
        assert generation.trials[0] == 2  # one row of the file was right
        reports.update({int(row["line"]): row for row in csv.DictReader((tmp_path / "refused" / "g1.csv").open())})
        written(tmp_path, "none.csv", f"trial,b\n{generation.trials[0]},5\n")
        put(tmp_path, generation)

    def more(generation):
        assert "no column a" in (tmp_path / "refused" / "none.csv").read_text()
        first = generation.trials[0]
        # the whole file again, right this time, and a line that nobody finishes
        written(tmp_path, "g1.csv", f"trial,a\n{first},2\n{generation.trials[1]},1")

    with Session.create(SPEC, server.address) as session:
        Watched(session, tmp_path, [wrong, look, more], FolderOptions(timeout=30, then=Then.STOP, settle=0.2)).run()
        found = fetch_trials(session.name, server.address)
    reasons = {line: report["reason"] for line, report in reports.items()}
    assert reasons == {
        3: "UNKNOWN_TRIAL",
        4: "NEGATIVE_RESPONSE",
        5: "NOT_A_COUNT",
        6: "MALFORMED",
        7: "CONFLICTING_TELL",
        8: "NOT_FINITE",
        10: "MALFORMED",
    }
    assert "'many' is no number" in reports[6]["message"]
    assert found.status == ["told"] * len(found)
    assert found.responses[0, 0] == 3
    first = sum(found.generation == 1)
    np.testing.assert_array_equal(found.responses[1:first, 0], found.trial[1:first] % 7)
    assert found.responses[first, 0] == 2


def test_a_silent_rig_misses_trials_or_stops_and_late_responses_are_kept(server, tmp_path):
    late: list[int] = []

    def some(generation):
        late.extend(generation.trials[4:])
        written(tmp_path, "a.csv", "".join(f"{trial},5\n" for trial in generation.trials[:4]))

    def nothing(generation):
        assert generation.trials == tuple(late)

    def ended_by_the_rig(generation):
        assert generation.number == 2
        written(tmp_path, "b.csv", f"{late[0]},6\n{generation.trials[0]},\n")

    def then_advance(generation):
        # a rig that cleans up: what was told is told
        shutil.rmtree(tmp_path / "responses")
        (tmp_path / "generation-000002" / "ADVANCE").touch()

    def silent(generation):
        assert generation.number == 3
        assert (tmp_path / "responses").is_dir()

    with Session.create(SPEC, server.address) as session:
        steps = [some, nothing, ended_by_the_rig, then_advance]
        rig = Watched(session, tmp_path, [*steps, silent, silent], FolderOptions(timeout=0.3))
        rig._on_shown = lambda generation: (
            setattr(rig, "options", FolderOptions(timeout=0.3, then=Then.STOP)) if generation.number == 3 else None
        )
        with pytest.raises(RigSilent, match="generation 3 waits"):
            rig.run()
        found = fetch_trials(session.name, server.address)
        assert found.status[:4] == ["told"] * 4
        assert found.status[4] == "late"
        asked = sum(found.generation <= 2)
        assert found.status[5:asked] == ["missed"] * (asked - 5)
        # another adapter reads all of it again, which changes nothing
        before = found.responses[:asked].copy()
        Watched(session, tmp_path, [], FolderOptions(timeout=30, then=Then.STOP)).run()
        found = fetch_trials(session.name, server.address)
        np.testing.assert_array_equal(found.responses[:asked], before)
        assert found.session.state == 2
    assert not (tmp_path / "refused").exists()


def test_rows_that_come_after_the_end_are_kept_as_late_or_told_of(server, tmp_path):
    spec = tmp_path / "spec.yaml"
    spec.write_text(json.dumps(SPEC | {"stop": {"evaluations": 25}}))
    folder = tmp_path / "rig"
    command = ("rig", str(spec), str(folder), "--server", server.address)
    cut: list[int] = []

    def one(generation):
        cut.extend(generation.trials[-4:])
        written(folder, "g1.csv", "".join(f"{trial},5\n" for trial in generation.trials[:-4]))

    def advance(generation):
        assert generation.trials == tuple(cut)
        (folder / "generation-000001" / "ADVANCE").touch()

    class EndsSlowly(Watched):
        def _linger(self):  # the rig writes the rest once it has seen that the session is over
            assert (folder / "ENDED.json").exists()
            written(folder, "late.csv", f"{cut[0]},6\n{cut[1]},")
            super()._linger()

    with create_in(folder, SPEC | {"stop": {"evaluations": 25}}, server.address) as session:
        rig = EndsSlowly(session, folder, [one, advance], FolderOptions(timeout=30, settle=0.3))
        rig.run()
    assert rig.unanswered == cut[1:]
    assert json.loads((folder / "ENDED.json").read_text())["unanswered"] == cut[1:]
    assert "UNFINISHED" in (folder / "refused" / "late.csv").read_text()
    found = fetch_trials(session.name, server.address)
    assert [found.status[trial - 1] for trial in cut] == ["late", "missed", "missed", "missed"]
    # the adapter has ended; called again, it takes what has come since
    written(folder, "late.csv", f"{cut[0]},6\n{cut[1]},7\n{cut[2]},8.5\n")
    done = actmax(*command, "--settle", "0.3")
    assert done.returncode == 0, done.stderr
    assert "2 trials were never answered" in " ".join(done.stderr.split())
    found = fetch_trials(session.name, server.address)
    assert [found.status[trial - 1] for trial in cut] == ["late", "late", "missed", "missed"]
    assert found.responses[cut[1] - 1, 0] == 7
    assert [row["reason"] for row in csv.DictReader((folder / "refused" / "late.csv").open())] == ["NOT_A_COUNT"]
    # closed: nobody takes it any more, and that is said of what the server does not have, and of nothing else
    assert actmax("session", "close", session.name, "--server", server.address).returncode == 0
    written(folder, "late.csv", f"{cut[0]},6\n{cut[1]},7\n{cut[2]},8\n")
    done = actmax(*command)
    assert done.returncode != 0
    assert "closed" in done.stderr
    assert [(row["line"], row["reason"]) for row in csv.DictReader((folder / "refused" / "late.csv").open())] == [("3", "SESSION_CLOSED")]
    assert not (folder / "refused" / "g1.csv").exists()


def test_the_servers_own_time_limit_is_noticed(server, tmp_path):
    limited = SPEC | {"design": {"generation_size": 12, "generation_seconds": 0.4}}
    with Session.create(limited, server.address) as session:
        Watched(session, tmp_path, [lambda _: None], FolderOptions(timeout=20, then=Then.STOP)).run()
        found = fetch_trials(session.name, server.address)
    first = sum(found.generation == 1)
    assert found.status[:first] == ["missed"] * first
    assert set(found.status[first:]) == {"told"}


def test_a_folder_is_one_sessions(server, tmp_path):
    with create_in(tmp_path, SPEC, server.address) as session, create_in(tmp_path, SPEC, server.address) as again:
        assert session.name == again.name
    with Session.create(SPEC, server.address) as other, pytest.raises(InvalidInput, match="belongs to"):
        FolderRig(other, tmp_path).run()
    refused = actmax("rig", str(tmp_path / "no.yaml"), str(tmp_path), "--server", server.address)
    assert refused.returncode == 2
    assert "cannot read the session file" in refused.stderr


def test_a_folder_is_nobodys_while_there_is_no_such_session(server, tmp_path):
    refused = actmax("rig", "sessions/0123456789abcdef", str(tmp_path / "rig"), "--server", server.address)
    assert refused.returncode == 2
    assert "sessions/0123456789abcdef" in refused.stderr
    with create_in(tmp_path / "rig", SPEC, server.address) as session:
        assert session.name != "sessions/0123456789abcdef"


def test_stimuli_as_arrays(server, tmp_path):
    with Session.create(SPEC | {"stop": {"evaluations": 20}}, server.address) as session:
        Watched(session, tmp_path, [], FolderOptions(Format.NPY, timeout=30, then=Then.STOP)).run()
        found = fetch_trials(session.name, server.address, stimuli=True)
    for trial, stimulus in zip(found.trial, found.stimuli, strict=True):
        (path,) = tmp_path.glob(f"generation-*/{trial:07d}.npy")
        np.testing.assert_array_equal(np.load(path), stimulus)
    with pytest.raises(InvalidInput, match="format npy"):
        as_image(np.zeros((2, 40)), 0, 1)
