"""How a gradient search's step changes over its run."""

from __future__ import annotations

import math
from typing import Literal

Schedule = Literal["constant", "cosine", "warm-restarts"]


def step_factor(schedule: Schedule, step: int, left: float, cycle: int) -> float:
    """What the first step is multiplied by, in [0, 1].

    "cosine" falls to 0 over the run; "warm-restarts" falls over ``cycle`` steps and begins again (Loshchilov and Hutter, "SGDR: stochastic
    gradient descent with warm restarts", 2017, equation 5, cycles of equal length).

    Parameters
    ----------
    schedule : {"constant", "cosine", "warm-restarts"}
    step : int
        Steps done.
    left : float
        Share of the run that is left, 1 to 0.
    cycle : int
        Steps of one cycle, at least 1.
    """
    if schedule == "cosine":
        return 0.5 * (1.0 - math.cos(math.pi * left))
    if schedule == "warm-restarts":
        return 0.5 * (1.0 + math.cos(math.pi * (step % cycle) / cycle))
    return 1.0
