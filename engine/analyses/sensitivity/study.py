"""What was found about the sensitivity of one optimum."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ...results.result import SearchResult
from .factors import Factors


@dataclass
class Study:
    """What was found about one optimum.

    Attributes
    ----------
    search : SearchResult
        Whose optimum it is.
    number : int
        Of the optimum, 0 the search's answer.
    stimulus : ndarray
        The optimum.
    factors : Factors
        What was varied.
    indices : dict of str to ndarray
        By column, (factors,) float64; "S2" and "S2 ±" are (factors, factors), NaN below the diagonal and on it.
    leading : ndarray or None
        Factors in the order in which they count.
    explained : ndarray or None
        See :func:`actmax.engine.analyses.sensitivity.leading.explained`.
    limits : list of str
        What can't be told, and why.
    """

    search: SearchResult
    number: int
    stimulus: NDArray[np.float32]
    factors: Factors
    indices: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    leading: NDArray[np.int64] | None = None
    explained: NDArray[np.float64] | None = None
    limits: list[str] = field(default_factory=list)
