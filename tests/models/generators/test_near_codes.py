import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from actmax.models.generators.constrained import ConstrainedGenerator, Unconstrainable
from actmax.models.generators.near_codes import NearCodes
from actmax.models.generators.testing import check_generator
from actmax.models.spaces import Categorical
from toy_lab import codes, decoder

SPACE = Categorical((4, 5), 6)


def random(seed):
    return torch.Generator().manual_seed(seed)


def drawn(seed, m=30, n=12):
    """A bank, candidates that are some of it with codes changed, and a code book."""
    bank = SPACE.sample(m, random(seed))
    changed = torch.rand(n, 4, 5, generator=random(seed + 1)) < torch.linspace(0, 1, n)[:, None, None]
    candidates = torch.where(changed, SPACE.sample(n, random(seed + 2)), bank[torch.arange(n) % m])
    return bank, candidates, torch.randn(6, 3, generator=random(seed + 3))


@given(st.floats(0, 1), st.integers(0, 10_000), st.booleans())
@settings(max_examples=40, deadline=None)
def test_no_more_codes_differ_than_may_and_the_rest_is_left_alone(changes, seed, with_book):
    bank, candidates, book = drawn(seed)
    near = NearCodes(SPACE, bank, changes, book if with_book else None)
    projected = near.project(candidates)
    SPACE.check(projected)
    equal = (projected[:, None] == bank).flatten(2).sum(2)
    assert int((SPACE.size - equal.max(1).values).max()) <= near.most <= changes * SPACE.size + 1e-6
    assert torch.equal(near.share(projected), (SPACE.size - equal.max(1).values).double() / SPACE.size)
    assert torch.equal(near.project(projected), projected)
    inside = near.share(candidates) * SPACE.size <= near.most
    assert torch.equal(projected[inside], candidates[inside])
    # what is outside is moved no farther than it has to, and only back to natural codes
    nearest = bank[near.nearest(candidates)]
    kept = ((candidates != nearest) & (projected != nearest)).flatten(1).sum(1)
    assert bool((kept[~inside] == near.most).all())
    assert bool(((projected == candidates) | (projected == nearest)).all())


@given(st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_what_is_put_back_changes_the_least(seed):
    """By brute force: of all ways to keep two changes, the projection is the nearest in code vectors."""
    bank, candidates, book = drawn(seed)
    near = NearCodes(SPACE, bank, 0.1, book)
    for candidate, projected, row in zip(candidates, near.project(candidates), near.nearest(candidates), strict=True):
        places = (candidate != bank[row]).nonzero()
        if len(places) <= 2:
            continue

        def moved(kept, candidate=candidate, row=row):
            other = bank[row].clone()
            other[kept[:, 0], kept[:, 1]] = candidate[kept[:, 0], kept[:, 1]]
            return float((book[other] - book[candidate]).square().sum())

        pairs = torch.combinations(torch.arange(len(places)))
        least = min(moved(places[pair]) for pair in pairs)
        assert float((book[projected] - book[candidate]).square().sum()) == pytest.approx(least, rel=1e-5)


def test_of_equally_near_natural_maps_the_first_counts():
    bank = torch.zeros(3, 4, 5, dtype=torch.long)
    bank[1:, 0] = 1
    near = NearCodes(SPACE, bank, 0.5)
    assert near.nearest(bank[[2, 0]]).tolist() == [1, 0]


def test_relaxed_weights_follow_their_heaviest_codes_and_pass_gradients_where_they_stay():
    bank, candidates, book = drawn(3)
    near = NearCodes(SPACE, bank, 0.2, book)
    projected = near.project(candidates)
    assert torch.equal(near.project(F.one_hot(candidates, 6).float()), F.one_hot(projected, 6).float())
    weights = (F.one_hot(candidates, 6) + 0.1 * torch.rand(12, 4, 5, 6, generator=random(4))).requires_grad_()
    made = near.project(weights)
    (slope,) = torch.autograd.grad(made.square().sum(), weights)
    back = projected != candidates
    assert bool(back.any())
    assert torch.equal(made[back], F.one_hot(projected, 6).float()[back])
    assert float(slope[back].abs().max()) == 0
    assert torch.equal(slope[~back], 2 * weights.detach()[~back])


@pytest.mark.parametrize("changes", [0.0, 0.3])
def test_it_is_a_generator_with_codes_inside(changes):
    inner = codes()
    generator = ConstrainedGenerator(inner, max_code_changes=changes, luminance=0.4)
    check_generator(generator)
    latents = inner.latent.sample(30, random(1))
    projected = generator.project(latents)
    assert inner.prior is not None
    differ = (projected[:, None] != inner.prior.bank).flatten(2).sum(2).min(1).values
    assert int(differ.max()) == int(changes * 9)
    assert torch.equal(generator(projected), generator(latents))


@pytest.mark.parametrize(
    ("make", "says"),
    [(decoder, "no codes to count; max_latent_std"), (lambda: codes(bank=0), "no natural code maps")],
    ids=["box", "no bank"],
)
def test_what_has_no_natural_codes_is_refused(make, says):
    with pytest.raises(Unconstrainable, match=says) as caught:
        ConstrainedGenerator(make(), max_code_changes=0.5)
    assert caught.value.constraint == "max_code_changes"
