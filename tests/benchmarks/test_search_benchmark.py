"""The benchmark of searches counts, compares and stores as it says; its peers are the real packages where they are installed."""

import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from benchmarks.search import ours, overhead, peers, report, run, tables  # noqa: E402
from benchmarks.search.problems import Missing, families  # noqa: E402
from benchmarks.search.trace import Spent, Trace  # noqa: E402

INSTALLED = [name for name in peers.PEERS if name in ("random", "natural") or importlib.util.find_spec(name.split("-")[0])]


def bump(name="bump"):
    return families()[name].build("0", 0)


def test_the_bump_peaks_where_it_says():
    problem = bump("bump-codes")
    best = problem.latent.sample(1, torch.Generator().manual_seed(0))
    for position in range(32):  # separable: each dimension by itself
        rows = best.repeat(16, 1)
        rows[:, position] = torch.arange(16)
        best = rows[problem.clean(rows).argmax()][None]
    assert float(problem.clean(best)[0]) == pytest.approx(problem.peak)


def test_no_stimulus_of_the_relu_net_beats_its_peak():
    problem = families()["relu"].build("0", 1)
    assert problem.peak is not None
    assert float(problem.clean(problem.latent.sample(20_000, torch.Generator().manual_seed(0))).max()) < problem.peak


def test_seeds_draw_other_neurons():
    latents = bump().latent.sample(5, torch.Generator().manual_seed(0))
    first, second = (families()["bump"].build("0", seed).clean(latents) for seed in (0, 1))
    assert not torch.allclose(first, second)


def test_poisson_noise_has_the_clean_response_as_its_mean_and_variance():
    problem = bump("bump-poisson")
    assert problem.noise is not None
    counts = problem.noise(torch.full((20_000,), 30.0), torch.Generator().manual_seed(0))
    assert float(counts.mean()) == pytest.approx(30, abs=0.2)
    assert float(counts.var()) == pytest.approx(30, rel=0.05)


def test_a_trace_never_evaluates_beyond_the_budget():
    problem = bump()
    trace = Trace(problem, 0, 25)
    latents = problem.latent.sample(40, torch.Generator().manual_seed(0))
    trace.scores(latents[:20])
    with pytest.raises(Spent):
        trace.scores(latents[20:])
    with pytest.raises(Spent):
        trace.scores(latents[:1])
    record = trace.finished(None, 0.0)
    assert record["evaluations"] == 25
    assert record["final"] == pytest.approx(float(problem.clean(latents[:25]).max()), rel=1e-4)
    assert record["curve"][-1] == record["final"]
    assert record["curve"] == sorted(record["curve"])


def test_a_run_ends_where_nothing_better_can_be_found():
    problem = bump()
    latents = problem.latent.sample(40, torch.Generator().manual_seed(0))
    responses = problem.clean(latents)
    ceiling = float(responses[:20].max())
    trace = Trace(replace(problem, ceiling=ceiling), 0, 100)
    trace.scores(latents[:20])
    assert trace.left == 0
    with pytest.raises(Spent):
        trace.scores(latents[20:])
    record = trace.finished(None, 0.0)
    assert (record["evaluations"], record["final"]) == (20, pytest.approx(ceiling, rel=1e-4))
    assert record["curve"][-1] == record["final"]
    below = Trace(replace(problem, ceiling=ceiling + 1e-6), 0, 100)
    below.scores(latents[:20])
    assert below.left == 80


def test_spiking_units_cannot_fire_more_often_than_there_are_steps():
    problem = families()["vqvae-snn"].build("lif3[177, 3, 3]", 0)
    assert problem.ceiling == 20
    assert problem.bank is not None
    most = float(problem.clean(problem.bank[:100]).max())
    assert 0 < most <= 20
    assert families()["vqvae-snn"].build("lif_out[3]", 0).ceiling == 19
    assert families()["sngan-cnn"].build("fc[3]", 0).ceiling is None


