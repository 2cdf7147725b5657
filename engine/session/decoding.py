"""From trials to what is shown."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .checked import CheckedSession
from .record import TrialRecord
from .trials import Stimuli, Trial

MAX_BATCH = 250
"""Stimuli decoded at once."""


class Screen:
    """The stimuli of a session's trials. The generation that was decoded last stays in memory.

    Parameters
    ----------
    checked : CheckedSession
        Says what decodes latents.
    record : TrialRecord
        Has the trials.
    stimuli : Stimuli
        Has their latents.
    """

    def __init__(self, checked: CheckedSession, record: TrialRecord, stimuli: Stimuli) -> None:
        self._checked, self._record, self._stimuli = checked, record, stimuli
        self.forget()

    def forget(self) -> None:
        """Drop the generation that is in memory."""
        self._generation = 0
        self._trials: list[Trial] = []
        self._decoded = torch.empty(0)

    def present(self) -> Tensor:
        """Return the stimuli of the present generation, (n, *stimulus) float32, row for row."""
        if self._generation != self._record.generation:
            self._decoded = self.of(self._record.current)
            self._generation, self._trials = self._record.generation, self._record.current
        return self._decoded

    def of(self, trials: Sequence[Trial]) -> Tensor:
        """Return the stimuli of trials, (n, *stimulus) float32. The bits of a row may depend on the others: decode generations whole."""
        if trials and trials == self._trials:
            return self._decoded
        checked = self._checked
        latents = [self._stimuli.latent(trial.stimulus) for trial in trials]
        rows = [row for row, latent in enumerate(latents) if latent is not None]
        known = [latent for latent in latents if latent is not None]
        with torch.no_grad():
            if len(rows) == len(trials) <= MAX_BATCH:
                return checked.decoder(torch.stack(known)).float()
            found = torch.empty(len(trials), *checked.decoder.stimulus.shape)
            for start in range(0, len(rows), MAX_BATCH):
                part = slice(start, start + MAX_BATCH)
                found[rows[part]] = checked.decoder(torch.stack(known[part])).float()
            for row, trial in enumerate(trials):
                if trial.stimulus < self._stimuli.pictures:
                    assert checked.pictures is not None
                    found[row] = checked.pictures[trial.stimulus]
        return found

    def last(self, latent: Tensor) -> Tensor | None:
        """Return the stimulus of a latent, (*stimulus), as the generation in memory has it; None where it has not."""
        for trial, stimulus in zip(self._trials, self._decoded, strict=True):
            known = self._stimuli.latent(trial.stimulus)
            if known is not None and torch.equal(known, latent):
                return stimulus
        return None
