"""Clusters, maps and a sparse dictionary of activations, by scikit-learn on one thread, so that they are the same every time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..library_state import seeded_library
from .geometry import Matrix

_SPARSITIES = (1, 2, 4, 8, 16, 32)
"""Coefficients of a stimulus that are not zero."""
_EPOCHS = 20
"""How often the dictionary goes through the stimuli."""


@dataclass(frozen=True)
class Dictionary:
    """A sparse dictionary of activations.

    Attributes
    ----------
    atoms : ndarray
        float64, (atoms, units): directions, each of length 1.
    sparsities : tuple of int
        Coefficients that are not zero.
    explained : ndarray
        float64, (sparsities,): share of the variance of stimuli that it wasn't learnt from, reconstructed with so many coefficients
        (orthogonal matching pursuit).
    principal : ndarray
        float64, (sparsities,): that of as many principal components.
    """

    atoms: Matrix
    sparsities: tuple[int, ...]
    explained: NDArray[np.float64]
    principal: NDArray[np.float64]


def k_means(activations: Matrix, clusters: int, seed: int) -> NDArray[np.int64]:
    """Return the cluster of each stimulus, (stimuli,)."""
    from sklearn.cluster import KMeans

    with seeded_library(seed):
        made: Any = KMeans(clusters, random_state=seed)
        return made.set_params(n_init=4).fit_predict(activations).astype(np.int64)


def separation(activations: Matrix, labels: NDArray[np.int64]) -> tuple[float, float] | None:
    """Return silhouette and Davies–Bouldin index of the labels; None where these are fewer than two, or all different."""
    from sklearn.metrics import davies_bouldin_score, silhouette_score

    if not 2 <= len(np.unique(labels)) < len(labels):
        return None
    with seeded_library(0):
        return float(silhouette_score(activations, labels)), float(davies_bouldin_score(activations, labels))


def principal_map(activations: Matrix) -> Matrix:
    """Return the first two principal components of each stimulus, (stimuli, 2), in an order and with signs that do not change."""
    left, values, axes = np.linalg.svd(activations - activations.mean(0), full_matrices=False)
    found = left[:, :2] * values[:2]
    signs = np.sign(np.take_along_axis(axes[:2], np.abs(axes[:2]).argmax(1)[:, None], 1)[:, 0])
    return np.pad(found * signs, ((0, 0), (0, 2 - found.shape[1])))


def tsne_map(activations: Matrix, seed: int) -> Matrix:
    """Return the t-SNE map of the stimuli, (stimuli, 2); perplexity 30, or a third of few stimuli."""
    from sklearn.manifold import TSNE

    with seeded_library(seed):
        made = TSNE(2, perplexity=min(30.0, (len(activations) - 1) / 3), init="random", random_state=seed)
        return made.fit_transform(activations.astype(np.float32)).astype(np.float64)


def dictionary(activations: Matrix, atoms: int, seed: int) -> Dictionary:
    """Return a dictionary of ``atoms`` directions that is learnt from two thirds of the stimuli, and measured on the rest.

    Mairal et al., "Online dictionary learning for sparse coding", 2009.
    """
    from sklearn.decomposition import MiniBatchDictionaryLearning, sparse_encode

    order = np.random.default_rng(seed).permutation(len(activations))
    known, held = activations[order[len(order) // 3 :]], activations[order[: len(order) // 3]]
    middle, scale = known.mean(0), known.std() or 1.0
    known, held = (known - middle) / scale, (held - middle) / scale
    with seeded_library(seed):
        learner = MiniBatchDictionaryLearning(atoms, alpha=1, max_iter=_EPOCHS, batch_size=64, fit_algorithm="cd", random_state=seed)
        found = np.asarray(learner.fit(known).components_)
        lengths = np.linalg.norm(found, axis=1)
        found = found[lengths > 0] / lengths[lengths > 0, None]
        sparsities = tuple(number for number in _SPARSITIES if number <= min(found.shape))
        codes = [sparse_encode(held, found, algorithm="omp", n_nonzero_coefs=number) for number in sparsities]
    total = float((held**2).sum()) or 1.0
    explained = np.array([1 - float(((held - code @ found) ** 2).sum()) / total for code in codes])
    along = ((held @ np.linalg.svd(known, full_matrices=False)[2].T) ** 2).sum(0).cumsum() / total
    return Dictionary(found, sparsities, explained, np.array([along[min(number, len(along)) - 1] for number in sparsities]))
