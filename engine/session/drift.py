"""How excitable the units are at the moment, by what references drive in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

STEP = 0.04
"""Standard deviation of the change of a gain's logarithm that is expected from one generation to the next."""
BINS = 64
"""Stretches of time that are told apart; in a longer session each is several generations."""
ITERATIONS = 8
MOST = 5.0
"""Largest gain that is believed; its inverse is the least."""
_FLOOR = 1e-3


class Drift:
    """Gains of units over generations, the first one's being 1.

    The response of unit u to reference r in generation g is taken to be Poisson with mean ``base[r, u] · gain[g, u]``, its logarithm a
    random walk of steps of :data:`STEP`. After each generation all gains and bases are fitted together, to the mode of their posterior, by
    Newton's method (it is concave: a log-linear model with a Gaussian prior; as in state-space models of spikes, Smith and Brown,
    "Estimating a state-space model from point process observations", 2003). Fitting one after the other instead lets both run away.

    Parameters
    ----------
    references, units : int
        How many of each.
    """

    def __init__(self, references: int, units: int) -> None:
        self._width = 1
        self._generations = 0
        self._seen = np.zeros((0, references, units))
        self._shown = np.zeros((0, references, units))
        self._log_gain = np.zeros((0, units))
        self._log_base = np.zeros((references, units))
        self.gain: NDArray[np.float64] = np.ones(units)

    def add(self, references: NDArray[np.int64], responses: NDArray[np.float64]) -> NDArray[np.float64]:
        """The gain of a generation, (units,), in which ``references``, (n,), were answered by ``responses``, (n, units)."""
        self._make_room()
        np.add.at(self._seen[-1], references, responses)
        np.add.at(self._shown[-1], references, 1.0)
        self._generations += 1
        if self._seen.sum() > 0:
            self._fit()
        self.gain = np.exp(self._log_gain[-1]).clip(1 / MOST, MOST)
        return self.gain

    def _make_room(self) -> None:
        """The stretch that the next generation belongs to, at the end."""
        if self._generations % self._width:
            return
        if len(self._seen) == BINS:
            self._width *= 2
            for name in ("_seen", "_shown"):
                setattr(self, name, getattr(self, name).reshape(BINS // 2, 2, *self._seen.shape[1:]).sum(1))
            self._log_gain = self._log_gain[1::2] - self._log_gain[1]
        empty = np.zeros((1, *self._seen.shape[1:]))
        self._seen, self._shown = np.concatenate([self._seen, empty]), np.concatenate([self._shown, empty])
        last = self._log_gain[-1:] if len(self._log_gain) else np.zeros((1, self._seen.shape[2]))
        self._log_gain = np.concatenate([self._log_gain, last])

    def _fit(self) -> None:
        bins, references, units = self._seen.shape
        tie = 1 / (STEP**2 * self._width)
        walk = np.zeros((bins, bins))
        for at in range(bins - 1):
            walk[at : at + 2, at : at + 2] += tie * np.array([[1, -1], [-1, 1]])
        size = bins - 1 + references
        for unit in range(units):
            gain, base = self._log_gain[:, unit], self._log_base[:, unit]
            seen, shown = self._seen[:, :, unit], self._shown[:, :, unit]
            total, exposure = seen.sum(0), shown.sum(0)
            # one spike over all presentations stands for references that drove none
            floor = _FLOOR * (total.sum() + 1) / (exposure.sum() + 1)
            for _ in range(ITERATIONS):
                means = shown * np.exp(gain[:, None] + base[None])
                slope = np.concatenate([(seen - means).sum(1) - walk @ gain, total + floor - (means.sum(0) + floor * np.exp(base))])[1:]
                curve = np.zeros((size, size))
                curve[: bins - 1, : bins - 1] = walk[1:, 1:] + np.diag(means.sum(1)[1:])
                curve[bins - 1 :, bins - 1 :] = np.diag(means.sum(0) + floor * np.exp(base))
                curve[: bins - 1, bins - 1 :] = means[1:]
                curve[bins - 1 :, : bins - 1] = means[1:].T
                step = np.linalg.solve(curve, slope).clip(-1.0, 1.0)
                gain[1:] += step[: bins - 1]
                base += step[bins - 1 :]

    def state_dict(self) -> dict[str, Any]:
        """All that it needs to go on."""
        arrays = ("_seen", "_shown", "_log_gain", "_log_base", "gain")
        return {name.strip("_"): torch.from_numpy(np.array(getattr(self, name))) for name in arrays} | {
            "width": self._width,
            "generations": self._generations,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from ``state``."""
        for name in ("_seen", "_shown", "_log_gain", "_log_base", "gain"):
            setattr(self, name, state[name.strip("_")].numpy().copy())
        self._width, self._generations = int(state["width"]), int(state["generations"])
