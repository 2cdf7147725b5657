import io
import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from actmax.engine.analyses.diversity import apart
from actmax.engine.report.artifacts import write_artifacts
from actmax.engine.results.result import Optimum
from actmax.engine.spec import DiverseSpec
from actmax.models.spaces import StimulusSpec
from analysed import analysed

IMAGE, SERIES = StimulusSpec((3, 8, 8)), StimulusSpec((2, 30), -1, 1, "series")


def with_optima(made, spec, n=3):
    """The job with a set of ``n`` for every search, the last of them nearer than asked."""
    random = np.random.RandomState(5)
    searches = []
    for search in made.searches:
        distances = 0.5 + 0.4 * random.rand(n, n)
        distances = (distances + distances.T) / 2 * (1 - np.eye(n))
        distances[-1, 0] = distances[0, -1] = 0.1
        found = [Optimum(0, search.latent, search.stimulus, search.response, None, 1, tuple(distances[0]))]
        for number in range(1, n):
            latent, stimulus = random.randint(0, 512, (8, 8)), random.rand(*spec.shape).astype(np.float32)
            found.append(Optimum(number, latent, stimulus, 12.25 - number, 0.5, 4, tuple(distances[number]), number < n - 1))
        searches.append(replace(search, optima=found))
    job = made.spec.model_copy(update={"diverse": DiverseSpec(n=n, distance=0.4)})
    return replace(made, spec=job, searches=searches)


@pytest.mark.parametrize("spec", [IMAGE, SERIES], ids=["images", "series"])
@pytest.mark.parametrize("optimizers", [1, 2])
def test_every_optimum_has_its_files_its_numbers_and_its_place_in_the_report(make_job, tmp_path, spec, optimizers):
    result = with_optima(make_job(2, optimizers, spec=spec), spec)
    write_artifacts(analysed(result, spec), tmp_path / "out", spec)
    document = json.loads((tmp_path / "out/result.json").read_text())
    arrays = np.load(tmp_path / "out/arrays.npz")
    row = 0
    for number, (search, told) in enumerate(zip(result.searches, document["searches"], strict=True)):
        assert [one["response"] for one in told["optima"]] == [one.response for one in search.optima]
        assert [one["distinct"] for one in told["optima"]] == [True, True, False]
        assert told["optima"][0]["files"] == {name: told["files"][name] for name in ("stimulus", "raw")}
        for one, each in zip(search.optima, told["optima"], strict=True):
            assert each["distances"] == list(one.distances)
            assert each["nearest"] == one.nearest == min(np.delete(one.distances, one.number))
            assert (tmp_path / "out" / each["files"]["stimulus"]).is_file()
            if spec is IMAGE:
                raw = Image.open(tmp_path / "out" / each["files"]["raw"])
                assert np.array_equal(np.asarray(raw), np.rint(one.stimulus.transpose(1, 2, 0) * 255).astype(np.uint8))
            assert arrays["optima_searches"][row] == number
            assert np.array_equal(arrays["optima_stimuli"][row], one.stimulus)
            assert np.array_equal(arrays["optima_latents"][row], one.latent)
            assert arrays["optima_responses"][row] == one.response
            row += 1
    assert row == len(arrays["optima_responses"]) == 3 * len(result.searches)
    page = (tmp_path / "out/report.html").read_text()
    assert page.count('<ol class="row">') == len(result.searches)
    assert page.count("nearer than was asked") == len(result.searches)
    assert "11.25 ± 0.5" in page
    assert "0.10 from 1" in page
    assert "3 stimuli a search, any two at least 0.4 apart" in page.replace("0.4000", "0.4")
    assert "diverse:\n  n: 3\n  distance: 0.4" in page


def test_without_a_diverse_set_there_is_none(make_job, tmp_path):
    write_artifacts(analysed(make_job(1, 1), IMAGE), tmp_path / "out", IMAGE)
    (search,) = json.loads((tmp_path / "out/result.json").read_text())["searches"]
    assert search["optima"] == []
    arrays = np.load(io.BytesIO((tmp_path / "out/arrays.npz").read_bytes()))
    assert arrays["optima_stimuli"].shape == (0, 3, 8, 8)
    page = (tmp_path / "out/report.html").read_text()
    assert "optima" not in page.partition("</style>")[2]
    assert "diverse" not in page


def test_distances_are_named_up_to_six_optima():
    few = Optimum(1, np.zeros(2), np.zeros(2, np.float32), 1.0, distances=(0.5, 0.0, 0.25))
    assert apart(few) == "0.50 from 1, 0.25 from 3"
    many = Optimum(0, np.zeros(2), np.zeros(2, np.float32), 1.0, distances=(0.0, *[0.9] * 5, 0.3, 0.8))
    assert apart(many) == "0.30 from 7, the nearest"
