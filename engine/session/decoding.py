"""From trials to what is shown."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .checked import CheckedSession
from .trials import Stimuli, Trial

MAX_BATCH = 250
"""Stimuli decoded at once."""


def stimuli_of(trials: Sequence[Trial], checked: CheckedSession, stimuli: Stimuli) -> Tensor:
    """(n, *stimulus) float32. The bits of a row may depend on the other rows, so generations are decoded whole."""
    spec = checked.decoder.stimulus
    latents = [stimuli.latent(trial.stimulus) for trial in trials]
    rows = [row for row, latent in enumerate(latents) if latent is not None]
    known = [latent for latent in latents if latent is not None]
    with torch.no_grad():
        if len(rows) == len(trials) <= MAX_BATCH:
            return checked.decoder(torch.stack(known)).float()
        found = torch.empty(len(trials), *spec.shape)
        for start in range(0, len(rows), MAX_BATCH):
            part = slice(start, start + MAX_BATCH)
            found[rows[part]] = checked.decoder(torch.stack(known[part])).float()
        for row, trial in enumerate(trials):
            if trial.stimulus < stimuli.pictures:
                assert checked.pictures is not None
                found[row] = checked.pictures[trial.stimulus]
    return found