@pytest.mark.nightly
def test_runs_scored_together_are_those_of_single_runs(tmp_path):
    grid = ["--problem", "vqvae-snn", "--units", "lif_out[0]", "lif3[177, 3, 3]", "--method", "random", "ours:random", "--seeds", "1"]
    grid += ["--budget", "12"]
    run.main([*grid, "--results", str(tmp_path / "single")])
    run.main([*grid, "--results", str(tmp_path / "together"), "--together", "2"])
    single, together = run.load(tmp_path / "single"), run.load(tmp_path / "together")
    assert len(single) == 4
    assert {key: one["improvements"] for key, one in single.items()} == {key: one["improvements"] for key, one in together.items()}


@pytest.mark.nightly
def test_what_takes_gradients_takes_them_beside_others_too(tmp_path):
    grid = ["--problem", "sngan-cnn", "--units", "fc[0]", "--seeds", "1", "--budget", "30"]
    grid += ["--method", "ours:auto", "ours:auto:no-gradient"]
    run.main([*grid, "--results", str(tmp_path / "single")])
    run.main([*grid, "--results", str(tmp_path / "together"), "--together", "2"])
    single, together = run.load(tmp_path / "single"), run.load(tmp_path / "together")
    assert {key: one["code"] for key, one in single.items()} == {key: one["code"] for key, one in together.items()}
    assert len({one["code"] for one in single.values()}) == 2
    for key, one in single.items():
        assert one["final"] == pytest.approx(together[key]["final"], rel=0.02)


def test_under_noise_the_curve_is_what_the_recommendation_is_worth():
    problem = bump("bump-poisson")
    trace = Trace(problem, 0, 400)
    record = run.perform(run.Task("bump-poisson", "0", "random", 0, 400))
    trace.scores(problem.latent.sample(250, torch.Generator().manual_seed(0)))
    trace.scores(problem.latent.sample(150, torch.Generator().manual_seed(1)))
    assert trace.best is not None
    assert trace.finished(None, 0.0)["final"] == pytest.approx(float(problem.clean(trace.best[None])[0]), rel=1e-4)
    assert record["best_told"] > record["final"], "the luckiest sample reads more than it is worth"


@pytest.mark.parametrize("name", INSTALLED)
def test_peers_keep_the_budget_and_repeat(name):
    problem = bump("bump-codes")
    if name == "natural":
        with pytest.raises(peers.NotTried):
            peers.run_peer(name, Trace(problem, 0, 60), 0)
        return
    runs = []
    for _ in range(2):
        trace = Trace(problem, 0, 60)
        recommendation, failed = peers.run_peer(name, trace, 3)
        assert not failed or name == "nevergrad-NGOpt"  # whose metamodels need an older numpy
        assert 0 < trace.evaluations <= 60
        if not failed:
            assert trace.evaluations == 60
        runs.append(trace.finished(recommendation, 0.0)["improvements"])
    assert runs[0] == runs[1]


def test_our_optimizers_run_by_name_with_options_and_blind():
    record = run.perform(run.Task("bump-poisson", "0", "ours:random(batch=30)", 0, 300))
    assert record["evaluations"] == 300
    assert record["best_told"] > record["reported"] == pytest.approx(record["final"], abs=4.0), "measured again, not the luckiest"
    assert record["final"] == record["curve"][-1]
    module = "actmax.optimizers.random_search"
    assert record["code"] == ours.code_digest(module, noisy=True) != ours.code_digest(module)
    assert ours.Method.parse("ours:protes(batch=4,patch=2):blind:no-gradient") == ours.Method(
        "protes", {"batch": 4, "patch": 2}, True, False
    )
    with pytest.raises(ValueError, match="no method"):
        ours.Method.parse("ours:protes:deaf")


