"""A unit's responses along one sweep, and how far the sweep goes until the response is halved."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ....charts.words import count, shown
from ...results.section import Value
from .sweeps import Sweep

_SURE = 2.0
"""Standard errors by which a response is told from zero."""


@dataclass(frozen=True)
class Curve:
    """Responses to one optimum as one parameter changes.

    Attributes
    ----------
    sweep : Sweep
        What changes.
    means, sems : ndarray
        float64, (values,): the mean response over the trials that were answered, NaN where none was; and its standard error, NaN of fewer
        than two.
    equivariance : ndarray or None
        float64, (values,), see :func:`actmax.engine.analyses.tuning.equivariance.equivariance`; None where it can't be told.
    """

    sweep: Sweep
    means: NDArray[np.float64]
    sems: NDArray[np.float64]
    equivariance: NDArray[np.float64] | None

    @classmethod
    def of(cls, sweep: Sweep, responses: NDArray[np.float64], equivariance: NDArray[np.float64] | None) -> Curve:
        """Of responses, (values, repeats), NaN where a trial was missed."""
        known = np.isfinite(responses)
        counts = known.sum(1)
        filled = np.where(known, responses, 0.0)
        means = np.where(counts > 0, filled.sum(1) / np.maximum(counts, 1), np.nan)
        squares = np.where(known, (responses - means[:, None]) ** 2, 0.0).sum(1)
        sems = np.where(counts > 1, np.sqrt(squares / np.maximum(counts - 1, 1) / np.maximum(counts, 1)), np.nan)
        return cls(sweep, means, sems, equivariance)

    @property
    def own(self) -> float:
        """The mean response to the unchanged optimum."""
        return float(self.means[self.sweep.middle])

    @property
    def shares(self) -> NDArray[np.float64] | None:
        """Responses ÷ that to the unchanged optimum, (values,); None where that can't be told from zero."""
        sem = float(self.sems[self.sweep.middle])
        if not math.isfinite(self.own) or abs(self.own) <= (_SURE * sem if math.isfinite(sem) else 0.0):
            return None
        return self.means / self.own

    def halved(self) -> tuple[float | None, float | None]:
        """Return the values below and above the unchanged one at which the share first falls below a half; None where it doesn't.

        Between two measured values it is taken to change linearly.
        """
        return self._crossing(-1), self._crossing(1)

    def row(self) -> dict[str, Value]:
        """Return the curve as a row of a table."""
        sweep, shares = self.sweep, self.shares
        sem = float(self.sems[sweep.middle])
        row: dict[str, Value] = {
            "change": f"{sweep.title}, {sweep.unit}",
            "response": self.own if math.isfinite(self.own) else None,
            **({"± s.e.m.": sem} if math.isfinite(sem) else {}),
        }
        below, above = self.halved()
        strongest = int(np.nanargmax(shares)) if shares is not None else 0
        row |= {
            "halved below": below,
            "halved above": above,
            "strongest at": sweep.values[strongest] if shares is not None else None,
            "strongest ÷ own": float(shares[strongest]) if shares is not None else None,
            "mean ÷ own": float(np.nanmean(shares)) if shares is not None else None,
            "equivariance": self._mean_equivariance(),
            "limit": self._limit(),
        }
        return row

    def _mean_equivariance(self) -> float | None:
        if self.equivariance is None:
            return None
        moved = np.delete(self.equivariance, self.sweep.middle)
        known = moved[np.isfinite(moved)]
        return float(known.mean()) if known.size else None

    def _limit(self) -> str:
        """Say what the row can't tell, and why."""
        values, unit = self.sweep.values, self.sweep.unit
        if not math.isfinite(self.own):
            return "the optimum itself was not answered"
        if self.shares is None:
            return f"the response to the optimum, {shown(self.own)}, can't be told from 0, so there is none to halve"
        below, above = self.halved()
        ends = ["below"] * (below is None and self.sweep.middle > 0) + ["above"] * (above is None)
        reach = f"within {shown(values[0])} … {shown(values[-1])} {unit}"
        missed = int((~np.isfinite(self.means)).sum())
        parts = [f"not halved {' or '.join(ends)} {reach}"] * bool(ends) + [f"{count(missed, 'value')} not answered"] * bool(missed)
        return "; ".join(parts)

    def _crossing(self, step: int) -> float | None:
        shares = self.shares
        if shares is None:
            return None
        values, last = self.sweep.values, self.sweep.middle
        at = last + step
        while 0 <= at < len(values):
            if np.isfinite(shares[at]):
                if shares[at] < 0.5:
                    part = (shares[last] - 0.5) / (shares[last] - shares[at])
                    return float(values[last] + part * (values[at] - values[last]))
                last = at
            at += step
        return None
