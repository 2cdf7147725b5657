import json
from itertools import pairwise

import numpy as np
import pytest
import torch

from actmax.engine.build import check
from actmax.engine.checkpoint import BadCheckpoint
from actmax.engine.run import Suspended, execute, run_job, searches_of
from jobs import ALLOWED, PERMITTED, job

OPTIMIZERS = ["random", "adam", "protes", "tt-cross", "nevergrad"]
GENERATORS = ["toy_lab:decoder", "toy_lab:codes"]


def searched(spec, **options):
    checked = check(spec, allow_imports=ALLOWED)
    return execute(checked, searches_of(checked), **options)


@pytest.mark.parametrize("prior", ["natural", "none"])
@pytest.mark.parametrize("generator", GENERATORS)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_pairing_keeps_its_budget_and_reports_what_it_found(optimizer, generator, prior):
    spec = job(generator={"name": generator}, optimizer={"name": optimizer}, budget={"evaluations": 130}, prior=prior)
    result = searched(spec)
    assert [found.unit for found in result.searches] == ["4[0]", "4[2]"]
    parts = check(spec, allow_imports=ALLOWED)
    for found, index in zip(result.searches, (0, 2), strict=True):
        assert found.evaluations == 130
        assert found.stopped_by == "evaluations"
        stimulus = parts.generator(torch.from_numpy(found.latent)[None])
        assert np.allclose(stimulus[0].detach().numpy(), found.stimulus, atol=1e-6)
        response = parts.target.respond(stimulus, {"4"})["4"][0, index].detach()
        assert found.response == pytest.approx(float(response), abs=1e-5)
        assert found.response == pytest.approx(float(np.nanmax(found.scores)), abs=1e-5)


@pytest.mark.parametrize("optimizer", OPTIMIZERS[1:])
def test_learning_beats_chance(optimizer):
    """Summed over four units; the baseline draws blind as they do."""
    budget = {"evaluations": 400}
    found = searched(job(units=["4[*]"], optimizer={"name": optimizer}, baselines=[{"name": "random"}], budget=budget, prior="none"))
    best = {label: sum(each.response for each in found.searches if each.optimizer == label) for label in (optimizer, "random")}
    assert best[optimizer] > best["random"]


def test_units_that_share_passes_find_what_they_find_alone():
    together = searched(job(units=["4[0]", "4[2]"], optimizer={"name": "protes"}, budget={"evaluations": 300}, sharing=False))
    alone = searched(job(units=["4[0]"], optimizer={"name": "protes"}, budget={"evaluations": 300}))
    assert np.allclose(together.searches[0].scores, alone.searches[0].scores, atol=1e-5)


def test_the_same_seed_gives_the_same_bits_and_another_does_not():
    runs = [searched(job(optimizer={"name": "nevergrad"}, seed=seed)) for seed in (3, 3, 4)]
    assert np.array_equal(runs[0].searches[1].scores, runs[1].searches[1].scores)
    assert not np.array_equal(runs[0].searches[1].scores, runs[2].searches[1].scores)


def test_missed_trials_are_never_reported():
    spec = job(target={"name": "toy_lab:query_only"}, units=["answer[*]"], optimizer={"name": "protes"}, budget={"evaluations": 300})
    result = searched(spec)
    for found in result.searches:
        assert np.isnan(found.scores).sum() > 20
        assert np.isfinite(found.response)
        assert found.response == pytest.approx(np.nanmax(found.scores), abs=1e-6)


def test_down_is_the_weakest_response():
    up, down = (
        searched(job(units=["4[1]"], objective={"name": "unit", "options": {"direction": way}})).searches[0] for way in ("up", "down")
    )
    assert np.allclose(up.scores, -down.scores)


def test_budgets_of_seconds_and_plateau():
    timed = searched(job(budget={"seconds": 0.3}))
    assert all(found.stopped_by == "seconds" for found in timed.searches)
    assert timed.seconds >= 0.3
    flat = searched(job(budget={"evaluations": 100_000, "plateau": 200}, units=["4[0]"])).searches[0]
    assert flat.stopped_by == "plateau"
    assert 200 <= flat.evaluations - int(np.argmax(flat.scores)) <= 400


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_suspended_job_goes_on_bit_for_bit(tmp_path, optimizer):
    spec = job(
        optimizer={"name": optimizer}, generator={"name": "toy_lab:codes"}, budget={"evaluations": 250}, baselines=[{"name": "random"}]
    )
    whole = searched(spec)
    stops = 0
    while True:
        asked = 0

        def after_a_while():  # that grows: some take a hundred generations
            nonlocal asked
            asked += 1
            return "suspend" if asked > 2 + stops else ""  # noqa: B023 - called in this round alone

        try:
            resumed = run_job(spec, tmp_path, should_stop=after_a_while, permissions=PERMITTED)
            break
        except Suspended:
            stops += 1
            assert (tmp_path / "checkpoint.safetensors").exists()
    assert stops >= 1
    for one, other in zip(whole.searches, resumed.searches, strict=True):
        assert np.array_equal(one.scores, other.scores)
        assert np.array_equal(one.latent, other.latent)
        assert one.response == other.response
    assert not (tmp_path / "checkpoint.safetensors").exists()


def test_a_checkpoint_of_another_job_or_a_damaged_one_is_refused(tmp_path):
    with pytest.raises(Suspended):
        run_job(job(), tmp_path, should_stop=lambda: "suspend", permissions=PERMITTED)
    with pytest.raises(BadCheckpoint, match="another job"):
        run_job(job(seed=9), tmp_path, permissions=PERMITTED)
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(BadCheckpoint, match="no checkpoint that can be read"):
        run_job(job(), tmp_path, permissions=PERMITTED)


def test_cancelling_keeps_what_was_found(tmp_path):
    seen = []
    result = run_job(
        job(budget={"evaluations": 10_000}),
        tmp_path,
        on_progress=seen.append,
        should_stop=lambda: "cancel" if seen and seen[-1].evaluations else "",
        permissions=PERMITTED,
    )
    assert result.cancelled
    assert all(found.stopped_by == "cancelled" for found in result.searches)
    assert 0 < result.searches[0].evaluations < 10_000
    written = json.loads((tmp_path / "artifacts" / "result.json").read_text())
    assert written["cancelled"] is True
    assert [search["response"] for search in written["searches"]] == pytest.approx([found.response for found in result.searches])
    assert seen[-1].searches[0].stopped_by == "cancelled"


def test_progress_reaches_the_end_and_keeps_its_promises(tmp_path):
    seen = []
    run_job(job(budget={"evaluations": 500}), tmp_path, on_progress=seen.append, permissions=PERMITTED)
    assert seen[-1].evaluations == seen[-1].total_evaluations == 1000
    assert seen[-1].seconds_left == 0
    assert all(a.evaluations <= b.evaluations for a, b in pairwise(seen))
    assert all(search.stopped_by == "evaluations" for search in seen[-1].searches)


def test_global_random_state_is_neither_read_nor_set():
    def state():
        return torch.get_rng_state().numpy().tobytes(), np.random.get_state(legacy=False)["state"]["key"].tobytes()  # noqa: NPY002 - the global state is what is checked

    for optimizer in OPTIMIZERS:
        spec = job(optimizer={"name": optimizer})
        checked = check(spec, allow_imports=ALLOWED)
        before = state()
        first = execute(checked, searches_of(checked))
        assert state() == before, optimizer
        torch.manual_seed(123)
        np.random.seed(5)  # noqa: NPY002
        again = execute(checked, searches_of(checked))
        assert np.array_equal(first.searches[0].scores, again.searches[0].scores), optimizer
