"""Trials scored by an objective."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...models.objectives.objective import LATENT, OFFERED, STIMULUS, Objective
from ..errors import InvalidJob
from .recorded import RecordedTarget
from .trials import Status, Stimuli, Trial


def scored(
    trials: Sequence[Trial],
    gain: NDArray[np.float64],
    objective: Objective,
    target: RecordedTarget,
    stimuli: Stimuli,
    decoded: Callable[[Sequence[Trial]], Tensor],
) -> list[float]:
    """The score of each trial of a generation, responses divided by the units' ``gain``, (units,); NaN where it was not told in time."""
    found = [math.nan] * len(trials)
    rows = [row for row, trial in enumerate(trials) if trial.status is Status.TOLD]
    if not rows:
        return found
    told = [trials[row] for row in rows]
    responses = target.responses(np.array([trial.responses for trial in told]) / gain)
    offered = objective.layers & OFFERED
    if STIMULUS in offered:
        responses[STIMULUS] = decoded(trials)[rows].double()
    if LATENT in offered:
        latents = [stimuli.latent(trial.stimulus) for trial in told]
        if any(latent is None for latent in latents):
            raise InvalidJob.at("objective", "it reads latents, and references of the rig's own have none")
        responses[LATENT] = torch.stack([latent for latent in latents if latent is not None])
    with torch.no_grad():
        scores = objective(responses).double().tolist()
    for row, score in zip(rows, scores, strict=True):
        found[row] = score
    return found
