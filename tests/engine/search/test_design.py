import pytest
import torch

from actmax.engine.search.design import Design
from actmax.engine.search.leaders import Leaders


def test_candidates_are_shown_in_a_row_and_told_their_mean_and_its_variance():
    design = Design(replicates=3)
    assert design.shown(torch.tensor([[1], [2]]))[:, 0].tolist() == [1, 1, 1, 2, 2, 2]
    nan = float("nan")
    means, variance = design.pooled(torch.tensor([1.0, 2, 3, 4, nan, 8, nan, nan, nan, 5], dtype=torch.float64))
    assert means[:2].tolist() == [2, 6]
    assert means[2].isnan()
    assert means[3] == 5
    assert variance is not None
    # sample variances 1 and 8 over 3 and 2 replicates; one alone takes (2 · 1 + 1 · 8) / 3
    assert variance[[0, 1, 3]].tolist() == pytest.approx([1 / 3, 8 / 2, 10 / 3])
    assert variance[2].isnan()


def test_gradients_are_averaged_over_what_was_not_missed():
    design = Design(replicates=2)
    scores = torch.tensor([1.0, float("nan"), 1, 1, 7], dtype=torch.float64)
    gradients = torch.tensor([[1.0], [float("nan")], [2], [4], [5]])
    assert design.pooled_gradients(gradients, scores)[:, 0].tolist() == [1, 3, 5]


def test_one_replicate_changes_nothing():
    scores = torch.tensor([1.0, float("nan")], dtype=torch.float64)
    means, variance = Design().pooled(scores)
    assert means is scores
    assert variance is None
    assert Design(replicates=2).pooled(scores[:1])[1] is None


def test_the_reserve_leaves_something_to_search_with():
    assert [Design(remeasure=0.1).reserve(n) for n in (1, 9, 10, 2000)] == [0, 0, 1, 200]
    assert Design(remeasure=0.9).reserve(1) == 0
    assert Design(replicates=4, remeasure=0.1).candidates(2000) == 450
    assert Design(replicates=4).candidates(2) == 1


@pytest.mark.parametrize("latents", [torch.tensor([[0, 1], [2, 3], [0, 1], [4, 5]]), torch.tensor([[0.5], [1.5], [0.5], [2.5]])])
def test_leaders_are_distinct_and_repeated_ones_averaged(latents):
    leaders = Leaders(2)
    leaders.add(latents, torch.tensor([9.0, 4, 1, float("nan")], dtype=torch.float64))
    leaders.add(latents[3:], torch.tensor([3.0], dtype=torch.float64))
    kept, means = leaders.ranked()
    assert torch.equal(kept, latents[:2])
    assert means.tolist() == [5, 4]
    again = Leaders(2)
    again.load_state_dict(leaders.state_dict())
    for one in (leaders, again):
        one.add(latents[:1], torch.tensor([-4.0], dtype=torch.float64))  # a third reading: (9 + 1 - 4) / 3
    assert again.ranked()[1].tolist() == leaders.ranked()[1].tolist() == [4, 2]
    assert torch.equal(again.ranked()[0], latents[[1, 0]])
