"""Progress is reported between the passes of a generation, while what was found is measured, and while the report is drawn."""

import itertools

import numpy as np
import pytest

from actmax.engine.build import check
from actmax.engine.evaluation.loop import Loop
from actmax.engine.jobs.observers import ProgressReporter, progress_of
from actmax.engine.run import execute, run_job, searches_of
from jobs import ALLOWED, PERMITTED, job


class Always(ProgressReporter):
    """A reporter that never finds it too early."""

    def __init__(self, report, budget_seconds=None, **options):
        super().__init__(report, budget_seconds, 0.0, **options)


def run(optimizer, monkeypatch, observers, max_batch=7):
    """A job in passes of seven stimuli."""
    monkeypatch.setattr("actmax.engine.run.batch_of", lambda _job: max_batch)
    spec = job(units=["4[*]"], optimizer={"name": optimizer}, budget={"evaluations": 90})
    checked = check(spec, allow_imports=ALLOWED)
    return execute(checked, searches_of(checked), observers=observers)


@pytest.mark.parametrize("optimizer", ["random", "adam", "protes"])
def test_evaluations_are_counted_from_pass_to_pass(optimizer, monkeypatch):
    seen = []
    result = run(optimizer, monkeypatch, [Always(seen.append)])
    searching = [progress for progress in seen if not progress.stage]
    counts = [progress.evaluations for progress in searching]
    assert counts[0] == 0
    assert counts == sorted(counts)
    assert counts[-1] == sum(search.evaluations for search in result.searches)
    assert max(later - earlier for earlier, later in itertools.pairwise(counts)) <= 7
    for progress in searching:
        assert progress.evaluations == sum(search.evaluations for search in progress.searches) <= progress.total_evaluations
        assert progress.seconds_left >= 0


def test_reporting_changes_no_bit(monkeypatch):
    watched, alone = run("adam", monkeypatch, [Always(lambda _: None)]), run("adam", monkeypatch, [])
    for one, other in zip(watched.searches, alone.searches, strict=True):
        assert np.array_equal(one.scores, other.scores)
        assert np.array_equal(one.stimulus, other.stimulus)


def test_the_last_measurements_are_reported(monkeypatch):
    seen = []
    units = len(run("random", monkeypatch, [Always(seen.append)], max_batch=2).searches)
    stages = [progress.stage for progress in seen if progress.stage]
    assert stages == [f"measuring what was found: {min(done, units)} of {units}" for done in range(2, units + 2, 2)]
    assert all(search.stopped_by for progress in seen if progress.stage for search in progress.searches)


def test_drawing_is_reported(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr("actmax.engine.run.ProgressReporter", Always)
    run_job(job(), tmp_path, on_progress=seen.append, permissions=PERMITTED)
    assert any(progress.stage.startswith("drawing the report") for progress in seen)


def test_a_search_is_only_saved_between_generations(monkeypatch):
    """An observer that saves sees whole generations alone, however many passes each has."""
    saved = []

    class Saver:
        def generation_done(self, searches, seconds):
            saved.append([search.evaluations for search in searches])
            for search in searches:
                search.state_dict()

    under_way = []
    monkeypatch.setattr(Loop, "report", lambda loop, stage="": under_way.append(sum(loop._under_way.values())))
    run("protes", monkeypatch, [Saver()])
    assert len(under_way) > len(saved)
    assert 0 in under_way


def test_time_left_counts_what_is_under_way():
    checked = check(job(budget={"evaluations": 100}), allow_imports=ALLOWED)
    first, second = searches_of(checked)
    bare, with_some = progress_of([first, second], 10.0, 1.0, None), progress_of([first, second], 10.0, 1.0, None, under_way={first: 50})
    assert (bare.evaluations, bare.seconds_left) == (0, 20.0)
    assert (with_some.evaluations, with_some.seconds_left) == (50, 15.0)
    assert [search.evaluations for search in with_some.searches] == [50, 0]
