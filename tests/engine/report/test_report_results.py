from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from actmax.engine.report import write_artifacts
from actmax.engine.spec import JobSpec
from actmax.models.spaces import StimulusSpec
from analysed import analysed

SPEC = StimulusSpec((3, 8, 8))


def refuse(name: str):
    raise AssertionError(f"{name} is not JSON")


def written(result, folder, spec=SPEC):
    write_artifacts(analysed(result, spec), folder, spec)
    document = json.loads((folder / "result.json").read_text(encoding="utf-8"), parse_constant=refuse)
    with np.load(folder / "arrays.npz", allow_pickle=False) as arrays:
        return document, dict(arrays)


def test_everything_comes_back(make_job, tmp_path):
    result = make_job(3, 2)
    result.searches[1] = replace(result.searches[1], scores=result.searches[1].scores[:17])
    document, arrays = written(result, tmp_path / "a")
    assert document["format"] == 1
    assert int(arrays["format"]) == 1
    assert JobSpec.parse(document["spec"]) == result.spec
    assert (document["seconds"], document["cancelled"]) == (12.5, False)
    assert document["stimulus"] == {"modality": "image", "shape": [3, 8, 8], "low": 0.0, "high": 1.0}
    for row, (search, entry) in enumerate(zip(result.searches, document["searches"], strict=True)):
        assert (entry["unit"], entry["optimizer"]) == (search.unit, search.optimizer) == (arrays["units"][row], arrays["optimizers"][row])
        assert entry["response"] == search.response == arrays["responses"][row]
        assert entry["natural_best"] == search.natural_best == arrays["natural_best"][row]
        assert entry["natural_multiple"] == search.natural_multiple
        assert entry["above_natural"] is (search.response > 9.5)
        assert entry["best_seen"] == np.nanmax(search.scores)
        assert entry["evaluations"] == search.evaluations == arrays["evaluations"][row]
        assert entry["ended_after_seconds"] == search.seconds
        assert entry["stopped_by"] == search.stopped_by == arrays["stopped_by"][row]
        assert all((tmp_path / "a" / name).is_file() for name in entry["files"].values() if name is not None)
        assert np.array_equal(arrays["stimuli"][row], search.stimulus)
        assert np.array_equal(arrays["latents"][row], search.latent)
        assert np.array_equal(arrays["scores"][row][: search.evaluations], search.scores, equal_nan=True)
        assert np.isnan(arrays["scores"][row][search.evaluations :]).all()
    assert arrays["stimuli"].dtype == np.float32
    assert arrays["latents"].dtype == result.searches[0].latent.dtype
    assert arrays["scores"].shape == (6, 60)
    assert all((tmp_path / "a" / name).is_file() for name in document["files"].values())


def test_the_summary_counts(make_job, tmp_path):
    result = make_job(3, 2)
    responses = [(12.0, 8.0), (8.0, 8.0), (9.0, 18.0)]
    result.searches[:] = [
        replace(search, response=responses[at // 2][at % 2], natural_best=8.0) for at, search in enumerate(result.searches)
    ]
    document, _ = written(result, tmp_path / "a")
    assert document["summary"] == {
        "units": 3,
        "units_compared": 3,
        "units_above_natural": 2,
        "optimizers": [
            {
                "optimizer": "protes",
                "searches": 3,
                "units_compared": 3,
                "units_above_natural": 2,
                "median_multiple": 9 / 8,
                "units_best": 2,
            },
            {
                "optimizer": "adam",
                "searches": 3,
                "units_compared": 3,
                "units_above_natural": 1,
                "median_multiple": 1.0,
                "units_best": 2,
            },
        ],
    }


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_what_is_no_number_is_null(make_job, tmp_path, bad):
    result = make_job(2, 1)
    result.searches[0] = replace(result.searches[0], response=bad, natural_best=bad, scores=np.full(5, np.nan))
    result = replace(result, seconds=bad)
    document, arrays = written(result, tmp_path / "a")
    entry = document["searches"][0]
    assert [entry[name] for name in ("response", "natural_best", "natural_multiple", "above_natural", "best_seen")] == [None] * 5
    assert document["seconds"] is None
    assert np.isnan(arrays["natural_best"][0])


def test_without_natural_responses(make_job, tmp_path):
    document, arrays = written(make_job(2, 2, natural=None), tmp_path / "a")
    assert document["summary"]["units_compared"] == 0
    assert document["summary"]["optimizers"][0]["median_multiple"] is None
    assert document["searches"][0]["natural_best"] is None
    assert np.isnan(arrays["natural_best"]).all()


def test_a_natural_best_of_zero_can_be_beaten_but_not_multiplied(make_job, tmp_path):
    document, _ = written(make_job(1, 1, natural=0.0), tmp_path / "a")
    entry = document["searches"][0]
    assert entry["natural_best"] == 0.0
    assert entry["natural_multiple"] is None
    assert entry["above_natural"] is True


def test_no_search_at_all(make_job, tmp_path):
    document, arrays = written(replace(make_job(cancelled=True), searches=[]), tmp_path / "a")
    assert document["cancelled"] is True
    assert document["searches"] == []
    assert document["files"]["montage"] is None
    assert arrays["stimuli"].shape == (0, 3, 8, 8)
    assert arrays["scores"].shape == (0, 0)
    assert arrays["units"].shape == (0,)


def test_a_series(make_job, tmp_path):
    spec = StimulusSpec((2, 40), -1, 1, "series")
    document, arrays = written(make_job(1, 2, spec), tmp_path / "a", spec)
    assert document["stimulus"]["modality"] == "series"
    assert document["searches"][0]["files"]["raw"] is None
    assert arrays["stimuli"].shape == (2, 2, 40)
