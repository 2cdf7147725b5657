"""What was flushed survives any end of the process, and goes on with the same bits."""

from __future__ import annotations

import shutil

import pytest
from rigs import GIVEN, neuron, run, session, spec

from actmax.engine.session import durable_session as kept_module
from actmax.engine.session.checking import check_session
from actmax.engine.session.durable_session import DurableSession
from actmax.engine.session.errors import DamagedSession
from actmax.engine.session.log import Log
from actmax.engine.session.session import Session
from actmax.engine.session.trials import Status


def created(folder):
    return DurableSession.create(folder, check_session(spec(), given=GIVEN), {"id": "x"})


def test_a_session_that_was_lost_at_any_point_goes_on_as_if_undisturbed(tmp_path, monkeypatch):
    monkeypatch.setattr(kept_module, "SNAPSHOT_SECONDS", 0.1)
    undisturbed = session()
    expected = run(undisturbed)
    kept = created(tmp_path / "x")
    shown = []
    turn = 0
    while not kept.session.stopped_by:
        told = neuron(kept.session)
        for part in filter(None, (told[:7], told[7:12], told[12:])):
            turn += 1
            kept.tell(part)
            if turn % 3 == 0:  # not flushed: nobody was told that it is kept
                kept.close()
                kept = DurableSession(tmp_path / "x", given=GIVEN)
                kept.tell(part)
            kept.flush()
            if turn % 4 == 0:
                kept.close()
                kept = DurableSession(tmp_path / "x", given=GIVEN)
            if kept.session.complete:
                shown.append(tuple(trial.stimulus for trial in kept.session.record.current))
                kept.step()
            elif not kept.session.stopped_by and kept.session.record.untold == len(kept.session.record.current):
                # opened after the last part: the step was made there
                previous = [t for t in kept.session.record.trials if t.generation == kept.session.record.generation - 1]
                shown.append(tuple(trial.stimulus for trial in previous))
    assert (tmp_path / "x" / "snapshot.safetensors").exists()
    if len(shown) < len(expected):  # the last generation ended while it was being opened
        shown.append(tuple(t.stimulus for t in kept.session.record.trials if t.generation == kept.session.record.generation))
    assert shown == expected
    assert [repr(trial.score) for trial in kept.session.record.trials] == [repr(trial.score) for trial in undisturbed.record.trials]
    assert repr(kept.session.found()) == repr(undisturbed.found())


def test_a_torn_tail_is_dropped_and_damage_before_it_is_an_error(tmp_path):
    kept = created(tmp_path / "x")
    told = neuron(kept.session)
    for each in told[:3]:
        kept.tell([each])
        kept.flush()
    kept.close()
    log = tmp_path / "x" / "log"
    whole = log.read_bytes()
    for cut in range(1, len(whole.splitlines(keepends=True)[-1])):
        log.write_bytes(whole[:-cut])
        again = DurableSession(tmp_path / "x", given=GIVEN)
        assert again.sequence == 2
        assert again.session.record.counts[Status.TOLD] == 2
        again.close()
        if cut > 3:
            break
    # what comes after a dropped tail is read back
    again = DurableSession(tmp_path / "x", given=GIVEN)
    again.tell([told[5]])
    again.flush()
    again.close()
    again = DurableSession(tmp_path / "x", given=GIVEN)
    assert again.session.record.counts[Status.TOLD] == 3
    again.close()
    damaged = bytearray(whole)
    damaged[len(whole.splitlines(keepends=True)[0]) + 30] ^= 1
    log.write_bytes(bytes(damaged))
    with pytest.raises(DamagedSession, match="damaged"):
        DurableSession(tmp_path / "x", given=GIVEN)


def test_a_snapshot_that_is_damaged_is_passed_over(tmp_path, monkeypatch):
    monkeypatch.setattr(kept_module, "SNAPSHOT_SECONDS", 0.0)
    kept = created(tmp_path / "x")
    for _ in range(3):
        kept.tell(neuron(kept.session))
        kept.flush()
        kept.step()
    expected = [trial.stimulus for trial in kept.session.record.current]
    kept.close()
    (tmp_path / "x" / "snapshot.safetensors").write_bytes(b"no")
    assert [trial.stimulus for trial in DurableSession(tmp_path / "x", given=GIVEN).session.record.current] == expected


def test_a_snapshot_that_is_ahead_of_the_log_is_passed_over(tmp_path, monkeypatch):
    monkeypatch.setattr(kept_module, "SNAPSHOT_SECONDS", 0.0)
    kept = created(tmp_path / "x")
    kept.tell(neuron(kept.session))
    kept.step()  # what was told is not flushed, and nobody was told that it is kept
    assert (tmp_path / "x" / "snapshot.safetensors").exists()
    kept.close()
    again = DurableSession(tmp_path / "x", given=GIVEN)
    assert (again.sequence, again.session.record.generation) == (0, 1)
    again.tell(neuron(again.session))
    again.step()
    again.flush()
    again.close()
    last = DurableSession(tmp_path / "x", given=GIVEN)
    assert (last.sequence, last.session.record.generation) == (again.sequence, 2)
    last.close()


def test_opening_again_repeats_no_work_that_a_snapshot_holds(tmp_path, monkeypatch):
    monkeypatch.setattr(kept_module, "SNAPSHOT_SECONDS", 0.0)
    monkeypatch.setattr(kept_module, "SNAPSHOT_SHARE", 0.0)
    kept = created(tmp_path / "x")
    for _ in range(5):
        kept.tell(neuron(kept.session))
        kept.flush()
        kept.step()
    kept.tell(neuron(kept.session)[:2])
    kept.flush()
    kept.close()
    repeated: list[int] = []
    monkeypatch.setattr(Session, "step", lambda *_: repeated.append(1))
    again = DurableSession(tmp_path / "x", given=GIVEN)
    assert not repeated
    assert (again.sequence, again.changed) == (kept.sequence, kept.changed)
    assert repr(again.session.record.trials) == repr(kept.session.record.trials)
    again.close()


def test_a_replay_to_other_stimuli_is_found_out(tmp_path):
    kept = created(tmp_path / "x")
    for _ in range(2):
        kept.tell(neuron(kept.session))
        kept.flush()
        kept.step()
    kept.tell(neuron(kept.session)[:1])
    kept.flush()
    kept.close()
    records = Log.read(tmp_path / "x" / "log")
    shutil.rmtree(tmp_path / "x")
    (tmp_path / "x").mkdir()
    for record in records:
        if record["t"] == "tell" and len(record["trials"]) > 5:
            record["trials"][0][1] = [900.0, 1.0]
    log = Log(tmp_path / "x" / "log")
    log.append(records)
    log.close()
    with pytest.raises(DamagedSession, match="other trials"):
        DurableSession(tmp_path / "x", given=GIVEN)
