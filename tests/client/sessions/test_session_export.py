"""Sessions as Parquet and NWB: every trial, in files that other labs' tools open."""

from __future__ import annotations

import json
import re
import signal
from importlib.metadata import version
from typing import Any

import numpy as np
import pytest
from serving import actmax, read_until, started

from actmax.client import InvalidInput, Session
from actmax.client.sessions.trials import fetch_trials

RECORDING = {
    "subject": {"id": "m1", "species": "Mus musculus", "sex": "F", "age": "P90D", "description": "naive"},
    "devices": [{"name": "probe", "description": "a silicon probe", "manufacturer": "Probes"}],
    "electrodes": [{"name": "e1", "device": "probe", "location": "VISp"}, {"name": "e2", "device": "probe", "location": "VISl"}],
    "experimenters": ["Rigger, Ruth"],
    "institution": "Somewhere",
    "lab": "Vision",
}
SPEC = {
    "title": "a rehearsal",
    "generator": "toy_lab:decoder",
    "units": ["a", {"name": "b", "kind": "rate", "measure": "Hz", "electrode": "e2"}],
    "recording": RECORDING,
    "optimizer": "random",
    "stop": {"evaluations": 60},
    "design": {"generation_size": 20},
    "seed": 5,
}


@pytest.fixture(scope="module")
def ran(server):
    """A whole session with some trials missed; its name."""
    with Session.create(SPEC, server.address) as session:
        clock = 100.0
        for generation in session:
            onsets = clock + 0.5 * np.arange(len(generation))
            clock = onsets[-1] + 1
            rates = 20 * generation.stimuli.astype(np.float64).reshape(len(generation), -1).mean(1) ** 2
            counts = np.stack([np.round(rates), rates], 1)
            counts[np.array(generation.trials) % 9 == 0] = np.nan
            session.tell(counts, onsets=onsets, offsets=onsets + 0.2)
        return session.name


def test_parquet_has_every_trial(server, ran, tmp_path):
    import pyarrow.parquet as pq

    done = actmax("session", "export", ran, str(tmp_path / "x.parquet"), "--server", server.address)
    assert done.returncode == 0, done.stderr
    table = pq.read_table(tmp_path / "x.parquet")
    trials = fetch_trials(ran, server.address)
    assert table.num_rows == len(trials) > 60
    assert table["trial"].to_pylist() == list(range(1, len(trials) + 1))
    np.testing.assert_array_equal(table["response_a"].to_numpy(), trials.responses[:, 0])
    assert {"candidate", "reference", "remeasure", "control"} == set(table["kind"].to_pylist())
    assert table["status"].to_pylist().count("missed") == len(trials) // 9
    np.testing.assert_array_equal(np.stack(table["latent"].to_numpy()), trials.latents)
    about = json.loads(table.schema.metadata[b"actmax.session"])
    assert about["spec"]["title"] == "a rehearsal"
    assert about["recommendation"]["final"] is True


def test_nwb_passes_the_inspector_and_holds_the_session(server, ran, tmp_path):
    from nwbinspector import Importance, inspect_nwbfile
    from pynwb import NWBHDF5IO

    file = tmp_path / "x.nwb"
    done = actmax("session", "export", ran, str(file), "--server", server.address, "--age", "P91D")
    assert done.returncode == 0, done.stderr
    found = inspect_nwbfile(nwbfile_path=str(file), importance_threshold=Importance.BEST_PRACTICE_SUGGESTION)
    bad = [message for message in found if message is not None]
    assert not bad, [f"{message.importance.name} {message.check_function_name}: {message.message}" for message in bad]
    trials = fetch_trials(ran, server.address, stimuli=True)
    opening: Any = NWBHDF5IO  # its own checks hide its arguments from type checkers
    with opening(str(file), "r") as io:
        session = io.read()
        table = session.intervals["presentations"]
        assert len(table) == len(trials)
        assert list(table["trial"][:]) == list(range(1, len(trials) + 1))
        np.testing.assert_allclose(np.diff(table["stop_time"][:] - table["start_time"][:]), 0, atol=1e-6)
        assert set(table["timed_by"][:]) == {"rig"}
        assert (session.subject.species, session.subject.age, session.subject.sex) == ("Mus musculus", "P91D", "F")
        assert list(session.electrodes["contact"][:]) == ["e1", "e2"]
        assert [group.location for group in session.electrodes["group"][:]] == ["VISp", "VISl"]
        assert table["response_b"].description == "response of b in Hz, recorded by electrode e2; NaN if missed"
        assert (list(session.experimenter), session.institution, session.lab) == (["Rigger, Ruth"], "Somewhere", "Vision")
        series = session.stimulus["presented"]
        images = session.stimulus_template["stimuli"]
        order = [image.name for image in images.order_of_images[:]]
        for row in (0, 5, len(trials) - 1):
            name = order[int(series.data[row])]
            assert name == f"stimulus_{trials.stimulus[row]:06d}"
            shown = np.asarray(images[name].data).transpose(2, 0, 1)
            np.testing.assert_array_equal(shown, (trials.stimuli[row] * 255).round().astype(np.uint8))
        assert json.loads(session.scratch["configuration"].data)["seed"] == 5
        told = json.loads(session.notes)
        assert (told["session"], told["seed"], told["actmax"]) == (trials.session.name, 5, version("actmax"))
        assert session.scratch["latents"]["latent"].data.shape == (len(order), 5)


