"""A target with the noise of a measurement on its responses."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Literal, Self

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from ..components import Named
from ..options import OptionsModel
from ..spaces import StimulusSpec
from .target import CountsTrials, HasNaturalResponses, HasNotices, HasUnitNames, LayerInfo, PreservesState, Target

Noise = Literal["poisson", "gaussian", "multiplicative"]


class NoisyTarget:
    """Any target, its responses as a rig would measure them: spike counts, or with Gaussian noise.

    Noise is a function of the job's seed, the trial's number, the layer and ``seed`` alone (a counter-based generator, Philox; Salmon et
    al., "Parallel random numbers: as easy as 1, 2, 3", 2011). So it has no state and does not depend on how trials are batched, and a
    resumed job has the same noise. Without :meth:`begin`, trials are counted from 0.

    It stands for a measurement, so it has neither activations nor a module, even where the inner target has.

    Parameters
    ----------
    target : Target
        The inner target, without noise.
    noise : {"poisson", "gaussian", "multiplicative"}
        ``poisson``: a spike count, Poisson with the mean ``gain`` · max(response, 0). ``gaussian``: response + ``sigma`` · ε.
        ``multiplicative``: response · (1 + ``sigma`` · ε), ε standard normal.
    gain : float
        Spikes for a response of 1; ``poisson`` only.
    sigma : float
        Size of the Gaussian noise.
    seed : int
        Seed of the noise, in addition to the job's.
    """

    class Options(OptionsModel):
        """Options of the wrapper."""

        target: Named = Field(description="The target inside, with its options.")
        noise: Noise = Field(default="poisson", description="Spike counts, additive or multiplicative Gaussian noise.")
        gain: float = Field(default=1.0, gt=0, le=1e9, allow_inf_nan=False, description="Poisson: spikes for a response of 1.")
        sigma: float = Field(
            default=0.2, ge=0, le=1e9, allow_inf_nan=False, description="Gaussian: standard deviation, multiplicative: as a share."
        )
        seed: int = Field(default=0, ge=0, lt=2**32, description="Of the noise, besides the job's seed.")

    noisy = True

    def __init__(self, target: Target, noise: Noise = "poisson", *, gain: float = 1.0, sigma: float = 0.2, seed: int = 0) -> None:
        self.target = target
        self.noise: Noise = noise
        self.gain = gain
        self.sigma = sigma
        self.seed = seed
        self._job_seed = 0
        self._trial = 0

    @classmethod
    def around(cls, target: Target, options: Options) -> Self:
        """Return the wrapper around a target that the engine has built."""
        return cls(target, options.noise, gain=options.gain, sigma=options.sigma, seed=options.seed)

    @property
    def stimulus(self) -> StimulusSpec:
        """The inner target's stimuli."""
        return self.target.stimulus

    @property
    def differentiable(self) -> bool:
        """Whether the inner target is differentiable; a spike count has no gradient."""
        return self.target.differentiable and self.noise != "poisson"

    def layers(self) -> Sequence[LayerInfo]:
        """Return the inner target's layers."""
        return self.target.layers()

    def to(self, device: str, /) -> Self:
        """Move the inner target to a device, and return the wrapper; noise is drawn on the CPU, so that it is the same everywhere."""
        self.target.to(device)
        return self

    def preserved(self) -> AbstractContextManager[object]:
        """Return a context that restores the state of the inner target's network at its end."""
        return self.target.preserved() if isinstance(self.target, PreservesState) else nullcontext()

    @property
    def notices(self) -> Sequence[str]:
        """The inner target's notices."""
        return self.target.notices if isinstance(self.target, HasNotices) else ()

    def begin(self, seed: int, trial: int) -> None:
        """Set the number of the next trial, and the job's seed; following stimuli count up."""
        self._job_seed, self._trial = seed, trial
        if isinstance(self.target, CountsTrials):
            self.target.begin(seed, trial)

    def respond(self, stimuli: Tensor, layers: Collection[str], /) -> Mapping[str, Tensor]:
        """Return noisy responses, each row a trial with its own noise: (n, *stimulus) -> {layer: (n, *layer)}."""
        exact = self.target.respond(stimuli, layers)
        first, self._trial = self._trial, self._trial + stimuli.shape[0]
        return {layer: self._measured(layer, response, first) for layer, response in exact.items()}

    def natural_quantiles(self, layer: str, index: tuple[int, ...]) -> Mapping[float, float] | None:
        """Return the inner target's quantiles, without noise, in the unit of the measurement; None where it has none."""
        if not isinstance(self.target, HasNaturalResponses):
            return None
        found = self.target.natural_quantiles(layer, index)
        if found is None or self.noise != "poisson":
            return found
        return {quantile: self.gain * max(response, 0.0) for quantile, response in found.items()}

    def unit_name(self, layer: str, index: tuple[int, ...]) -> str:
        """Return the name of a unit of the inner target; empty where it has none."""
        return self.target.unit_name(layer, index) if isinstance(self.target, HasUnitNames) else ""

    def _measured(self, layer: str, response: Tensor, first: int) -> Tensor:
        rows = [np.random.Generator(self._stream(layer, first + row)) for row in range(response.shape[0])]
        if self.noise == "poisson":
            means = (self.gain * response.detach()).cpu().double().clamp(min=0)
            known = means.isfinite()
            safe = torch.where(known, means, 0.0).numpy()
            counts = torch.from_numpy(np.stack([rng.poisson(mean) for rng, mean in zip(rows, safe, strict=True)])) if rows else means
            return torch.where(known, counts.double(), torch.nan).to(response)
        shape = tuple(response.shape[1:])
        drawn = np.stack([rng.standard_normal(shape) for rng in rows]) if rows else np.empty((0, *shape))
        noise = self.sigma * torch.from_numpy(drawn).to(response)
        return response + noise if self.noise == "gaussian" else response * (1 + noise)

    def _stream(self, layer: str, trial: int) -> np.random.Philox:
        key = np.array([self._job_seed, (self.seed << 32) | zlib.crc32(f"{self.noise} {layer}".encode())], np.uint64)
        # a trial's draws advance only the lowest word of the counter, so trials never overlap
        return np.random.Philox(key=key, counter=np.array([0, 0, trial, 0], np.uint64))
