import json

import numpy as np
import pytest
import torch

from actmax.engine.build import check
from actmax.engine.errors import InvalidJob
from actmax.engine.run import execute, searches_of
from jobs import ALLOWED, job, run_with_stops

NOISY = {"name": "noisy", "options": {"target": {"name": "toy_lab:network"}, "noise": "gaussian", "sigma": 0.05}}


def searched(spec):
    checked = check(spec, allow_imports=ALLOWED)
    searches = searches_of(checked)
    return execute(checked, searches), searches


def exact(spec, found):
    """The recommended stimulus's response without noise."""
    unit = int(found.unit[2])
    target = check(job(), allow_imports=ALLOWED).target
    return float(target.respond(torch.from_numpy(found.stimulus)[None], {"4"})["4"][0, unit].detach())


def test_leaders_are_measured_again_within_the_budget_and_the_answer_is_no_lucky_score():
    spec = job(target=NOISY, units=["4[*]"], budget={"evaluations": 400}, prior="none")
    result, searches = searched(spec)
    off = []
    for found, search in zip(result.searches, searches, strict=True):
        assert found.evaluations == found.scores.size == 400
        assert found.measurements == 10  # a quarter of the tenth that is kept back
        assert found.stopped_by == "evaluations"
        assert found.response == pytest.approx(found.scores[-10:].mean())
        assert found.response_sem is not None
        off.append((found.response - exact(spec, found)) / found.response_sem)
        assert search.best == found.scores[:360].max() > found.response
    assert np.abs(off).max() < 5


def test_a_design_decides_what_the_optimizer_is_told():
    def design(target=None, **asked):
        return check(job(design=asked, **({"target": target} if target else {})), allow_imports=ALLOWED).design

    assert (design().noisy, design().remeasure) == (False, 0.0)
    assert (design(NOISY).noisy, design(NOISY).remeasure) == (True, 0.1)
    assert (design(NOISY, noisy=False).noisy, design(NOISY, noisy=False).remeasure) == (False, 0.0)
    assert design(NOISY, remeasure=0.0).remeasure == 0.0
    assert design(noisy=True).remeasure == 0.1
    _, searches = searched(job(target=NOISY, design={"replicates": 4}, budget={"evaluations": 100}))
    problem = searches[0].optimizer.problem  # pyright: ignore[reportAttributeAccessIssue]
    assert problem.noisy
    assert problem.evaluations == 90 // 4


def test_replicates_are_told_as_mean_and_variance_and_count_as_evaluations():
    spec = job(
        target=NOISY,
        optimizer={"name": "random", "options": {"batch": 7}},
        units=["4[1]"],
        budget={"evaluations": 52},
        design={"replicates": 3, "remeasure": 0.0},
    )
    checked = check(spec, allow_imports=ALLOWED)
    (search,) = searches_of(checked)
    told = []
    tell = search.optimizer.tell
    search.optimizer.tell = lambda evaluations: told.append(evaluations) or tell(evaluations)
    found = execute(checked, [search]).searches[0]
    assert [len(one.scores) for one in told] == [7, 7, 7]
    scores = found.scores[:21].reshape(7, 3)
    assert told[0].scores.numpy() == pytest.approx(scores.mean(1))
    assert told[0].variance.numpy() == pytest.approx(scores.var(1, ddof=1) / 3)
    assert told[2].scores.isfinite().sum() == 4  # 10 of 21: three times three, and one once
    assert found.evaluations == 52
    assert (found.measurements, found.response_sem) == (1, None)
    assert search.best == pytest.approx(max(float(one.scores.nan_to_num(-9).max()) for one in told))


def test_a_gradient_search_is_told_mean_gradients():
    spec = job(target=NOISY, optimizer={"name": "adam"}, budget={"evaluations": 60}, design={"replicates": 2})
    for found in searched(spec)[0].searches:
        assert found.evaluations == 60
        assert np.isfinite(found.response)


def test_without_noise_measuring_again_changes_nothing():
    plain, again = (searched(job(design={"remeasure": share}, budget={"evaluations": evaluations}, seed=4))[0]
                    for share, evaluations in ((0.0, 54), (0.1, 60)))  # fmt: skip
    for one, other in zip(plain.searches, again.searches, strict=True):
        assert np.array_equal(one.latent, other.latent)
        assert one.response == pytest.approx(other.response, abs=1e-6)
        assert other.response_sem == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("optimizer", ["random", "protes"])
def test_a_noisy_job_goes_on_bit_for_bit_also_while_it_measures_again(tmp_path, optimizer):
    spec = job(
        target=NOISY,
        generator={"name": "toy_lab:codes"},
        optimizer={"name": optimizer},
        budget={"evaluations": 150},
        design={"replicates": 2, "remeasure": 0.4},
    )
    whole, _ = searched(spec)
    resumed, stops = run_with_stops(spec, tmp_path, 1)
    assert stops >= 3
    for one, other in zip(whole.searches, resumed.searches, strict=True):
        assert np.array_equal(one.scores, other.scores)
        assert np.array_equal(one.latent, other.latent)
        assert (one.response, one.response_sem, one.measurements) == (other.response, other.response_sem, other.measurements)
    written = json.loads((tmp_path / "artifacts" / "result.json").read_text())["searches"][0]
    assert (written["response_sem"], written["measurements"]) == (resumed.searches[0].response_sem, 15)
    report = (tmp_path / "artifacts" / "report.html").read_text()
    assert " ± " in report
    assert "each candidate shown 2 times; what was found measured 15 times" in report


def test_other_limits_keep_their_share_too():
    timed = searched(job(target=NOISY, budget={"seconds": 0.3}))[0]
    for found in timed.searches:
        assert found.stopped_by == "seconds"
        assert found.measurements == pytest.approx(found.evaluations * 0.1 * 0.25, abs=1)
    flat = searched(job(target=NOISY, budget={"evaluations": 100_000, "plateau": 200}, units=["4[0]"]))[0].searches[0]
    assert flat.stopped_by == "plateau"
    assert flat.measurements == pytest.approx(flat.evaluations * 0.1 * 0.25, abs=1)


def test_what_is_inside_a_wrapper_is_checked_like_any_target():
    def field(options):
        with pytest.raises(InvalidJob) as caught:
            check(job(target={"name": "noisy", "options": options}), allow_imports=ALLOWED)
        return {violation.field for violation in caught.value.violations}

    assert field({}) == {"target.options.target"}
    assert field({"target": {"name": "cifar10-sn"}}) == {"target.options.target.name"}
    assert field({"target": {"name": "toy_lab:raw_network", "options": {"shape": [3]}}}) == {"target.options.target.options.shape"}
    assert field({"target": {"name": "toy_lab:network"}, "noise": "pink"}) == {"target.options.noise"}
    poisson = {"name": "noisy", "options": {"target": {"name": "toy_lab:network"}}}
    with pytest.raises(InvalidJob, match="gradients"):
        check(job(target=poisson, optimizer={"name": "adam"}), allow_imports=ALLOWED)
