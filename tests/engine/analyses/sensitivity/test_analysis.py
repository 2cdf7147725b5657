"""Sensitivity in jobs: on every kind of network, with and without gradients, refused, silent, noisy."""

import numpy as np
import pytest

import toy_lab
from actmax.engine.analyses.sensitivity.analysis import Sensitivity
from actmax.engine.errors import InvalidJob
from actmax.engine.maximize import maximize
from actmax.engine.testing import check_analysis
from actmax.models.targets.target import PreservesState


def only(result):
    return next(section for section in result.sections if section.title == "Sensitivity")


@pytest.mark.parametrize(
    ("generator", "target", "unit", "options"),
    [
        ("pixel", "cifar10-cnn", "layer1[2]", {"factors": "blocks", "methods": ["sobol"]}),
        ("cifar10-sngan", "cifar10-vit", "head[3]", {"factors": "latents", "axes": 2, "methods": ["morris"]}),
        ("cifar10-vqvae", "cifar10-snn", "lif2[4]", {"factors": "latents", "methods": ["morris"]}),
        ("pixel", "diabetes", "fc[1]", {"methods": ["pawn"], "leading": False}),
    ],
)
def test_it_keeps_to_the_contract_on_each_kind_of_network(generator, target, unit, options):
    given = Sensitivity(Sensitivity.Options(samples=16, grid=1 if target != "cifar10-snn" else 2, second_order=False, **options))
    sections = check_analysis(given, generator, target, [unit])
    assert sections[0].rows
    assert sections[0].figures


def test_slopes_are_gradients_where_there_are_some():
    options = Sensitivity.Options(factors="latents", methods=[], step=0.001, axes=3)
    result = maximize("toy_lab:decoder", toy_lab.network(), "4[1]", optimizer="random", evaluations=9, analyses=[Sensitivity(options)])
    section = only(result)
    slopes, gradients = section.arrays["slope"], section.arrays["gradient"]
    assert np.abs(gradients).max() > 1e-4
    assert slopes == pytest.approx(gradients, rel=0.05, abs=1e-3)
    assert isinstance(toy_lab.network(), PreservesState)


def test_black_boxes_have_slopes_alone_and_missed_trials_no_indices():
    options = Sensitivity.Options(factors="blocks", samples=16, grid=2)
    quiet = only(
        maximize("pixel", toy_lab.QueryOnly(missing=False), "answer[0]", evaluations=5, optimizer="random", analyses=[Sensitivity(options)])
    )
    assert "there is no gradient" in str(quiet.rows[0]["limit"])
    assert "gradient" not in quiet.columns
    result = maximize("pixel", toy_lab.query_only(), "answer[0]", evaluations=15, optimizer="random", analyses=[Sensitivity(options)])
    missed = only(result)
    assert "stimuli were not answered" in str(missed.rows[0]["limit"])
    assert not any(isinstance(value, float) and not np.isfinite(value) for row in missed.rows for value in row.values())


def test_a_unit_that_answers_all_alike_says_so():
    options = Sensitivity.Options(samples=16, grid=2, methods=["sobol", "morris"])
    result = maximize(
        "toy_lab:decoder", toy_lab.still_network(), "4[0]", optimizer="random", evaluations=6, analyses=[Sensitivity(options)]
    )
    section = only(result)
    assert section.rows[0]["limit"] == "sobol: the unit answers all stimuli alike; morris: the unit answers all stimuli alike"
    assert not any(isinstance(value, float) and not np.isfinite(value) for row in section.rows for value in row.values())
    assert len(section.figures) == 1  # of the slopes, which are 0


def test_under_noise_slopes_have_errors_and_indices_a_remark():
    noisy = {"target": {"name": "toy_lab:network"}, "noise": "gaussian", "sigma": 0.05}
    options = Sensitivity.Options(samples=16, grid=2, step=0.2)
    section = only(
        maximize(
            "toy_lab:decoder", "noisy", "4[1]", optimizer="random", evaluations=9, target_options=noisy, analyses=[Sensitivity(options)]
        )
    )
    # two means of eight, a fifth of the range apart
    assert section.arrays["slope ±"].mean() == pytest.approx(0.05 * np.sqrt(2 / 8) / 0.2, rel=0.4)
    assert any("noise" in note for note in section.notes)


def test_what_can_not_be_measured_is_refused():
    def refused(target, unit, **options):
        with pytest.raises(InvalidJob) as error:
            maximize("pixel", target, unit, evaluations=5, analyses=[{"name": "sensitivity", "options": options}])
        (violation,) = error.value.violations
        return violation.field.removeprefix("analyses[0].options."), violation.description

    assert refused("cifar10-cnn", "fc[0]", factors="values") == (
        "factors",
        "the stimulus has 3,072 values, and at most 64 are varied one by one; use blocks or latents",
    )
    assert refused("diabetes", "fc[0]", methods=[], local=False)[0] == "methods"
    assert "64 and 128 are near" in refused("diabetes", "fc[0]", samples=100)[1]
