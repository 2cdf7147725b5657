"""How excitable the units are at the moment, by what references drive in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

HALF_LIFE = 4.0
"""Generations after which a reference's response counts half."""
PRIOR = 4.0
"""Presentations that speak for an unchanged gain."""
MOST = 5.0
"""Largest gain that is believed; its inverse is the least."""


class Drift:
    """Gains of units over generations, the first one's being 1.

    The mean response of unit u to reference r in generation g is taken to be ``base[r, u] · gain[g, u]``, as of a Poisson neuron whose
    excitability drifts. Given the bases, the likeliest gain is the ratio of the responses' sum to the bases' sum (as in iterative
    proportional fitting of a log-linear model; Bishop, Fienberg and Holland, "Discrete multivariate analysis", 1975); given the gains
    of the generations before, the likeliest base likewise. The sums forget old generations, and :data:`PRIOR` presentations at gain 1
    hold the ratio where responses are few.

    Parameters
    ----------
    references, units : int
        How many of each.
    """

    def __init__(self, references: int, units: int) -> None:
        self._sums = np.zeros((references, units))
        self._exposure = np.zeros((references, units))
        self._seen = np.zeros(units)
        self._expected = np.zeros(units)
        self.gain: NDArray[np.float64] = np.ones(units)

    def add(self, references: NDArray[np.int64], responses: NDArray[np.float64]) -> NDArray[np.float64]:
        """The gain of a generation, (units,), in which ``references``, (n,), were answered by ``responses``, (n, units)."""
        decay = 0.5 ** (1 / HALF_LIFE)
        self._seen *= decay
        self._expected *= decay
        known: NDArray[np.bool_] = np.all(self._exposure > 0, axis=1)
        bases = np.divide(self._sums, self._exposure, out=np.zeros_like(self._sums), where=self._exposure > 0)
        usable = known[references] if references.size else np.zeros(0, bool)
        self._seen += responses[usable].sum(0)
        self._expected += bases[references[usable]].sum(0)
        # the prior, in responses: so many presentations of the mean reference
        held = PRIOR * (bases[known].mean(0) if known.any() else np.zeros_like(self._seen))
        total = self._expected + held
        self.gain = np.where(total > 0, (self._seen + held) / np.where(total > 0, total, 1.0), 1.0).clip(1 / MOST, MOST)
        np.add.at(self._sums, references, responses)
        np.add.at(self._exposure, references, np.broadcast_to(self.gain, responses.shape))
        return self.gain

    def state_dict(self) -> dict[str, Any]:
        """All that it needs to go on."""
        names = ("_sums", "_exposure", "_seen", "_expected", "gain")
        return {name.strip("_"): torch.from_numpy(np.array(getattr(self, name))) for name in names}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from ``state``."""
        self._sums, self._exposure = state["sums"].numpy().copy(), state["exposure"].numpy().copy()
        self._seen, self._expected = state["seen"].numpy().copy(), state["expected"].numpy().copy()
        self.gain = state["gain"].numpy().copy()
