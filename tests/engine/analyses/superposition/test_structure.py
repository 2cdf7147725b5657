"""Clusters, maps and the dictionary, against scikit-learn's own calls and made data."""

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.metrics import davies_bouldin_score, silhouette_score

from actmax.engine.analyses.superposition.structure import dictionary, k_means, principal_map, separation, tsne_map


def blobs(seed=0, spread=0.3):
    rng = np.random.default_rng(seed)
    labels = np.arange(90) % 3
    return rng.normal(size=(3, 8))[labels] * 3 + spread * rng.normal(size=(90, 8)), labels


@pytest.mark.parametrize("seed", range(3))
def test_separation_is_scikit_learns(seed):
    activations, labels = blobs(seed, 2.0)
    assert separation(activations, labels) == (silhouette_score(activations, labels), davies_bouldin_score(activations, labels))
    assert separation(activations, np.zeros(90, np.int64)) is None
    assert separation(activations, np.arange(90)) is None
    single = np.where(np.arange(90) == 0, 1, 0)  # one picture in a class
    assert np.isfinite(separation(activations, single) or (np.nan,)).all()


def test_clusters_are_found_and_maps_keep_them_apart():
    activations, labels = blobs()
    found = k_means(activations, 3, seed=1)
    assert all(len(np.unique(found[labels == label])) == 1 for label in range(3))
    for places in (principal_map(activations), tsne_map(activations, seed=2)):
        assert places.shape == (90, 2)
        silhouette, _ = separation(places, labels) or (0, 0)
        assert silhouette > 0.7


def test_the_map_of_components_is_scikit_learns_but_for_signs():
    activations, _ = blobs(4)
    expected = PCA(2).fit_transform(activations)
    assert np.abs(principal_map(activations)) == pytest.approx(np.abs(expected), abs=1e-8)
    assert principal_map(activations[:, :1]).shape == (90, 2)


def test_all_of_it_is_the_same_again_and_draws_from_no_global_state():
    activations, _ = blobs(5)
    before = repr(np.random.get_state(legacy=False))  # noqa: NPY002
    made = [(tsne_map(activations, 3), k_means(activations, 4, 3), dictionary(activations, 9, 3).atoms) for _ in range(2)]
    assert all(np.array_equal(one, again) for one, again in zip(*made, strict=True))
    assert repr(np.random.get_state(legacy=False)) == before  # noqa: NPY002


def test_a_dictionary_finds_the_directions_that_data_were_made_of():
    rng = np.random.default_rng(6)
    true = rng.normal(size=(12, 8))
    true /= np.linalg.norm(true, axis=1, keepdims=True)
    codes = np.zeros((400, 12))
    for code in codes:
        code[rng.choice(12, 2, replace=False)] = rng.uniform(1, 3, 2) * rng.choice([-1, 1], 2)
    found = dictionary(codes @ true, 12, seed=0)
    assert found.sparsities == (1, 2, 4, 8)
    assert np.linalg.norm(found.atoms, axis=1) == pytest.approx(np.ones(len(found.atoms)))
    assert list(found.explained) == sorted(found.explained)
    assert found.explained[1] > 0.9 > found.principal[1] + 0.3
    assert found.principal[-1] == pytest.approx(1)
    assert (np.abs(found.atoms @ true.T).max(0) > 0.9).mean() > 0.6
