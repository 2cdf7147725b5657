"""The Transformation contract as checks, for built-in and other implementations."""

from __future__ import annotations

import random

import numpy as np
import torch

from ..spaces import StimulusSpec
from .pipeline import Pipeline
from .transformation import Transformation


def check_transformation(transformation: Transformation, stimulus: StimulusSpec, seed: int = 0) -> None:
    """Raise AssertionError where ``transformation`` breaks the contract, on random stimuli.

    Checked are: the same draws give the same change, alone and in any batch; other draws give another change, if the transformation has
    draws; stimuli stay unchanged, and no global random state is drawn from; shapes, types and finite values; gradients.

    Parameters
    ----------
    transformation : Transformation
        The transformation to check.
    stimulus : StimulusSpec
        The stimuli to make.
    seed : int
        Seed of stimuli and draws.
    """
    assert isinstance(transformation, Transformation), "it lacks a member of the Transformation protocol"
    assert stimulus.modality in transformation.modalities, f"it can't change {stimulus}"
    pipeline = Pipeline([transformation], stimulus, seed=seed)
    rng = torch.Generator().manual_seed(seed)
    width = stimulus.high - stimulus.low
    stimuli = torch.rand(4, *stimulus.shape, generator=rng) * width + stimulus.low
    kept = stimuli.clone()
    progress = torch.tensor([0.0, 0.3, 0.7, 1.0], dtype=torch.float64)
    before = torch.get_rng_state(), np.random.get_state(legacy=False)["state"]["key"], random.getstate()  # noqa: NPY002 - the global state is what is checked
    changed = pipeline(stimuli, 10, progress)
    after = torch.get_rng_state(), np.random.get_state(legacy=False)["state"]["key"], random.getstate()  # noqa: NPY002
    assert torch.equal(before[0], after[0]), "it draws from torch's global random state"
    assert np.array_equal(before[1], after[1]), "it draws from numpy's global random state"
    assert before[2] == after[2], "it draws from python's global random state"
    assert torch.equal(stimuli, kept), "it changes the stimuli in place"
    assert changed.shape == stimuli.shape, f"stimuli come out as {tuple(changed.shape)}"
    assert changed.dtype == torch.float32, f"stimuli come out as {changed.dtype}"
    assert bool(changed.isfinite().all()), "stimuli are not finite"
    assert torch.equal(pipeline(stimuli, 10, progress), changed), "the same draws change a stimulus in another way"
    alone = pipeline(stimuli[2:3], 12, progress[2:3])
    assert torch.allclose(alone[0], changed[2], atol=1e-5 * width), "a change depends on the batch"
    direct = transformation(stimuli if stimuli.ndim == 4 else stimuli.unsqueeze(2), pipeline.draws(10, 4, progress)[0])
    assert direct.ndim == 4, f"it gives {direct.ndim} dimensions, not (n, channels, height, width)"
    assert direct.shape[:2] == stimuli.shape[:2], "it changes the number of stimuli or channels"
    same = torch.stack([pipeline(stimuli[:1], trial, progress[1:2])[0] for trial in range(20)])
    first, second = (transformation.variates, (same[1:] != same[0]).flatten(1).any(1))
    assert not first or bool(second.any()), "it has draws and never makes use of them"
    leaf = stimuli.clone().requires_grad_()
    weights = torch.randn(changed.shape, generator=rng)
    (slope,) = torch.autograd.grad((pipeline(leaf, 10, progress) * weights).sum(), leaf)
    assert bool(slope.isfinite().all()), "gradients are not finite"
    assert bool((slope != 0).any()), "no gradient comes through"
