"""What is measured of a layer."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ....models.targets.target import LayerInfo
from .geometry import Matrix
from .structure import Dictionary


@dataclass
class Measures:
    """What is measured of one layer with one set of weights; None where it can't be.

    Attributes
    ----------
    activations : ndarray
        float64, (stimuli, units).
    weights : (str, ndarray) or None
        The module with the weights into the units, and these, (units, weights).
    silent : int
        Units that answer all stimuli alike; they are left out of all but ``activations``, ``selectivity``, ``distance`` and ``sparseness``.
    limits : list of str
        What can't be told, and why.
    """

    activations: Matrix
    weights: tuple[str, Matrix] | None
    silent: int = 0
    weight_cosines: NDArray[np.float64] | None = None
    weight_dimensionality: NDArray[np.float64] | None = None
    activation_cosines: NDArray[np.float64] | None = None
    participation: float | None = None
    separation: tuple[float, float] | None = None
    selectivity: NDArray[np.float64] | None = None
    distance: NDArray[np.float64] | None = None
    sparseness: NDArray[np.float64] | None = None
    principal: Matrix | None = None
    tsne: Matrix | None = None
    dictionary: Dictionary | None = None
    limits: list[str] = field(default_factory=list)


@dataclass
class LayerFound:
    """What was found about one layer.

    Attributes
    ----------
    layer : LayerInfo
        The layer.
    labels : ndarray
        int64, (stimuli,): class or cluster of each stimulus.
    names : list of str
        Of the classes; empty where they are clusters.
    stimuli, missed : int
        How many were answered, and how many weren't.
    of : dict of str to Measures
        With the target's own weights, "own", and with others, "other".
    alignment : float or None
        Linear centred kernel alignment of the two.
    """

    layer: LayerInfo
    labels: NDArray[np.int64]
    names: list[str]
    stimuli: int
    missed: int
    of: dict[str, Measures] = field(default_factory=dict)
    alignment: float | None = None