def test_an_nwb_file_claims_nothing_that_nobody_told(server, tmp_path):
    from pynwb import NWBHDF5IO

    with Session.create({**SPEC, "units": ["a"], "recording": {}, "stop": {"evaluations": 20}}, server.address) as session:
        generation = session.ask()
        assert generation is not None
        session.tell(np.ones(len(generation)), onsets=np.arange(len(generation)) + 900.0)
        generation = session.ask()
        assert generation is not None
        session.restart_clock()
        session.tell(np.ones(len(generation)), onsets=np.arange(len(generation)) + 1.0)
        name = session.name
    file = tmp_path / "x.nwb"
    done = actmax("session", "export", name, str(file), "--server", server.address)
    assert done.returncode == 0, done.stderr
    opening: Any = NWBHDF5IO
    with opening(str(file), "r") as io:
        session = io.read()
        assert (session.subject, session.experimenter, session.electrodes) == (None, None, None)
        table = session.intervals["presentations"]
        assert np.isnan(table["stop_time"][:]).all()
        assert set(table["clock"][:]) == {1, 2}
        assert np.ptp(table["start_time"][:]) < 300  # both clocks are put beside the server's


def test_an_electrode_that_is_not_listed_is_refused(server):
    with pytest.raises(InvalidInput, match="listed"):
        Session.create({**SPEC, "units": [{"name": "a", "electrode": "e9"}]}, server.address)
    with pytest.raises(InvalidInput, match="listed"):
        Session.create({**SPEC, "recording": {**RECORDING, "devices": []}}, server.address)


@pytest.mark.parametrize("name", ["x.csv", "x.PARKET"])
def test_a_file_of_another_kind_is_refused_with_what_there_is(name, tmp_path):
    done = actmax("session", "export", "0123456789abcdef", str(tmp_path / name), "--server", "127.0.0.1:1")
    assert done.returncode == 2
    assert ".parquet or .nwb" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_export_makes_its_folder_and_takes_no_file_for_one(server, ran, tmp_path):
    assert actmax("session", "export", ran, str(tmp_path / "new" / "x.parquet"), "--server", server.address).returncode == 0
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["x.parquet"]
    file = tmp_path / "new" / "x.parquet"
    for arguments in (["export", ran, str(file / "y.parquet")], ["report", ran, "--out", str(file)]):
        done = actmax("session", *arguments, "--server", server.address)
        assert done.returncode == 2
        assert "x.parquet is a file; give a folder" in done.stderr


def test_sessions_are_listed_shown_closed_and_forgotten(server, ran):
    listed = json.loads(actmax("session", "list", "--server", server.address, "--json").stdout)
    assert ran in [session["name"] for session in listed]
    shown = actmax("session", "show", ran, "--server", server.address)
    assert "over the first generation" in shown.stdout
    with Session.create(SPEC, server.address) as other:
        name = other.name
    assert actmax("session", "delete", name, "--yes", "--server", server.address).returncode != 0
    assert actmax("session", "close", name, "--server", server.address).returncode == 0
    assert actmax("session", "delete", name, "--yes", "--server", server.address).returncode == 0
    assert actmax("session", "show", name, "--server", server.address).returncode != 0


def test_a_rehearsal_runs_from_the_command_line(server):
    arguments = [
        "toy_lab:network",
        "--unit",
        "4[0]",
        "--generator",
        "toy_lab:decoder",
        "--server",
        server.address,
        "--allow-import",
        "toy_lab",
    ]
    arguments += ["--evaluations", "80", "--generation-size", "20", "--gain", "200", "--drop", "0.05", "--optimizer", "xdream", "--json"]
    done = actmax("simulate", *arguments)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["session"]["state"] == "SESSION_STATE_ENDED"
    assert found["session"]["recommendation"]["final"]
    assert found["clean_response"] > 0
    refused = actmax("simulate", "toy_lab:network", "--unit", "5[0]", "--allow-import", "toy_lab", "--server", server.address)
    assert refused.returncode == 2
    assert "unit" in refused.stderr


def test_an_interrupted_rehearsal_says_how_to_go_on(server):
    toy = ["--unit", "4[0]", "--generator", "toy_lab:decoder", "--server", server.address, "--allow-import", "toy_lab"]
    process = started("simulate", "toy_lab:network", *toy, "--evaluations", "1000000", "--optimizer", "random")
    name = re.findall("sessions/[0-9a-f]{16}", read_until(process.stderr, "generation 1"))[0]
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=200)
    assert process.returncode == 130, err
    assert err.splitlines()[-1] == f"{name} stays open; to go on, give the same command with --session {name}"
    assert "open" in actmax("session", "list", "--server", server.address).stdout