def test_the_code_of_auto_is_that_of_the_search_it_chooses_there():
    clean, noisy = bump("bump"), bump("bump-poisson")
    assert ours.code_of(clean, "ours:auto") != ours.code_of(noisy, "ours:auto"), "under noise the engine's search measures again"
    vision = families()["vqvae-snn"].build("lif_out[0]", 0)
    searches = {ours.code_of(vision, f"ours:auto{flags}") for flags in ("", ":no-gradient", ":blind:no-gradient")}
    assert len({*searches, ours.code_of(clean, "ours:auto")}) == 4
    record = run.perform(run.Task("bump", "0", "ours:auto", 0, 10))
    assert record["code"] == ours.code_of(clean, "ours:auto")
    assert report.stale_methods([record]) == frozenset()
    assert report.stale_methods([{**record, "code": "0"}]) == {"ours:auto"}
    assert report.stale_methods([{**record, "method": "ours:gone"}]) == {"ours:gone"}


def test_the_zoo_gives_gradients_codes_and_a_bank():
    family = families()["vqvae-snn"]
    assert len(family.units) == 20
    problem = family.build(family.units[12], 0)
    assert problem.bank is not None
    assert problem.code_vectors is not None
    assert problem.code_vectors.shape[0] == 512
    assert float(problem.clean(problem.bank[:150]).max()) > 0, "natural images drive it"
    methods = ours.registered(problem)
    assert {"ours:adam", "ours:adam:blind", "ours:random", "ours:random:blind"} <= set(methods)
    record = run.perform(run.Task("vqvae-snn", "lif_out[1]", "ours:adam", 0, 10))
    assert record["evaluations"] == 10


def test_a_missing_generator_is_left_out_with_a_message(capsys, monkeypatch):
    from benchmarks.search import vision

    monkeypatch.setattr(vision, "components", lambda kind: [])
    vision.component.cache_clear()
    with pytest.raises(Missing, match="there is no generator cifar10-sngan here yet"):
        families()["sngan-cnn"].build("fc[0]", 0)
    assert run.tasks(["sngan-cnn"], ["peers"], "first", [0], None) == []
    assert "left out" in capsys.readouterr().err


def test_4096_dimensions_in_front_of_the_cnn():
    for name in ("fourier-cnn", "deep-cnn-noise0.5"):
        problem = families()[name].build("fc[3]", 0)
        assert problem.bank is not None
        clean = problem.clean(problem.bank[:8])
        assert clean.shape == (8,)
        assert float(clean.std()) > 0


def test_results_are_stored_once_and_skipped_after(tmp_path, capsys):
    grid = ["--problem", "bump", "--method", "random", "ours:random", "--seeds", "2", "--budget", "50", "--results", str(tmp_path)]
    run.main(grid)
    assert len(run.load(tmp_path)) == 4
    lines = (tmp_path / "bump.jsonl").read_text().splitlines()
    run.main(grid)
    assert (tmp_path / "bump.jsonl").read_text().splitlines() == lines
    assert "4 of them there already" in capsys.readouterr().err
    run.main([*grid, "--again"])
    assert len((tmp_path / "bump.jsonl").read_text().splitlines()) == 8
    run.compact(tmp_path)
    assert len((tmp_path / "bump.jsonl").read_text().splitlines()) == 4


def record(method, unit, seed, final, improvements, **further):
    head = {"method": method, "unit": unit, "seed": seed, "final": final, "improvements": improvements, "overhead_seconds": 0.0}
    return {**head, "counts": [10, 100], "curve": [0.0, final], "best_told": final, "peak": None, **further}


