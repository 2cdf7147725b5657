import pytest
import torch

from actmax.models.spaces import Box, Categorical
from actmax.optimizers.optimizer import Evaluations, Listener, Problem
from actmax.optimizers.patch_evolution import PatchEvolution
from actmax.optimizers.testing import Landscape, run

SPACE = Categorical((6, 5), 40)


def bank_of(space: Categorical = SPACE, rows: int = 60) -> torch.Tensor:
    """Natural latents hold even codes only."""
    return space.sample(rows, torch.Generator().manual_seed(0)) // 2 * 2


def past_screening(optimizer: PatchEvolution) -> PatchEvolution:
    """Every latent of its first look is missed."""
    while len(optimizer._screen):
        asked = optimizer.ask()
        optimizer.tell(Evaluations(asked, torch.full((len(asked),), torch.nan).double()))
    return optimizer


def offspring(optimizer: PatchEvolution, parent: torch.Tensor) -> torch.Tensor:
    """What it asks once ``parent`` alone is its elite."""
    past_screening(optimizer).observe(Evaluations(parent[None], torch.ones(1).double()))
    return optimizer.ask()


def is_one_patch(changed: torch.Tensor, side: int) -> bool:
    """Whether all changes lie within one rectangle of at most ``side`` a side."""
    places = changed.nonzero()
    return bool((places.max(0).values - places.min(0).values < side).all())


def test_offspring_are_a_parent_with_one_natural_patch() -> None:
    bank = bank_of()
    parent = torch.ones(6, 5, dtype=torch.long)
    options = PatchEvolution.Options(from_bank=1.0, from_elite=0.0, from_random=0.0, patch=3, batch=200, shift=0.0)
    sides = set()
    for child in offspring(PatchEvolution(Problem(SPACE, 0, None, bank), options), parent):
        changed = child != parent
        assert is_one_patch(changed, 3)
        assert (bank == child)[:, changed].all(1).any(), "the whole patch comes from one natural latent, at its own place"
        places = changed.nonzero()
        sides.add(int((places.max(0).values - places.min(0).values).max()) + 1)
    assert sides == {1, 2, 3}


