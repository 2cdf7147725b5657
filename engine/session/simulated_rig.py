"""A rig to rehearse with: any target, as noisy and unreliable as a recording."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from ...models.permissions import NOTHING, Permissions
from ...models.targets.target import Target
from ...models.units import BadAddress, UnitAddress, resolve
from ..build import build_target
from ..errors import InvalidJob
from ..spec import ComponentSpec


class RigOptions(BaseModel):
    """What happens between a target's response and what is recorded.

    Attributes
    ----------
    noise : {"poisson", "multiplicative", "none"}
        Spikes, Poisson with the response's mean; or the response · (1 + ``sigma`` · ε), ε standard normal, at least 0.
    gain : float
        Spikes for a response of 1.
    sigma : float
        Of the multiplicative noise.
    saturation : float
        Most spikes that refractoriness allows: a rate of r comes out as r / (1 + r / saturation); 0: no limit.
    drift : float
        Change of the gain over ``span`` trials, as a share: -0.3 ends at 70 %. It stays there afterwards.
    span : int
        Trials of the drift.
    drop : float
        Share of the trials that are missed.
    dead : bool
        Whether the unit answers to nothing: ``baseline`` alone.
    baseline : float
        Spikes without a stimulus.
    latency : float
        Seconds that a trial takes.
    seed : int
        Of all of it. Trial by trial: the same trial meets the same noise, whenever it is shown.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    noise: Literal["poisson", "multiplicative", "none"] = "poisson"
    gain: Annotated[float, Field(gt=0, le=1e9, allow_inf_nan=False)] = 1.0
    sigma: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)] = 0.2
    saturation: Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)] = 0.0
    drift: Annotated[float, Field(gt=-1, le=100, allow_inf_nan=False)] = 0.0
    span: Annotated[int, Field(ge=1, le=10**9)] = 1000
    drop: Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)] = 0.0
    dead: bool = False
    baseline: Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)] = 0.0
    latency: Annotated[float, Field(ge=0, le=3600, allow_inf_nan=False)] = 0.0
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0


class SimulatedRig:
    """Answers trials as a rig with an electrode in ``target`` would.

    Parameters
    ----------
    target : Target
        The tissue.
    units : sequence of UnitAddress
        What the electrodes are at; groups are averaged.
    options : RigOptions
    """

    def __init__(self, target: Target, units: Sequence[UnitAddress], options: RigOptions) -> None:
        self.target = target
        self.units = tuple(units)
        self.options = options

    def clean(self, stimuli: NDArray[np.floating]) -> NDArray[np.float64]:
        """Mean responses without drift, (n, *stimulus) -> (n, units), in spikes."""
        with torch.no_grad():
            shown = torch.from_numpy(np.array(stimuli, dtype=np.float32))
            found = self.target.respond(shown, {unit.layer for unit in self.units})
        columns = [found[unit.layer][(slice(None), *unit.index)].double().reshape(len(shown), -1) for unit in self.units]
        rates = np.stack([column.mean(1).numpy() for column in columns], 1)
        options = self.options
        rates = np.zeros_like(rates) if options.dead else options.gain * rates.clip(min=0)
        rates = rates + options.baseline
        return rates / (1 + rates / options.saturation) if options.saturation else rates

    def show(self, trials: Sequence[int], stimuli: NDArray[np.floating]) -> NDArray[np.float64]:
        """Responses to trials, (n, *stimulus) -> (n, units), NaN where missed."""
        options = self.options
        rates = self.clean(stimuli)
        found = np.empty_like(rates)
        for row, trial in enumerate(trials):
            draws = np.random.Generator(np.random.Philox(key=np.array([options.seed, trial], np.uint64)))
            missed = draws.random() < options.drop
            rate = rates[row] * (1 + options.drift * min(trial / options.span, 1.0))
            if options.noise == "poisson":
                found[row] = draws.poisson(rate)
            elif options.noise == "multiplicative":
                found[row] = (rate * (1 + options.sigma * draws.standard_normal(rate.shape))).clip(min=0)
            else:
                found[row] = rate
            if missed:
                found[row] = np.nan
        return found


def simulated_rig(target: str, units: Sequence[str], options: RigOptions, permissions: Permissions = NOTHING) -> SimulatedRig:
    """A rig in a target by name, at units by address.

    Raises
    ------
    InvalidJob
        At "target" or "unit": there is none such.
    """
    found = build_target(ComponentSpec(name=target), permissions=permissions)
    try:
        addresses = [address for unit in units for address in resolve(unit, found.layers())]
    except BadAddress as error:
        raise InvalidJob.at("unit", str(error)) from error
    return SimulatedRig(found, addresses, options)
