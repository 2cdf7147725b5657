"""How excitable the units are at the moment, by what references drive in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

WALKS = ((0.0025, 0.0), (0.0025, 0.4), (0.01, 0.0), (0.04, 0.0))
"""Standard deviations that the logarithm of a gain may have in its change from one generation to the next, and in a steady change over the
session so far; data tell which."""
PRIOR = (0.4, 0.3, 0.15, 0.15)
"""How probable each of them is beforehand, for scores: a search that compares early candidates with late ones loses more by a drift that
it does not see than by the noise of a few references."""
DOUBT = (0.97, 0.01, 0.01, 0.01)
"""The same for what is reported: a response is corrected for no drift that is not all but certain."""
BINS = 32
"""Stretches of time that are told apart; in a longer session each is several generations."""
ITERATIONS = 8
MOST = 5.0
"""Largest gain that is believed; its inverse is the least."""
TOGETHER = 32
"""Units fitted at once."""
_FLOOR = 0.05
"""Presentations, at the unit's mean response, that every reference is taken to have had besides: one that drove nothing has a base, too."""
_LEAST, _ORDINARY = 1e-12, 1e-3
"""A base before anything was driven, in the units of the response; it shrinks with mean responses below the second."""
_GUESSED = 2.0
"""Residuals that the first guess of the dispersion counts for."""

Array = NDArray[np.float64]


