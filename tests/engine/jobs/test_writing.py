"""No fault while drawing or writing loses a finished search."""

import errno
import json
import resource
import tempfile
from contextlib import contextmanager

import numpy as np
import pytest
import torch

from actmax.engine import run as run_module
from actmax.engine.analyses.film_recorder import Film
from actmax.engine.analyses.most_activating import MostActivating
from actmax.engine.jobs import writing
from actmax.engine.maximize import maximize
from actmax.engine.report import drawings
from actmax.engine.run import NotWritten, RunSettings, run_job
from jobs import PERMITTED, job


def network():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 6 * 6, 4))


def maximized(**options):
    return maximize("pixel", network(), "1[2]", target_options={"shape": [3, 6, 6]}, evaluations=24, prior="none", seed=1, **options)


@contextmanager
def files_of_at_most(size):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_without_a_folder_nothing_is_drawn_or_written(monkeypatch):
    def never(*_args, **_options):
        raise AssertionError("drawn or written")

    for where, name in ((writing, "write_artifacts"), (drawings, "png"), (tempfile, "mkdtemp"), (run_module, "Checkpointer")):
        monkeypatch.setattr(where, name, never)
    assert maximized().warnings == ()


def test_a_folder_changes_no_bit(tmp_path):
    without, within = maximized(), maximized(folder=tmp_path)
    assert np.array_equal(without.searches[0].scores, within.searches[0].scores)
    assert np.array_equal(without.searches[0].stimulus, within.searches[0].stimulus)


def test_a_folder_that_cannot_be_written_is_refused_before_any_evaluation(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "mine/artifacts").mkdir(parents=True)
    (tmp_path / "mine/artifacts/thesis.tex").write_text("precious")
    for folder, kind in ((tmp_path / "file" / "below", OSError), (tmp_path / "mine", FileExistsError)):
        with pytest.raises(kind):
            maximized(folder=folder, on_progress=lambda _: pytest.fail("it began"))


def test_a_result_that_cannot_be_written_is_returned_with_a_warning(tmp_path):
    def occupy(progress):
        if progress.searches[0].stopped_by:
            (tmp_path / "artifacts").write_text("in the way")

    result = maximized(folder=tmp_path, on_progress=occupy)
    assert np.array_equal(result.searches[0].stimulus, maximized().searches[0].stimulus)
    (warning,) = result.warnings
    assert "artifacts" in warning
    assert "other things in it" in warning


def test_a_full_disk_leaves_a_result_with_a_warning_and_no_half_written_file(tmp_path):
    with files_of_at_most(100):
        result = maximized(folder=tmp_path)
    assert np.array_equal(result.searches[0].scores, maximized().searches[0].scores)
    assert "File too large" in result.warnings[-1]
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_job_goes_on_without_checkpoints_where_none_are_needed_and_ends_where_they_are(tmp_path):
    budget = {"evaluations": 400}
    with files_of_at_most(100):
        with pytest.raises(NotWritten) as lost:
            run_job(job(budget=budget), tmp_path / "a", permissions=PERMITTED, settings=RunSettings(checkpoint_interval=0.0))
        assert lost.value.errno == errno.EFBIG
        with pytest.raises(OSError, match="large") as ended:
            run_job(
                job(budget=budget),
                tmp_path / "b",
                permissions=PERMITTED,
                settings=RunSettings(checkpoint_interval=0.0, keep_checkpoint=True),
            )
    assert not isinstance(ended.value, NotWritten)
    assert all(found.evaluations == 400 for found in lost.value.result.searches)


def test_progress_says_that_no_checkpoint_can_be_written(tmp_path):
    seen = []
    with files_of_at_most(100), pytest.raises(NotWritten):
        run_job(
            job(budget={"evaluations": 4000}),
            tmp_path,
            on_progress=seen.append,
            permissions=PERMITTED,
            settings=RunSettings(checkpoint_interval=0.0),
        )
    assert "no checkpoint could be written (File too large)" in seen[-1].warnings[-1]


def test_a_process_killed_while_it_draws_goes_on_from_the_ended_search(tmp_path, monkeypatch):
    def killed(*_args, **_options):
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(drawings, "enlarged", killed)
        with pytest.raises(KeyboardInterrupt):
            run_job(job(), tmp_path, permissions=PERMITTED, settings=RunSettings(checkpoint_interval=1e9))
    evaluated = []
    with monkeypatch.context() as watched:
        step = run_module.Loop.step
        watched.setattr(run_module.Loop, "step", lambda loop, active: evaluated.append(active) or step(loop, active))
        result = run_job(job(), tmp_path, permissions=PERMITTED)
    assert evaluated == []
    assert (tmp_path / "artifacts/report.html").is_file()
    whole = run_job(job(), None, permissions=PERMITTED)
    for one, other in zip(whole.searches, result.searches, strict=True):
        assert np.array_equal(one.scores, other.scores)
        assert one.response == other.response


@pytest.mark.parametrize("report", [{"images": True}, {"film": "gif"}], ids=lambda report: next(iter(report)))
def test_pictures_and_films_that_cannot_be_made_are_named(tmp_path, monkeypatch, report):
    def fails(*_args, **_options):
        raise RuntimeError("no more memory")

    if "images" in report:
        from PIL import Image

        (tmp_path / "pictures").mkdir()
        Image.new("RGB", (8, 8)).save(tmp_path / "pictures/a.png")
        result_options = {"images": tmp_path / "pictures"}
        monkeypatch.setattr(MostActivating, "found", fails)
    else:
        result_options = {"film": "gif"}
        monkeypatch.setattr(Film, "result", fails)
    result = maximized(folder=tmp_path / "out", **result_options)
    (warning,) = result.warnings
    assert "RuntimeError: no more memory" in warning
    written = json.loads((tmp_path / "out/artifacts/result.json").read_text())
    assert written["warnings"] == [warning]
    assert written["searches"][0]["response"] == pytest.approx(result.searches[0].response)
