"""Tuning in jobs: of the zoo's networks, of noisy ones, of several optima, refused, and what is written."""

import json

import numpy as np
import pytest

import toy_lab
from actmax.engine.analyses.tuning.analysis import Tuning
from actmax.engine.errors import InvalidJob
from actmax.engine.maximize import maximize
from actmax.engine.run import run_job
from actmax.engine.testing import check_analysis
from jobs import PERMITTED, job

FEW = Tuning.Options(points=1, latent_axes=1)


@pytest.mark.parametrize(
    ("target", "unit", "follows"), [("cifar10-cnn", "layer1[2]", True), ("cifar10-vit", "head[3]", False), ("cifar10-snn", "lif2[4]", True)]
)
def test_it_keeps_to_the_contract_on_each_kind_of_network(target, unit, follows):
    options = Tuning.Options(points=1, latent_axes=1, transformations=["shift-x", "rotation", "hue"])
    (section,) = check_analysis(Tuning(options), "cifar10-vqvae", target, [unit])
    assert [row["change"] for row in section.rows] == [
        "shift to the right, pixels",
        "rotation anticlockwise, °",
        "hue, °",
        "codes of another latent (1), %",
    ]
    assert section.arrays["hue/responses"].shape == (1, 3)
    assert ("shift-x/equivariance" in section.arrays) == follows
    assert len(section.figures) == 1


def test_responses_are_those_of_the_changed_stimuli(tmp_path):
    spec = job(analyses=[{"name": "tuning", "options": {"points": 2}}], diverse={"n": 2})
    result = run_job(spec, tmp_path, permissions=PERMITTED)
    section = next(section for section in result.sections if section.analysis == "tuning")
    assert result.notices == ()
    assert len(section.rows) == 2 * 2 * 9
    assert section.arrays["optima"].tolist() == [0, 1, 0, 1]
    own = [one.response for search in result.searches for one in search.optima]
    for key, middle in (("shift-x", 2), ("contrast", 2), ("latent-3", 2)):
        assert np.allclose(section.arrays[f"{key}/responses"][:, middle], own, rtol=1e-4, atol=1e-5)
    network = toy_lab.network()
    faded = 0.5 + 0.5 * (result.searches[1].optima[1].stimulus - 0.5)
    expected = network.respond(toy_lab.torch.from_numpy(faded)[None], {"4"})["4"][0, 2]
    assert section.arrays["contrast/responses"][3, 1] == pytest.approx(float(expected), rel=1e-4)
    written = json.loads((tmp_path / "artifacts/result.json").read_text())
    told = next(one for one in written["sections"] if one["analysis"] == "tuning")
    assert told["rows"][0]["optimum"] == 1
    assert all((tmp_path / "artifacts" / figure["file"]).exists() for figure in told["figures"])
    assert "Tuning around the optima" in (tmp_path / "artifacts/report.html").read_text()


def test_a_noisy_target_is_shown_each_stimulus_several_times_and_has_error_bars():
    noisy = {"target": {"name": "toy_lab:network"}, "noise": "gaussian", "sigma": 0.1}
    found = maximize("toy_lab:decoder", "noisy", "4[1]", optimizer="random", evaluations=20, target_options=noisy, analyses=["tuning"])
    (section,) = [section for section in found.sections if section.analysis == "tuning"]
    sems = section.arrays["rotation/sems"]
    assert sems.shape == (1, 13)
    assert sems.mean() == pytest.approx(0.1 / np.sqrt(8), rel=0.4)
    assert any("shown 8 times" in note for note in section.notes)


def test_missed_trials_and_silent_units_leave_no_nan_behind():
    found = maximize("pixel", toy_lab.query_only(), "answer[0]", optimizer="random", evaluations=14, analyses=[Tuning(FEW)])
    silent = maximize("toy_lab:decoder", toy_lab.still_network(), "4[0]", optimizer="random", evaluations=6, analyses=[Tuning(FEW)])
    for result in (found, silent):
        (section,) = [section for section in result.sections if section.title.startswith("Tuning")]
        assert not any(isinstance(value, float) and not np.isfinite(value) for row in section.rows for value in row.values())


def test_what_can_not_be_changed_is_refused():
    def refused(target, unit, **options):
        with pytest.raises(InvalidJob) as error:
            maximize("pixel", target, unit, evaluations=5, analyses=[{"name": "tuning", "options": options}])
        (violation,) = error.value.violations
        return violation.field, violation.description

    field, why = refused("series-classifier", "fc[0]", transformations=["rotation", "scale"])
    assert field == "analyses[0].options.transformations"
    assert why.startswith("rotation can't change the target's stimuli (series 1 × 128")
    assert refused("cifar10-cnn", "fc[0]", transformations=[], latent_axes=0)[0] == "analyses[0].options.transformations"
    assert "points" in refused("cifar10-cnn", "fc[0]", points=0)[0]
