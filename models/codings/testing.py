"""The Coding contract as checks, for built-in and other implementations."""

from __future__ import annotations

import random

import numpy as np
import torch

from .coding import Coding, Presentation, require_binary, shown_over_time


def check_coding(coding: Coding, presentation: Presentation, seed: int = 0) -> None:
    """Raise AssertionError or ValueError where ``coding`` breaks the contract, on random stimuli.

    Checked are: rows, steps and precision; inputs are finite, and 0 or 1 where the coding is ``binary``; equal stimuli get equal inputs in
    any batch; stimuli stay unchanged, and no global random state is drawn from; gradients reach the stimuli where the coding is
    ``differentiable``, without changing the inputs.

    Parameters
    ----------
    coding : Coding
        The coding to check.
    presentation : Presentation
        The presentation that it was built for.
    seed : int
        Seed of the stimuli.
    """
    assert isinstance(coding, Coding), "it lacks a member of the Coding protocol"
    spec, steps = presentation.stimulus, presentation.steps
    stimuli = torch.rand(4, *spec.shape, generator=torch.Generator().manual_seed(seed)) * (spec.high - spec.low) + spec.low
    kept, before = stimuli.clone(), _random_states()
    with torch.inference_mode():
        coded = shown_over_time(coding, stimuli, steps)
    assert before == _random_states(), "it draws from a global random state"
    assert torch.equal(stimuli, kept), "it changes the stimuli in place"
    assert coded.dtype == stimuli.dtype, f"inputs are {coded.dtype} for stimuli of {stimuli.dtype}"
    assert bool(coded.isfinite().all()), "inputs are not finite"
    require_binary(coding, coded)
    rows = coded if coding.constant else coded.transpose(0, 1)
    alone = shown_over_time(coding, stimuli[2:3], steps)
    assert torch.equal((alone if coding.constant else alone.transpose(0, 1))[0], rows[2]), "an input depends on the batch"
    assert torch.equal(shown_over_time(coding, stimuli, steps), coded), "equal stimuli get different inputs"
    assert shown_over_time(coding, stimuli[:0], steps).numel() == 0, "no stimuli get inputs"
    if coding.differentiable:
        leaf = stimuli.clone().requires_grad_()
        graded = coding(leaf)
        assert torch.equal(graded.detach(), coded), "inputs change where gradients are recorded"
        weights = torch.randn(graded.shape, generator=torch.Generator().manual_seed(seed))
        (slope,) = torch.autograd.grad((graded * weights).sum(), leaf)
        assert bool(slope.isfinite().all()), "gradients are not finite"
        assert bool((slope != 0).any()), "no gradient reaches the stimuli"


def _random_states() -> tuple[bytes, bytes, object]:
    numbers = np.random.get_state(legacy=False)["state"]["key"]  # noqa: NPY002 - the global state is what is checked
    return torch.get_rng_state().numpy().tobytes(), numbers.tobytes(), random.getstate()
