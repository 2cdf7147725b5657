"""A chain of transformations, applied once for each sample that a response is averaged over."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from itertools import groupby

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..spaces import StimulusSpec
from .geometry import Geometric, Move, resized, sampled
from .transformation import Draws, Fill, Size, Transformation

_STREAM = zlib.crc32(b"transformations")


class Pipeline:
    """Transforms each stimulus ``samples`` times, each time with other draws.

    Every draw follows from the seed and the number of the evaluation. So a resumed job continues with the same draws, and a candidate's
    draws don't depend on its batch. Each candidate has its own draws: they cost no more than shared ones, since a row's move is an affine
    map of six numbers.

    Neighbouring moves are joined into one affine map, the resizing to the target's size included, so that the stimulus is sampled once: a
    chain of five costs as much as one. A move may therefore bring back pixels that an earlier one moved out of the frame.

    Parameters
    ----------
    steps : sequence of Transformation
        In order; at least one.
    made : StimulusSpec
        The generator's stimuli. Height and width may differ from ``taken``'s.
    taken : StimulusSpec
        The target's stimuli; each result has this shape.
    samples : int
        Samples of each stimulus, >= 1.
    seed : int
        The job's seed.
    clip : bool
        Whether results are clipped to the range of ``taken``, which removes the gradient there; for targets that refuse other values.

    Raises
    ------
    ValueError
        There is no step, or one can't change stimuli of that modality.
    """

    def __init__(
        self,
        steps: Sequence[Transformation],
        made: StimulusSpec,
        taken: StimulusSpec | None = None,
        *,
        samples: int = 1,
        seed: int = 0,
        clip: bool = False,
    ) -> None:
        if not steps:
            raise ValueError("a chain of transformations needs at least one")
        for step in steps:
            if made.modality not in step.modalities:
                raise ValueError(f"{type(step).__name__.lower()} can't change {'an image' if made.modality == 'image' else 'a series'}")
        self.steps, self.made, self.taken = tuple(steps), made, taken or made
        self.samples, self.seed, self.clip = samples, seed, clip
        self._size: Size = (1, *self.taken.shape[1:]) if made.modality == "series" else self.taken.shape[1:]  # type: ignore[assignment]
        self._middle = (self.taken.low + self.taken.high) / 2
        self._runs: list[list[Transformation]] = [
            list(run) for _, run in groupby(steps, key=lambda step: step.fill if isinstance(step, Geometric) else step)
        ]

    def __call__(self, stimuli: Tensor, first: int, progress: Tensor) -> Tensor:
        """Return the transformed stimuli.

        Parameters
        ----------
        stimuli : Tensor
            (n, *made).
        first : int
            Number of the first stimulus's evaluation; the others follow.
        progress : Tensor
            (n,) in [0, 1]: the completed share of each one's search.

        Returns
        -------
        Tensor
            (n · samples, *taken), the samples of a stimulus one after another.
        """
        n = stimuli.shape[0]
        if n == 0:
            return stimuli.new_empty(0, *self.taken.shape)
        shown = stimuli.unsqueeze(2) if self.made.modality == "series" else stimuli
        if self.samples > 1:
            shown = shown.repeat_interleave(self.samples, 0)
        draws = self.draws(first, n, progress)
        at = 0
        for number, run in enumerate(self._runs):
            last = number == len(self._runs) - 1
            shown = self._applied(run, shown, draws[at : at + len(run)], last)
            at += len(run)
        if shown.shape[2:] != self._size:
            shown = F.interpolate(shown, self._size, mode="bilinear", align_corners=False)
        if self.clip:
            shown = shown.clamp(self.taken.low, self.taken.high)
        return shown.squeeze(2) if self.made.modality == "series" else shown

    def plain(self, stimuli: Tensor) -> Tensor:
        """Return stimuli resized to the target's, without transformations: (n, *made) -> (n, *taken)."""
        return resized_to(stimuli, self.taken)

    def draws(self, first: int, n: int, progress: Tensor) -> list[Draws]:
        """Return the draws of every step.

        Parameters
        ----------
        first : int
            Number of the first stimulus's evaluation.
        n : int
            Number of stimuli.
        progress : Tensor
            (n,) in [0, 1].

        Returns
        -------
        list of Draws
            One a step, each of n · samples rows.
        """
        variates = [step.variates for step in self.steps]
        uniform = np.empty((n * self.samples, sum(variates)))
        seeds = np.empty((n * self.samples, len(self.steps)), np.int64)
        key = np.array([self.seed, _STREAM], np.uint64)
        for row in range(n * self.samples):
            trial, sample = first + row // self.samples, row % self.samples
            # a row's draws advance only the lowest word of the counter, so rows never overlap
            rng = np.random.Generator(np.random.Philox(key=key, counter=np.array([0, sample, trial, 0], np.uint64)))
            uniform[row] = rng.random(uniform.shape[1])
            seeds[row] = rng.integers(2**62, size=len(self.steps))
        each = progress.double().cpu().repeat_interleave(self.samples)
        parts = torch.from_numpy(uniform).split(variates, dim=1)
        return [Draws(part, each, seeds[:, number].tolist()) for number, part in enumerate(parts)]

    def _applied(self, run: Sequence[Transformation], shown: Tensor, draws: Sequence[Draws], last: bool) -> Tensor:
        moves: Move | None = None
        fill: Fill = "grey"
        for step, own in zip(run, draws, strict=True):
            if not isinstance(step, Geometric):
                shown = step(shown, own)
                continue
            fill = step.fill
            size = (shown.shape[2], shown.shape[3]) if moves is None else moves.size
            move = step.move(size, own)
            moves = move if moves is None else move.after(moves)
        if moves is None:
            return shown
        if last and moves.size != self._size:
            moves = resized(shown.shape[0], moves.size, self._size).after(moves)
        return sampled(shown, moves, fill, self._middle)


def resized_to(stimuli: Tensor, taken: StimulusSpec) -> Tensor:
    """Return stimuli in the height and width of ``taken``, (n, *made) -> (n, *taken); unchanged where they have it."""
    size = taken.shape[1:]
    if stimuli.shape[2:] == size:
        return stimuli
    if taken.modality == "series":
        return F.interpolate(stimuli, size, mode="linear", align_corners=False)
    return F.interpolate(stimuli, size, mode="bilinear", align_corners=False, antialias=True)
