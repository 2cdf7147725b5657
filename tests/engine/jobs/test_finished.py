"""Analyses of jobs that have ended, from their artifacts."""

import json

import numpy as np
import pytest

import toy_lab
from actmax.engine.errors import InvalidJob
from actmax.engine.jobs.finished import STATE, analyse_finished
from actmax.engine.results.reading import UnreadableResult, read_result
from actmax.engine.run import run_job
from actmax.engine.spec import ComponentSpec
from actmax.models.permissions import Permissions
from jobs import ALLOWED, PERMITTED, job

TUNING = ComponentSpec(name="toy_lab:Tuning", options={"levels": 4})
HERE = Permissions.of(ALLOWED, allow_files=True)


@pytest.mark.parametrize("changes", [{}, {"diverse": {"n": 2}, "optimizer": {"name": "adam"}, "baselines": [{"name": "random"}]}])
def test_a_result_comes_back_from_its_folder(tmp_path, changes):
    result = run_job(job(**changes), tmp_path, permissions=PERMITTED)
    read = read_result(tmp_path / "artifacts")
    assert read.spec == result.spec
    for one, other in zip(read.searches, result.searches, strict=True):
        for name in ("unit", "optimizer", "response", "response_sem", "measurements", "stopped_by", "note", "outcome", "stimulus_spec"):
            assert getattr(one, name) == getattr(other, name), name
        for name in ("stimulus", "latent", "scores"):
            assert np.array_equal(getattr(one, name), getattr(other, name), equal_nan=True), name
        assert (one.importance is None) == (other.importance is None)
        assert len(one.optima) == len(other.optima)
        for found, before in zip(one.optima, other.optima, strict=True):
            assert np.array_equal(found.latent, before.latent)
            assert (found.response, found.distances, found.distinct) == (before.response, before.distances, before.distinct)


def test_what_is_analysed_later_equals_what_is_analysed_at_once(tmp_path):
    at_once = run_job(job(analyses=[TUNING.model_dump()]), tmp_path / "at-once", permissions=PERMITTED)
    run_job(job(), tmp_path / "later", permissions=PERMITTED)
    folder = tmp_path / "later/artifacts"
    stages = []
    done = analyse_finished(folder, [TUNING], permissions=HERE, on_stage=stages.append)
    assert stages == ["fading stimuli: 1 of 2", "fading stimuli: 2 of 2"]
    assert np.array_equal(done.sections[0].arrays["responses"], at_once.sections[-1].arrays["responses"])
    one, other = (json.loads((tmp_path / name / "artifacts/result.json").read_text()) for name in ("at-once", "later"))
    assert one["sections"] == other["sections"]
    assert one["spec"] == other["spec"]
    with np.load(folder / "arrays.npz") as arrays, np.load(tmp_path / "at-once/artifacts/arrays.npz") as before:
        assert set(arrays) == set(before)
    page = (folder / "report.html").read_text()
    assert page.count("<h2") == (tmp_path / "at-once/artifacts/report.html").read_text().count("<h2")
    assert all((folder / figure["file"]).is_file() for figure in other["sections"][0]["figures"])
    assert not list(folder.glob(STATE.format("*")))


def test_again_it_stands_beside_the_first(tmp_path):
    run_job(job(), tmp_path, permissions=PERMITTED)
    for _ in range(2):
        analyse_finished(tmp_path / "artifacts", [TUNING], permissions=HERE)
    written = json.loads((tmp_path / "artifacts/result.json").read_text())
    assert [section["analysis"] for section in written["sections"]] == ["toy_lab:Tuning", "toy_lab:Tuning 2"]
    files = [figure["file"] for section in written["sections"] for figure in section["figures"]]
    assert len(set(files)) == len(files) == 4
    page = (tmp_path / "artifacts/report.html").read_text()
    assert 'id="section-1"' in page
    assert 'id="section-2"' in page


def test_interrupted_it_goes_on_and_cancelled_it_keeps_what_it_has(tmp_path, monkeypatch):
    run_job(job(), tmp_path, permissions=PERMITTED)
    folder = tmp_path / "artifacts"
    before = (folder / "result.json").read_text()
    assert analyse_finished(folder, [TUNING], permissions=HERE, should_stop=lambda: "suspend").reason == "suspend"
    assert (folder / "result.json").read_text() == before
    assert list(folder.glob(STATE.format("*")))
    shown, respond = [], toy_lab.ModuleTarget.respond
    with monkeypatch.context() as watched:
        watched.setattr(
            toy_lab.ModuleTarget, "respond", lambda self, stimuli, layers: shown.append(len(stimuli)) or respond(self, stimuli, layers)
        )
        done = analyse_finished(folder, [TUNING], permissions=HERE)
    assert len(done.sections[0].rows) == 2
    assert shown.count(4) == 1
    cut = analyse_finished(folder, [TUNING], permissions=HERE, should_stop=lambda: "cancel")
    assert len(cut.sections[0].rows) == 1


def test_one_that_fails_is_a_warning_and_the_folder_keeps_its_results(tmp_path):
    run_job(job(), tmp_path, permissions=PERMITTED)

    class Broken:
        needs = ()

        def run(self, context):
            raise ZeroDivisionError("no such luck")

    done = analyse_finished(tmp_path / "artifacts", [ComponentSpec(name="broken")], permissions=HERE, given={"broken": Broken()})
    assert done.sections == ()
    assert done.notices == ("the analysis broken failed: ZeroDivisionError: no such luck",)
    written = json.loads((tmp_path / "artifacts/result.json").read_text())
    assert written["warnings"] == list(done.notices)
    assert len(written["searches"]) == 2


def test_what_cannot_be_analysed_is_refused(tmp_path):
    run_job(job(), tmp_path, permissions=PERMITTED)
    with pytest.raises(InvalidJob, match=r"analyses\[0\]: film records searches while they run"):
        analyse_finished(tmp_path / "artifacts", [ComponentSpec(name="film")], permissions=HERE)
    with pytest.raises(InvalidJob, match=r"analyses\[1\]\.name"):
        analyse_finished(tmp_path / "artifacts", [TUNING, ComponentSpec(name="tunin")], permissions=HERE)
    with pytest.raises(UnreadableResult, match=r"result\.json"):
        analyse_finished(tmp_path, [TUNING], permissions=HERE)
    (tmp_path / "artifacts/arrays.npz").write_bytes(b"PK")
    with pytest.raises(UnreadableResult):
        analyse_finished(tmp_path / "artifacts", [TUNING], permissions=HERE)
