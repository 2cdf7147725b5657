import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from actmax.engine.search.sequential_halving import MOST_LEADERS, SequentialHalving


def played(true, budget, noise, seed=0, missing=0.0):
    """A whole run over leaders whose latent is their own number: the finals, and how often each was shown."""
    rng = np.random.default_rng(seed)
    finals = SequentialHalving(torch.arange(len(true))[:, None], budget)
    shown = []
    while not finals.done:
        rows = finals.ask()[:, 0].tolist()
        shown += rows
        scores = np.array([true[row] for row in rows]) + noise * rng.standard_normal(len(rows))
        scores[rng.random(len(rows)) < missing] = np.nan
        finals.tell(torch.from_numpy(scores))
    return finals, np.bincount(shown, minlength=len(true))


@given(st.integers(1, 40), st.integers(1, 500), st.sampled_from([0.0, 1.0]), st.sampled_from([0.0, 0.3, 1.0]))
@settings(max_examples=60, deadline=None)
def test_the_budget_is_used_to_the_last_measurement(leaders, budget, noise, missing):
    finals, shown = played(np.linspace(0, 1, leaders), budget, noise, missing=missing)
    assert shown.sum() == budget
    assert (shown > 0).sum() <= MOST_LEADERS
    answer = finals.measured()
    if missing == 1.0:
        assert answer is None
    elif missing == 0.0:
        assert answer is not None
        assert answer.measurements <= budget
        assert torch.equal(answer.latent, finals.leading())


def test_without_noise_the_best_wins_and_the_first_of_equals():
    finals, _ = played([1.0, 3, 3, 2], 100, 0.0)
    answer = finals.measured()
    assert answer is not None
    assert (int(answer.latent), answer.response, answer.sem) == (1, 3.0, 0.0)


def test_the_reported_response_is_unbiased_and_its_error_is_right():
    """Ten equal leaders: the best of their means is above the truth, the reported response is not."""
    answers = [played([5.0] * 10, 120, 1.0, seed)[0].measured() for seed in range(300)]
    off = np.array([(answer.response - 5) / answer.sem for answer in answers if answer is not None and answer.sem])
    assert len(off) == 300
    assert abs(off.mean()) < 0.2  # three standard errors
    assert 0.85 < off.std() < 1.2
    led = [max(played([5.0] * 10, 120, 1.0, seed)[0].shrunk()) for seed in range(50)]
    assert np.mean(led) > 5.05


def test_halving_finds_the_best_more_often_than_measuring_all_alike():
    """At equal measurements for choosing: 150 of 200, the rest being the winner's own."""
    true, alike = [0.0] * 15 + [1.0], 0
    halved = sum(int(played(true, 200, 1.5, seed)[0].leading()) == 15 for seed in range(200))
    rng = np.random.default_rng(1)
    for _ in range(200):
        scores = np.resize(true, 150) + 1.5 * rng.standard_normal(150)
        alike += int(np.argmax([scores[row::16].mean() for row in range(16)])) == 15
    assert halved > alike


def test_means_are_shrunk_by_what_noise_explains():
    finals = SequentialHalving(torch.arange(2)[:, None], 100)
    finals._measurements = [[0.0, 2.0] * 20, [5.0, 7.0] * 20]
    clear = finals.shrunk()
    assert clear == pytest.approx([1, 6], abs=0.05)
    finals._measurements = [[0.0, 2.0] * 2, [0.2, 2.2] * 2]
    murky = finals.shrunk()
    assert murky[0] < murky[1]
    assert murky[1] - murky[0] < 0.01


def test_it_goes_on_from_its_state():
    rng = np.random.default_rng(3)
    one = SequentialHalving(torch.randn(9, 4, generator=torch.Generator().manual_seed(0)), 150)
    while not one.done:
        other = SequentialHalving.from_state(one.state_dict())
        assert torch.equal(one.ask(), other.ask())
        scores = torch.from_numpy(rng.standard_normal(len(one.ask())))
        one.tell(scores)
        other.tell(scores)
        assert one.shrunk() == other.shrunk()
    assert one.measured() is not None
    assert SequentialHalving.from_state(one.state_dict()).leading().equal(one.leading())