def test_ratios_are_to_the_best_blind_peer_of_each_unit():
    methods = tables.by_method(
        [
            record("random", "a", 0, 2.0, [[1, 2.0]]),
            record("cma-full", "a", 0, 4.0, [[50, 4.0]]),
            record("natural", "a", 0, 9.0, [[1, 9.0]]),
            record("ours:x", "a", 0, 8.0, [[5, 4.0], [20, 6.0], [90, 8.0]]),
            record("random", "b", 0, 3.0, [[1, 3.0]]),
            record("cma-full", "b", 0, 1.0, [[1, 1.0]]),
            record("ours:x", "b", 0, 3.0, [[1, 3.0]]),
            record("random", "c", 0, 1.0, [[1, 1.0]]),  # cma-full hasn't run here yet
            record("ours:x", "c", 0, 5.5, [[1, 5.5]]),
        ]
    )
    (row,) = (line for line in tables.compared(methods).splitlines() if line.startswith("| ours:x"))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    # ratios 8 / 4 and 3 / 3; one pair won, one level; passed after 20 and never
    assert cells[1:5] == ["5.5", "1.5", "50 % + 50 %", "never"]
    assert tables.passed_at(methods["ours:x"]["a", 0], 4.0) == 20
    assert tables.reached_at(methods["ours:x"]["a", 0], 4.0) == 5


def test_further_seeds_need_the_peers_alone_that_were_the_best():
    methods = tables.by_method(
        [
            record("random", "a", 0, 4.0, []),
            record("ttopt", "a", 0, 1.0, []),
            record("cma-full", "a", 0, 5.0, []),
            record("random", "b", 0, 6.0, []),  # level with the best, never alone
            record("ttopt", "b", 0, 2.0, []),
            record("cma-full", "b", 0, 6.0, []),
            record("cma-full", "a", 1, 3.0, []),
            record("random", "a", 2, 9.0, []),
            record("ours:x", "a", 1, 4.0, []),
        ]
    )
    assert tables.complete(methods) == {("a", 0), ("b", 0)}
    assert tables.deciding(methods) == ("cma-full",)
    assert tables.best_blind(methods) == {("a", 0): 5.0, ("a", 1): 3.0, ("b", 0): 6.0}
    assert tables.peer_medians(methods) == {"a": 4.0, "b": 6.0}


def test_each_peer_is_compared_on_all_pairs_that_both_have_run():
    methods = tables.by_method(
        [
            record("random", "a", 0, 2.0, []),
            record("random", "b", 0, 4.0, []),
            record("cma-full", "a", 0, 5.0, []),
            record("ours:auto", "a", 0, 5.0, []),
            record("ours:auto", "b", 0, 1.0, []),
            record("ours:auto", "b", 1, 9.0, []),
            record("ours:x", "b", 0, 9.0, []),
        ]
    )
    lines = tables.against(methods).splitlines()
    assert lines[0] == "| ahead + level, ratio of means (pairs) | ours:auto |"
    assert lines[2:] == ["| random | 50 % + 0 %, 1 × (2) |", "| cma-full | 0 % + 100 %, 1 × (1) |"]


def test_the_luckiest_sample_is_what_a_peer_reports():
    methods = tables.by_method(
        [
            record("random", "0", 0, 40.0, [], best_told=60.0, peak=50.0),
            record("ours:x", "0", 0, 48.0, [], best_told=70.0, reported=48.5, peak=50.0),
        ]
    )
    text = tables.to_peak(methods, noisy=True)
    assert "| random | 0.8 | 0.8 | 0 % | 50 % | 0 % | 1 |" in text
    assert "| ours:x | 0.96 | 0.96 | 100 % | 1 % | 100 % | 1 |" in text


def test_sharing_is_the_share_of_evaluations_that_is_needed_together():
    head = {"problem": "p", "method": "m", "seed": 0, "budget": 100, "units": 1, "unit": "a", "counts": [20, 60, 100]}
    lines = [{**head, "together": True, "curve": [1.0, 5.0, 6.0]}, {**head, "together": False, "curve": [1.0, 2.0, 5.0]}]
    assert "| p | m | 100 | 5 | 6 | 60 % | 1 |" in tables.sharing(lines)


def test_overheads_are_stored_beside_what_is_there(tmp_path):
    stored = tmp_path / "overhead.json"
    stored.write_text(json.dumps({"old": {"64": 1.0}}))
    overhead.main(["--method", "random", "--spaces", "64", "--stored", str(stored)])
    found = json.loads(stored.read_text())
    assert found["old"] == {"64": 1.0}
    assert 0 < found["random"]["64"] < 50