class Drift:
    """Gains of units over generations, the first one's being 1.

    The response of unit u to reference r in generation g has the mean ``base[r, u] · gain[g, u]`` and a variance that is proportional to it
    (spikes: the mean itself, about), the logarithm of the gain being a random walk. After each generation all gains and bases are fitted
    together, to the mode of their posterior, by Newton's method (it is concave: a log-linear model with a Gaussian prior; as in
    state-space models of spikes, Smith and Brown, "Estimating a state-space model from point process observations", 2003). Fitting one
    after the other instead lets both run away. The variance's factor comes from the residuals (quasi-likelihood; Wedderburn 1974), so
    that the unit of a rate does not matter. How far it walks is averaged over :data:`WALKS` by their evidence
    (Laplace's approximation).

    Parameters
    ----------
    references, units : int
        How many of each.
    counted : sequence of bool, optional
        Which units tell spikes; all by default. Of others the variance is guessed to be the squared mean until residuals tell.
    """

    def __init__(self, references: int, units: int, counted: Sequence[bool] | None = None) -> None:
        self._counted = np.ones(units, bool) if counted is None else np.array(counted, bool)
        self._width = 1
        self._generations = 0
        self._seen, self._squares, self._shown = (np.zeros((0, references, units)) for _ in range(3))
        self._log_gain = np.zeros((len(WALKS), 0, units))
        self._log_base = np.zeros((len(WALKS), references, units))
        self.gain: Array = np.ones(units)
        """(units,) now, as it is best taken for scores."""
        self.doubted: Array = np.ones(units)
        """(units,) now, as it is best taken for reports."""

    @property
    def bases(self) -> Array:
        """What each reference drives at the beginning's gain, (references, units), in each unit's own mean; 0 where nothing is known."""
        found = np.where(self._shown.sum(0) > 0, np.exp(self._log_base[0]), 0.0)
        mean = found.mean(0)
        return found / np.where(mean > 0, mean, 1.0)

    def add(self, references: NDArray[np.int64], responses: Array) -> Array:
        """Return the gain of a generation, (units,).

        Its ``references``, (n,), were answered by ``responses``, (n, units), NaN where a unit did not answer.
        """
        self._make_room()
        fresh = self._shown.sum(0) == 0
        known = ~np.isnan(responses)
        responses = np.where(known, responses, 0.0)
        np.add.at(self._seen[-1], references, responses)
        np.add.at(self._squares[-1], references, responses**2)
        np.add.at(self._shown[-1], references, known.astype(np.float64))
        self._generations += 1
        fresh &= self._shown[-1] > 0
        # bases begin where they were first seen: the steps from there are small, whatever a response is measured in
        tenth = 0.1 * responses.sum(0) / np.maximum(known.sum(0), 1)
        least = tenth + np.where(tenth > 0, np.minimum(_LEAST, _LEAST * tenth / _ORDINARY), _LEAST)
        first = np.log(np.maximum(self._seen[-1] / np.maximum(self._shown[-1], 1.0), least))
        self._log_base[:, fresh] = (first[None] - self._log_gain[:, -1:])[:, fresh]
        active = np.flatnonzero(self._seen.sum((0, 1)) > 0)
        for start in range(0, len(active), TOGETHER):
            part = active[start : start + TOGETHER]
            fitted = self._fitted(part)
            self.gain[part], self.doubted[part] = (np.exp(log).clip(1 / MOST, MOST) for log in fitted)
        return self.gain

    def _make_room(self) -> None:
        """The stretch that the next generation belongs to, at the end."""
        if self._generations % self._width:
            return
        if len(self._seen) == BINS:
            self._width *= 2
            for name in ("_seen", "_squares", "_shown"):
                setattr(self, name, getattr(self, name).reshape(BINS // 2, 2, *self._seen.shape[1:]).sum(1))
            self._log_gain = self._log_gain[:, 1::2] - self._log_gain[:, 1:2]
        empty = np.zeros((1, *self._seen.shape[1:]))
        for name in ("_seen", "_squares", "_shown"):
            setattr(self, name, np.concatenate([getattr(self, name), empty]))
        last = self._log_gain[:, -1:] if self._log_gain.shape[1] else np.zeros((len(WALKS), 1, self._seen.shape[2]))
        self._log_gain = np.concatenate([self._log_gain, last], 1)

    def _fitted(self, part: NDArray[np.int64]) -> tuple[Array, Array]:
        """Fit some units; logarithms of their gains now, (units,), for scores and for reports."""
        bins = len(self._seen)
        seen, shown = (np.moveaxis(table[..., part], 2, 0) for table in (self._seen, self._shown))
        dispersion = self._dispersion(part)
        mean = seen.sum((1, 2)) / shown.sum((1, 2))
        besides = (_FLOOR * mean / dispersion, _FLOOR / dispersion)
        seen, shown = seen / dispersion[:, None, None], shown / dispersion[:, None, None]
        found, evidence = [], []
        for at, (step, trend) in enumerate(WALKS):
            precision, log_determinant = _precision(bins, step**2 * self._width, trend**2)
            gain, base = self._log_gain[at][:, part].T, self._log_base[at][:, part].T
            evidence.append(_fit(seen, shown, besides, gain, base, precision) + 0.5 * log_determinant)
            self._log_gain[at][:, part], self._log_base[at][:, part] = gain.T, base.T
            found.append(gain[:, -1])
        evidences, gains = np.array(evidence), np.array(found)
        return _averaged(gains, evidences, PRIOR), _averaged(gains, evidences, DOUBT)

    def _dispersion(self, part: NDArray[np.int64]) -> Array:
        """Variance of a response over its mean, (units,): squared residuals of the fit so far over what is expected, with a first guess.

        References that drive most count most, as they do for the gain; spikes are at least as variable as Poisson ones.
        """
        seen, squares, shown = (table[..., part] for table in (self._seen, self._squares, self._shown))
        expected = np.exp(self._log_gain[1][:, None, part] + self._log_base[1][None, :, part])
        known = (shown.sum(0) > 1)[None] & (shown > 0)
        trials = np.where(known, shown, 0.0).sum((0, 1))
        freedom = np.maximum(trials - known.any(0).sum(0), 0.0)
        residuals = np.where(known, squares - 2 * seen * expected + shown * expected**2, 0.0).sum((0, 1))
        means = np.where(known, shown * expected, 0.0).sum((0, 1)) * freedom / np.maximum(trials, 1.0)
        mean = seen.sum((0, 1)) / shown.sum((0, 1))
        guess = np.where(self._counted[part], 1.0, squares.sum((0, 1)) / seen.sum((0, 1)))
        found = (residuals * (freedom > 0) + _GUESSED * guess * mean) / (means + _GUESSED * mean)
        return np.where(self._counted[part], np.maximum(found, 1.0), np.maximum(found, 1e-4 * mean))

    def state_dict(self) -> dict[str, Any]:
        """All that it needs to go on."""
        return {name.strip("_"): torch.from_numpy(np.array(getattr(self, name))) for name in _ARRAYS} | {
            "width": self._width,
            "generations": self._generations,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from ``state``."""
        for name in _ARRAYS:
            setattr(self, name, state[name.strip("_")].numpy().copy())
        self._width, self._generations = int(state["width"]), int(state["generations"])


_ARRAYS = ("_seen", "_squares", "_shown", "_log_gain", "_log_base", "gain", "doubted")


def _averaged(gains: Array, evidences: Array, prior: Sequence[float]) -> Array:
    """Mean of ``gains``, (walks, units), by how probable each walk is."""
    weights = evidences + np.log(prior)[:, None]
    weights = np.exp(weights - weights.max(0))
    return (weights * gains).sum(0) / weights.sum(0)


def _precision(bins: int, walk: float, trend: float) -> tuple[Array, float]:
    """Of a random walk from 0 with steps of the variance ``walk``, on a line whose end has the variance ``trend``; its log-determinant."""
    found = 2.0 * np.eye(bins) - np.eye(bins, k=1) - np.eye(bins, k=-1)
    found[0, 0] = found[-1, -1] = 1.0 if bins > 1 else 0.0
    found /= walk
    # the line's covariance is of rank one: Sherman and Morrison's formula
    line = np.linspace(0.0, 1.0, bins) if bins > 1 else np.zeros(1)
    along = found @ line
    grown = 1 + trend * float(line @ along)
    return found - np.outer(along, along) * (trend / grown), -(bins - 1) * float(np.log(walk)) - float(np.log(grown))


def _fit(seen: Array, shown: Array, besides: tuple[Array, Array], gain: Array, base: Array, precision: Array) -> Array:
    """Bring ``gain``, (units, bins), and ``base``, (units, references), to the mode, in place; the logarithm of the evidence, (units,)."""
    units, bins, references = seen.shape
    more, floor = (table[:, None] for table in besides)
    total = seen.sum(1) + more
    size = bins - 1 + references
    curve = np.zeros((units, size, size))
    diagonal = np.arange(size)
    for _ in range(ITERATIONS):
        means = shown * np.exp(gain[:, :, None] + base[:, None, :])
        kept = floor * np.exp(base)
        slope = np.concatenate([(seen - means).sum(2) - gain @ precision, total - means.sum(1) - kept], 1)[:, 1:]
        curve[:] = 0.0
        curve[:, : bins - 1, : bins - 1] = precision[1:, 1:]
        curve[:, diagonal, diagonal] += np.concatenate([means.sum(2)[:, 1:], means.sum(1) + kept], 1)
        curve[:, : bins - 1, bins - 1 :] = means[:, 1:]
        curve[:, bins - 1 :, : bins - 1] = means[:, 1:].swapaxes(1, 2)
        step = np.linalg.solve(curve, slope[:, :, None])[:, :, 0].clip(-1.0, 1.0)
        gain[:, 1:] += step[:, : bins - 1]
        base += step[:, bins - 1 :]
        if np.abs(step).max() < 1e-6:
            break
    logs = gain[:, :, None] + base[:, None, :]
    likelihood = (seen * logs - shown * np.exp(logs)).sum((1, 2)) + (more * base - floor * np.exp(base)).sum(1)
    return likelihood - 0.5 * np.einsum("ui,ij,uj->u", gain, precision, gain) - 0.5 * np.linalg.slogdet(curve)[1]
