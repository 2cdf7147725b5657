"""Latents as standard coordinates, and back."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from actmax.models.spaces import Box, Categorical
from actmax.optimizers.coordinates import BoxCoordinates, CodeCoordinates, coordinates
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
    standard = (vectors - vectors.mean(0)) / vectors.std(0, correction=0)
    apart = (moved.view(20, positions, 1, width) - standard).square().sum(3)
    assert torch.equal(places.latents(moved), apart.argmin(2))


def test_varied_codes_differ_in_one_position_by_a_nearest_code():
    places = CodeCoordinates(Categorical((3, 2), 10), torch.arange(10.0)[:, None])
    latents = torch.full((200, 3, 2), 4)
    varied = places.varied(latents, torch.Generator().manual_seed(0))
    changed = varied != latents
    assert changed.flatten(1).sum(1).tolist() == [1] * 200
    assert set(varied[changed].tolist()) == {3, 5}
    assert bool(changed.any(0).all())


def test_codes_without_vectors_have_no_coordinates():
    assert coordinates(Problem(Categorical((4,), 5), 0)) is None


@pytest.mark.parametrize("cardinality", [2, 3])
def test_a_code_of_two_has_one_neighbour(cardinality):
    places = CodeCoordinates(Categorical((1,), cardinality), torch.arange(float(cardinality))[:, None])
    varied = places.varied(torch.zeros(50, 1, dtype=torch.long), torch.Generator().manual_seed(0))
    assert set(varied.flatten().tolist()) == set(range(1, cardinality))
