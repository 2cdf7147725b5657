"""Directions, dimensions and selectivity, against closed forms."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from actmax.engine.analyses.superposition.geometry import (
    cosines,
    expected_cosine,
    feature_dimensionality,
    linear_cka,
    live,
    participation_ratio,
    weight_directions,
)
from actmax.engine.analyses.superposition.selectivity import class_distance, class_selectivity, lifetime_sparseness

RNG = np.random.default_rng(0)


def polygon(corners):
    angles = 2 * math.pi * np.arange(corners) / corners
    return np.stack([np.cos(angles), np.sin(angles)], 1)


@pytest.mark.parametrize(("corners", "share"), [(3, 2 / 3), (5, 2 / 5), (7, 2 / 7)])
def test_features_of_a_polygon_share_its_plane(corners, share):
    """Elhage et al., 2022: n features at equal angles in two dimensions have 2/n of a dimension each."""
    assert feature_dimensionality(3 * polygon(corners)) == pytest.approx(np.full(corners, share))


def test_dimensionality_of_single_features_opposite_pairs_and_none():
    directions = np.array([[2.0, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 0]])
    assert feature_dimensionality(directions) == pytest.approx([1, 0.5, 0.5, 0])


def test_cosines_are_those_of_each_pair():
    assert np.sort(cosines(polygon(4))) == pytest.approx([-1, -1, 0, 0, 0, 0], abs=1e-12)
    assert cosines(np.array([[1.0, 0], [0, 0], [1, 1]])) == pytest.approx([math.sqrt(0.5)])
    for dimensions in (2, 9, 200):
        drawn = np.abs(cosines(RNG.normal(size=(300, dimensions)))).mean()
        assert drawn == pytest.approx(expected_cosine(dimensions), rel=0.03)


def test_participation_ratio_counts_equal_dimensions():
    orthogonal = np.linalg.qr(RNG.normal(size=(400, 7)) - 0)[0]
    orthogonal -= orthogonal.mean(0)
    assert participation_ratio(orthogonal) == pytest.approx(7, rel=0.01)
    assert participation_ratio(orthogonal[:, :1] @ np.ones((1, 5))) == pytest.approx(1)
    assert participation_ratio(np.ones((9, 3))) == 0


def test_alignment_knows_rotation_and_scale_alone():
    one = RNG.normal(size=(200, 6))
    rotation = np.linalg.qr(RNG.normal(size=(6, 6)))[0]
    assert linear_cka(one, 3 * one @ rotation + 5) == pytest.approx(1)
    assert (linear_cka(one, RNG.normal(size=(200, 6))) or 0) < 0.1
    assert linear_cka(one, np.ones((200, 4))) is None


def test_constant_units_are_not_live():
    activations = np.stack([RNG.normal(size=9), np.full(9, 7.0), np.zeros(9), np.full(9, 3) + 1e-9 * RNG.normal(size=9)], 1)
    assert live(activations).tolist() == [True, False, False, False]


def test_selectivity_of_units_of_which_it_is_known():
    labels = np.repeat([0, 1, 2, 3], 5)
    only, half, same, silent = np.where(labels == 2, 4.0, 0), np.where(labels == 0, 3.0, 1.0), np.full(20, 2.0), np.zeros(20)
    activations = np.stack([only, half, same, silent], 1)
    assert class_selectivity(activations, labels) == pytest.approx([1, 0.5, 0, 0])
    assert lifetime_sparseness(activations) == pytest.approx([(1 - 0.25) / 0.95, (1 - 2.25 / 3) / 0.95, 0, 0])
    assert class_selectivity(activations - 1, labels) is None
    assert lifetime_sparseness(activations - 1) is None
    drawn = np.stack([RNG.normal(size=4000) + 2 * (np.arange(4000) % 2), np.ones(4000)], 1)
    assert class_distance(drawn, np.arange(4000) % 2) == pytest.approx([2, 0], abs=0.15)


def test_weights_are_of_the_layer_or_of_what_is_before_it():
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Sequential(nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8), nn.ReLU()), nn.Flatten())
    own = weight_directions(network, "0", 8)
    assert own is not None
    assert own[0] == "0"
    assert torch.equal(torch.from_numpy(own[1]).float(), network[0].get_parameter("weight").flatten(1))
    assert [found[0] for name in ("1", "2", "2.2") if (found := weight_directions(network, name, 8))] == ["0", "2.0", "2.0"]
    assert weight_directions(network, "3", 32) is None
    assert weight_directions(network, "output", 8) is None
