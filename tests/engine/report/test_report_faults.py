"""A fault in any drawing leaves the numbers, the other pictures, and a notice that names what is missing."""

import dataclasses
import json

import numpy as np
import pytest

from actmax.engine.analyses import film, most_activating
from actmax.engine.analyses.most_activating import MostActivating
from actmax.engine.report import artifacts, drawings, pictures, write_artifacts
from actmax.engine.results.folder_images import FolderImage, FolderImages
from actmax.engine.results.result import Moment, Optimum
from actmax.models.pictures.folder import FolderReading
from actmax.models.spaces import StimulusSpec
from analysed import analysed

SPEC = StimulusSpec((3, 8, 8))

STEPS = {
    "enlarged": (drawings, {"stimuli/lif_out-0--protes.png"}),
    "own_size": (drawings, {"stimuli/raw/lif_out-0--protes.png"}),
    "figure_file": (
        drawings,
        {
            "stimuli/lif_out-0--protes--2.png",
            "stimuli/raw/lif_out-0--protes--2.png",
            "stimuli/importance/lif_out-0--protes.png",
            "film/lif_out-0--protes.gif",
            "images.png",
        },
    ),
    "faded": (pictures, {"stimuli/importance/lif_out-0--protes.png"}),
    "film_frames": (film, {"film/lif_out-0--protes.gif"}),
    "convergence_plot": (drawings, {"convergence/lif_out-0.png"}),
    "convergence_overview": (drawings, {"convergence.png"}),
    "sheets": (drawings, {"montage.png"}),
    "montage": (drawings, {"montage.png"}),
    "sheet": (most_activating, {"images.png"}),
    "report_html": (artifacts, {"report.html"}),
}
"""Each function that draws, where it is called from, and the files that are missing without it."""
EVERY = {"arrays.npz", "result.json"}.union(*(missing for _, missing in STEPS.values()))
ERRORS = [ValueError("no such glyph"), MemoryError(), OSError(28, "No space left on device")]


@pytest.fixture
def job(make_job, monkeypatch):
    """A job with every kind of picture."""
    made = make_job(1, 1)
    search = made.searches[0]
    optima = [Optimum(number, search.latent, search.stimulus, 1.0, distances=(0.0, 1.0)) for number in range(2)]
    moments = [Moment(at, 1.0, search.stimulus) for at in (1, 2)]
    recorded = {"importance": np.ones((8, 8), np.float32), "film": moments}
    made.searches[0] = dataclasses.replace(search, optima=optima, recorded=recorded)
    shown = FolderImages("pictures", 1, FolderReading("pictures"), {search.unit: [FolderImage("a.png", 1.0, search.stimulus)]})
    report = made.spec.report.model_copy(update={"film": "gif", "images": "pictures"})
    monkeypatch.setattr(MostActivating, "found", lambda analysis, context: shown)
    return analysed(dataclasses.replace(made, spec=made.spec.model_copy(update={"report": report})), SPEC)


def files(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("step", STEPS)
def test_a_drawing_that_fails_is_left_out_and_named(job, tmp_path, monkeypatch, step):
    where, missing = STEPS[step]

    def fails(*_args, **_options):
        raise ERRORS[list(STEPS).index(step) % len(ERRORS)]

    monkeypatch.setattr(where, step, fails)
    told = write_artifacts(job, tmp_path / "a", SPEC)
    assert EVERY - files(tmp_path / "a") == missing
    with np.load(tmp_path / "a/arrays.npz") as arrays:
        assert np.array_equal(arrays["stimuli"][0], job.searches[0].stimulus)
    (notice,) = told.notices
    assert "could not be drawn" in notice
    document = json.loads((tmp_path / "a/result.json").read_text())
    assert document["warnings"] == [notice]
    assert not missing & {name for name in named_files(document) if name is not None}
    assert {name for name in named_files(document) if name is not None} <= files(tmp_path / "a")


def named_files(document):
    if isinstance(document, dict):
        for key, value in document.items():
            if key == "files":
                yield from value.values()
            elif key == "sheets":
                yield from (name for names in value.values() for name in names)
            else:
                yield from named_files(value)
    elif isinstance(document, list):
        for value in document:
            yield from named_files(value)


def test_every_drawing_may_fail_at_once(job, tmp_path, monkeypatch):
    for step, (where, _) in STEPS.items():

        def fails(*_args, step=step, **_options):
            raise RuntimeError(step)

        monkeypatch.setattr(where, step, fails)
    told = write_artifacts(job, tmp_path / "a", SPEC)
    assert files(tmp_path / "a") == {"arrays.npz", "result.json"}
    assert len(told.notices) >= 7


def test_a_report_says_what_could_not_be_drawn(job, tmp_path, monkeypatch):
    def fails(*_args, **_options):
        raise RuntimeError("out of ink")

    monkeypatch.setattr(drawings, "montage", fails)
    write_artifacts(job, tmp_path / "a", SPEC)
    assert "montage.png could not be drawn: RuntimeError: out of ink" in (tmp_path / "a/report.html").read_text()