def test_shifted_patches_come_from_another_place() -> None:
    bank = torch.arange(30).view(1, 6, 5)  # every position has a code of its own
    parent = torch.full((6, 5), 39)
    options = PatchEvolution.Options(from_elite=0.0, from_bank=1.0, patch=2, batch=40, shift=0.5, pool=1)
    moved = []
    for seed in range(5):
        for child in offspring(PatchEvolution(Problem(SPACE, seed, None, bank), options), parent):
            (row, column), *rest = (child != parent).nonzero().tolist()
            down, right = (int(child[row, column]) // 5 - row) % 6, (int(child[row, column]) % 5 - column) % 5
            assert all(int(child[r, c]) == (r + down) % 6 * 5 + (c + right) % 5 for r, c in rest), "a patch moves as a whole"
            moved.append(bool(down or right))
    assert 0.35 < sum(moved) / len(moved) < 0.75, "half of them, or a little more, since what is in place repeats itself"


def test_patches_shrink_towards_the_end() -> None:
    options = PatchEvolution.Options(patch=4, batch=50, pool=1, elite=1, from_bank=0.0, from_elite=0.0, from_random=1.0)
    optimizer = PatchEvolution(Problem(SPACE, 0, 2000, bank_of()), options)
    means = []
    for _ in range(40):
        parents = optimizer._elite.rows.clone()
        asked = optimizer.ask()
        if len(parents):
            places = [(child != parents[0].view(6, 5)).nonzero() for child in asked]
            sides = [int((place.max(0).values - place.min(0).values).max()) + 1 for place in places if len(place)]
            means.append(sum(sides) / len(sides))
            assert max(sides) <= 4
        optimizer.tell(Landscape(SPACE).evaluate(asked, False))
    assert 2.2 < sum(means[:5]) / 5 < 2.7
    assert sum(means[-3:]) / 3 < 1.15


def test_donors_from_random_draws_and_from_the_elite() -> None:
    parent = torch.zeros(6, 5, dtype=torch.long)
    blind = offspring(PatchEvolution(Problem(SPACE, 0, None), PatchEvolution.Options(batch=100, pool=1)), parent)
    assert int((blind % 2 == 1).sum()) > 20, "blind, odd codes too"
    optimizer = PatchEvolution(Problem(SPACE, 0, None, bank_of()), PatchEvolution.Options(from_elite=1.0, from_bank=0.0, pool=1, elite=2))
    optimizer.observe(Evaluations(torch.stack([parent, parent + 1]), torch.tensor([1.0, 2.0]).double()))
    past_screening(optimizer)
    assert set(optimizer.ask().flatten().tolist()) == {0, 1}


def test_box_donors_stay_in_the_box() -> None:
    space = Box((9,), -0.1, 0.3)
    optimizer = PatchEvolution(Problem(space, 0, 3000), PatchEvolution.Options())
    for told in run(optimizer, Landscape(space), 60):
        space.check(told.latents)
    assert float(Landscape(space).score(optimizer.recommend()[None])) > -2e-3


@pytest.mark.parametrize("noisy", [False, True])
def test_others_screens_are_parents_and_under_noise_the_models_too(noisy: bool) -> None:
    landscape = Landscape(SPACE)
    vectors = torch.randn(40, 6, generator=torch.Generator().manual_seed(3))
    optimizer = PatchEvolution(Problem(SPACE, 0, 2000, bank_of(), code_vectors=vectors, noisy=noisy), PatchEvolution.Options())
    own = run(optimizer, landscape, 1)[0]
    screened = torch.cat([bank_of()[:40], landscape._table.argmax(-1)[None]])
    optimizer.observe(Evaluations(screened, landscape.score(screened)))
    state = optimizer.state_dict()["own"]
    known = torch.cat([own.latents, screened])
    assert len(state["seen"]) == len(known.unique(dim=0))
    best = landscape.score(known).argsort(descending=True)[: 8 if noisy else 3]
    if not noisy:
        assert {tuple(row) for row in state["elite"]["rows"].tolist()} == {tuple(row) for row in known[best].flatten(1).tolist()}
    assert state["model"]["count"] == len(own.latents) + (len(screened) if noisy else 0)
    assert torch.equal(optimizer.recommend(), screened[-1])


def test_what_others_breed_is_a_parent_only_where_it_is_the_best() -> None:
    landscape = Landscape(SPACE)
    vectors = torch.randn(40, 6, generator=torch.Generator().manual_seed(3))
    optimizer = PatchEvolution(Problem(SPACE, 0, 600, bank_of(), code_vectors=vectors), PatchEvolution.Options(elite=2))
    run(optimizer, landscape, 30)
    before = optimizer.state_dict()["own"]
    others = bank_of()[:20]
    optimizer.observe(Evaluations(others, torch.full((20,), -1e9).double()))
    after = optimizer.state_dict()["own"]
    assert torch.equal(after["elite"]["rows"], before["elite"]["rows"])
    assert after["model"]["count"] == before["model"]["count"] == 150
    assert torch.equal(after["seen"], before["seen"])


def test_asks_nothing_again_while_there_is_something_new() -> None:
    told = run(PatchEvolution(Problem(SPACE, 0, 1000, bank_of()), PatchEvolution.Options()), Landscape(SPACE), 40)
    latents = torch.cat([one.latents for one in told]).flatten(1)
    assert len(latents.unique(dim=0)) == len(latents)
    small = Categorical((2,), 2)
    told = run(PatchEvolution(Problem(small, 0), PatchEvolution.Options(batch=5)), Landscape(small), 30)
    assert len(told) == 30, "where all is known it goes on"


def test_overhears() -> None:
    landscape = Landscape(SPACE)
    star = landscape._table.argmax(-1)
    optimizer = PatchEvolution(Problem(SPACE, 0, 600, bank_of()), PatchEvolution.Options(elite=1))
    assert isinstance(optimizer, Listener)
    run(optimizer, landscape, 10)
    optimizer.observe(Evaluations(torch.stack([star, star]), torch.tensor([torch.nan, landscape.score(star[None]).item()]).double()))
    assert torch.equal(optimizer.recommend(), star)
    twin = PatchEvolution(Problem(SPACE, 0, 600, bank_of()), PatchEvolution.Options(elite=1))
    twin.load_state_dict(optimizer.state_dict())
    asked = optimizer.ask()
    assert all(is_one_patch(child != star, 3) for child in asked), "it breeds from what it overheard"
    assert torch.equal(asked, twin.ask())


@pytest.mark.parametrize("vectors", [None, torch.randn(40, 6, generator=torch.Generator().manual_seed(3))], ids=["plain", "vectors"])
def test_a_model_finds_more(vectors: torch.Tensor | None) -> None:
    """On a score that is linear in the codes' vectors, or in which code stands where."""
    space = SPACE if vectors is not None else Categorical((5, 3), 30)
    generator = torch.Generator().manual_seed(6)
    if vectors is not None:
        table = torch.randn(*space.shape, 6, generator=generator).double() @ vectors.double().T
    else:
        table = torch.randn(*space.shape, space.cardinality, generator=generator).double()
    found = {}
    for pool in (1, 10):
        best = []
        for seed in range(3):
            problem = Problem(space, seed, 400, bank_of(space, 200), code_vectors=vectors)
            optimizer = PatchEvolution(problem, PatchEvolution.Options(pool=pool))
            for _ in range(40):
                latents = optimizer.ask()
                scores = table.expand(len(latents), *table.shape).gather(-1, latents[..., None]).flatten(1).mean(1)
                optimizer.tell(Evaluations(latents, scores))
            best.append(optimizer._best_score)
        found[pool] = sum(best) / 3
    assert found[10] > found[1] + 0.1
