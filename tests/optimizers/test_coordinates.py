"""Latents as standard coordinates, and back."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from actmax.models.spaces import Box, Categorical
from actmax.optimizers.coordinates import BoxCoordinates, CodeCoordinates, coordinates, telling
from actmax.optimizers.optimizer import Problem


@given(low=st.floats(-100, 90), width=st.floats(0.1, 100), seed=st.integers(0, 99))
def test_a_box_comes_back_and_stays_within_its_bounds(low, width, seed):
    space = Box((2, 3), low, low + width)
    places = BoxCoordinates(space, None)
    latents = space.sample(50, torch.Generator().manual_seed(seed)).clamp(space.low, space.high)
    rows = places.rows(latents)
    assert torch.allclose(places.latents(rows), latents, atol=1e-4 * width)
    space.check(places.latents(100 * rows))


def test_uniform_latents_of_a_box_are_standard():
    space = Box((4,), 3, 7)
    rows = BoxCoordinates(space, None).rows(space.sample(20_000, torch.Generator().manual_seed(0)))
    assert rows.mean(0).abs().max() < 0.03
    assert (rows.std(0) - 1).abs().max() < 0.02


@given(positions=st.integers(1, 5), cardinality=st.integers(2, 9), width=st.integers(1, 4), seed=st.integers(0, 99))
def test_codes_come_back_and_those_between_go_to_the_nearest(positions, cardinality, width, seed):
    generator = torch.Generator().manual_seed(seed)
    vectors = torch.randn(cardinality, width, generator=generator)
    places = CodeCoordinates(Categorical((positions,), cardinality), vectors)
    latents = torch.randint(cardinality, (20, positions), generator=generator)
    rows = places.rows(latents)
    assert rows.shape == (20, places.size) == (20, positions * width)
    assert torch.equal(places.latents(rows), latents)
    assert bool((rows >= places.low).all())
    assert bool((rows <= places.high).all())
    moved = rows + 0.3 * torch.randn(rows.shape, generator=generator)
    around = vectors - vectors.mean(0)
    standard = around / around.square().mean().sqrt()
    apart = (moved.view(20, positions, 1, width) - standard).square().sum(3)
    assert torch.equal(places.latents(moved), apart.argmin(2))


def test_varied_codes_differ_in_one_position_by_a_nearest_code():
    places = CodeCoordinates(Categorical((3, 2), 10), torch.arange(10.0)[:, None])
    latent, generator = torch.full((3, 2), 4), torch.Generator().manual_seed(0)
    varied = torch.stack([places.varied(latent, generator) for _ in range(200)])
    changed = varied != latent
    assert changed.flatten(1).sum(1).tolist() == [1] * 200
    assert set(varied[changed].tolist()) == {3, 5}
    assert bool(changed.any(0).all())


def test_codes_that_stand_for_the_same_are_no_neighbours():
    places = CodeCoordinates(Categorical((1,), 5), torch.tensor([[0.0], [0.0], [0.0], [1.0], [5.0]]))
    generator = torch.Generator().manual_seed(0)
    assert {int(places.varied(torch.zeros(1, dtype=torch.long), generator)) for _ in range(50)} == {3, 4}


@pytest.mark.parametrize("cardinality", [2, 3])
def test_a_code_of_two_has_one_neighbour(cardinality):
    places = CodeCoordinates(Categorical((1,), cardinality), torch.arange(float(cardinality))[:, None])
    generator = torch.Generator().manual_seed(0)
    assert {int(places.varied(torch.zeros(1, dtype=torch.long), generator)) for _ in range(50)} == set(range(1, cardinality))


@pytest.mark.parametrize("constant", [0.0, 0.1, 1e30])
def test_entries_that_tell_nothing_are_left_out(constant):
    levels = torch.linspace(-1, 1, 7)
    vectors = torch.stack([levels, torch.full((7,), constant)], 1)
    found = telling(vectors)
    if constant < 1:
        assert found.shape == (7, 1)
        assert torch.allclose(found[:, 0], levels / levels.square().mean().sqrt())


def test_the_largest_vectors_are_scaled_like_others():
    found = telling(torch.tensor([[-3e38, 1.0], [3e38, 2.0]]))
    assert found.tolist() == [[-1.0], [1.0]]


def test_codes_that_stand_for_nothing_have_no_coordinates():
    assert coordinates(Problem(Categorical((4,), 5), 0)) is None
    assert coordinates(Problem(Categorical((4,), 5), 0, code_vectors=torch.ones(5, 3))) is None
    assert coordinates(Problem(Categorical((4,), 5000), 0, code_vectors=torch.rand(5000, 3))) is None


def test_a_code_book_of_another_length_is_refused():
    with pytest.raises(ValueError, match="5 codes need as many vectors"):
        coordinates(Problem(Categorical((4,), 5), 0, code_vectors=torch.rand(6, 3)))
