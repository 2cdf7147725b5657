"""Responses to partly covered stimuli, averaged over masks: what occlusion and RISE have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor

from .units import Question


@dataclass(frozen=True)
class Covers:
    """Masks, and what is averaged over them.

    Attributes
    ----------
    masks : iterator of Tensor
        (*space) in [0, 1] each. Where one is 1 the stimulus is replaced by the baseline; in between the two are mixed.
    value : callable
        From responses to covered stimuli, (units, n, masks), to what is averaged.
    visible : bool
        Whether a mask counts where the stimulus is visible, and not where it is covered.
    """

    masks: Iterator[Tensor]
    value: Callable[[Tensor], Tensor]
    visible: bool = False


def mean_over_masks(question: Question, covers: Covers) -> tuple[Tensor, Tensor]:
    """Return, at each place, the mean of a value over the masks that count there, and its mean over all masks.

    All units share the passes.

    Returns
    -------
    tuple of Tensor
        (units, n, *space), zero where no mask counts; and (units, n).
    """
    stimuli, absent = question.stimuli, question.baselines
    units, n, space = len(question.reader.units), len(stimuli), stimuli.shape[2:]
    total = torch.zeros(units, n, *space, device=stimuli.device)
    overall = torch.zeros(units, n, device=stimuli.device)
    weight, drawn = torch.zeros(space, device=stimuli.device), 0
    while chunk := list(islice(covers.masks, max(1, question.reader.batch // n))):
        mask = torch.stack(chunk).to(stimuli)
        across = mask[None, :, None]
        covered = stimuli[:, None] * (1 - across) + absent[:, None] * across
        values = covers.value(question.reader.responses(covered.flatten(0, 1)).view(units, n, len(chunk)))
        counts = 1 - mask if covers.visible else mask
        total += torch.einsum("unm,m...->un...", values, counts)
        weight += counts.sum(0)
        overall += values.sum(2)
        drawn += len(chunk)
    return total / weight.clamp(min=torch.finfo(weight.dtype).tiny), overall / max(1, drawn)
