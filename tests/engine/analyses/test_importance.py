"""Importance maps: the accumulated gradient at the stimulus, through checkpoints, to the artifacts."""

import io
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from actmax.engine.build import check
from actmax.engine.report.pictures import faded, opacity
from actmax.engine.run import execute, run_job, searches_of
from actmax.models.spaces import StimulusSpec
from jobs import ALLOWED, PERMITTED, job, run_with_stops

GRADED = {"optimizer": {"name": "adam"}, "baselines": [{"name": "random"}], "budget": {"evaluations": 12}}


class Shown:
    """Keeps the latents of every generation of the first search."""

    def __init__(self, search):
        self.latents = []
        ask = search.ask

        def asked():
            found = ask()
            self.latents.append(found.clone())
            return found

        search.ask = asked


@pytest.mark.parametrize("generator", ["toy_lab:decoder", "toy_lab:codes"])
def test_it_is_the_sum_of_absolute_gradients_at_the_stimuli(generator):
    checked = check(job(generator={"name": generator}, **GRADED), allow_imports=ALLOWED)
    searches = searches_of(checked)
    shown = Shown(searches[0])
    result = execute(checked, searches)
    expected = torch.zeros(6, 6, dtype=torch.float64)
    for latents in shown.latents:
        stimuli = checked.generator(latents).detach().requires_grad_()
        score = checked.objective(checked.units[0])(checked.target.respond(stimuli, {"4"})).sum()
        (slope,) = torch.autograd.grad(score, stimuli)
        expected += slope.double().abs().sum((0, 1))
    found = result.searches[0].importance
    assert len(shown.latents) == 12
    assert found is not None
    assert found.shape == (6, 6)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-4)
    assert result.searches[1].importance is None  # random search had no gradients


def test_an_interrupted_job_has_the_same_map_and_the_artifacts_show_it(tmp_path):
    whole = run_job(job(**GRADED), tmp_path / "whole", permissions=PERMITTED)
    resumed, stops = run_with_stops(job(**GRADED), tmp_path / "parts", 5)
    assert stops >= 2
    for one, other in zip(whole.searches, resumed.searches, strict=True):
        if one.importance is None or other.importance is None:
            assert one.importance is other.importance
        else:
            assert np.array_equal(one.importance, other.importance)
    folder = tmp_path / "whole" / "artifacts"
    written = json.loads((folder / "result.json").read_text())["searches"]
    with np.load(folder / "arrays.npz", allow_pickle=False) as arrays:
        maps = arrays["importance"]
    for row, search, entry in zip(maps, whole.searches, written, strict=True):
        if search.importance is None:
            assert np.isnan(row).all()
            assert entry["files"]["importance"] is None
        else:
            assert np.array_equal(row, search.importance)
            with Image.open(folder / entry["files"]["importance"]) as picture:
                assert picture.mode == "RGBA"
                assert np.asarray(picture)[..., 3].max() == 255


def test_the_picture_follows_the_recipe():
    rng = np.random.default_rng(0)
    stimulus = rng.uniform(0.2, 0.7, (3, 10, 8)).astype(np.float32)
    importance = rng.exponential(size=(10, 8)).astype(np.float32)
    # as the authors write it
    low, high = np.percentile(stimulus, [1, 99])
    colours = (np.clip(stimulus, low, high) - low) / (high - low)
    alpha = np.clip(importance, None, np.percentile(importance, 80))
    alpha = alpha / alpha.max()
    found = np.asarray(faded(stimulus, importance, StimulusSpec((3, 10, 8)), to=10)) / 255
    np.testing.assert_allclose(found[..., :3], colours.transpose(1, 2, 0), atol=0.003)
    np.testing.assert_allclose(found[..., 3], alpha, atol=0.003)
    grey = np.asarray(faded(stimulus[:1], importance, StimulusSpec((1, 10, 8)), to=10))
    assert (grey[..., 0] == grey[..., 1]).all()


def test_little_or_no_importance_still_makes_a_picture():
    assert (opacity(np.zeros((4, 4), np.float32)) == 1).all()
    single = np.zeros((4, 4), np.float32)
    single[1, 2] = 3
    assert opacity(single)[1, 2] == 1
    assert opacity(single).sum() == 1
    flat = faded(np.full((3, 4, 4), 0.5, np.float32), single, StimulusSpec((3, 4, 4)))
    buffer = io.BytesIO()
    flat.save(buffer, "PNG")
    assert np.asarray(flat)[0, 0, 3] == 0


def test_a_result_without_a_map_is_as_before(tmp_path):
    result = run_job(job(), tmp_path, permissions=PERMITTED)
    assert all(search.importance is None for search in result.searches)
    assert not (tmp_path / "artifacts" / "stimuli" / "importance").exists()
    assert replace(result.searches[0]).importance is None
