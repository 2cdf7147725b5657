"""The Generator contract as checks, for built-in and other implementations."""

from __future__ import annotations

import random

import numpy as np
import torch

from ..spaces import Box, Categorical
from .generator import Generator, HasCodebook


def check_generator(generator: Generator, seed: int = 0) -> None:
    """Raise AssertionError where ``generator`` breaks the contract.

    Checked are: shapes, types and value range of stimuli; equal latents give equal stimuli in any batch; no global random state is drawn
    from; gradients, and relaxed codes, where the generator is differentiable; the prior's bank; the code book.

    Parameters
    ----------
    generator : Generator
        The generator to check; it is moved to the CPU.
    seed : int
        Seed of the latents.
    """
    assert isinstance(generator, Generator), "it lacks a member of the Generator protocol"
    generator.to("cpu")
    rng = torch.Generator().manual_seed(seed)
    latents = generator.latent.sample(5, rng)
    generator.latent.check(latents)
    before = torch.get_rng_state(), np.random.get_state(legacy=False)["state"]["key"], random.getstate()  # noqa: NPY002 - the global state is what is checked
    with torch.inference_mode():
        stimuli = generator(latents)
    after = torch.get_rng_state(), np.random.get_state(legacy=False)["state"]["key"], random.getstate()  # noqa: NPY002
    assert torch.equal(before[0], after[0]), "it draws from torch's global random state"
    assert np.array_equal(before[1], after[1]), "it draws from numpy's global random state"
    assert before[2] == after[2], "it draws from python's global random state"
    spec = generator.stimulus
    assert stimuli.shape == (5, *spec.shape), f"stimuli have shape {tuple(stimuli.shape)}, not {(5, *spec.shape)}"
    assert stimuli.dtype == torch.float32, f"stimuli are {stimuli.dtype}"
    assert bool(stimuli.isfinite().all()), "stimuli are not finite"
    assert float(stimuli.min()) >= spec.low, "stimuli fall below their range"
    assert float(stimuli.max()) <= spec.high, "stimuli rise above their range"
    with torch.inference_mode():
        alone = generator(latents[2:3])
        assert torch.allclose(alone[0], stimuli[2], atol=1e-5), "a stimulus depends on its batch"
        assert generator(latents[:0]).shape == (0, *spec.shape), "an empty batch does not give an empty batch"
    if generator.prior is not None:
        generator.latent.check(generator.prior.bank)
        assert generator.prior.bank.shape[0] >= 1, "the prior's bank is empty"
    if isinstance(generator, HasCodebook):
        assert isinstance(generator.latent, Categorical), "only codes have a code book"
        book, codes = generator.codebook, generator.latent.cardinality
        assert book.ndim == 2, f"the code book has shape {tuple(book.shape)}, not (codes, width)"
        assert book.shape[0] == codes, f"the code book has {book.shape[0]} vectors for {codes} codes"
        assert bool(book.isfinite().all()), "the code book is not finite"
    if generator.differentiable:
        _check_gradient(generator, latents)


def check_slope(generator: Generator, seed: int = 0, step: float = 1e-2, tolerance: float = 0.05) -> None:
    """Raise AssertionError where gradients of a smooth generator over a Box differ from finite differences.

    Parameters
    ----------
    generator : Generator
        A differentiable generator.
    seed : int
        Seed of the latents, the direction and the weights of the stimulus's values.
    step : float
        Step of the central difference, as a share of a random direction of unit length.
    tolerance : float
        Largest difference, as a share of the gradient's length.
    """
    assert isinstance(generator.latent, Box)
    rng = torch.Generator().manual_seed(seed)
    prior = generator.prior
    latents = generator.latent.sample(3, rng) if prior is None else prior.sample(3, rng)
    latents = latents.clone().requires_grad_()
    weights = torch.randn(generator.stimulus.shape, generator=rng)
    (slope,) = torch.autograd.grad((generator(latents) * weights).sum(), latents)
    way = slope / slope.norm() + torch.randn(latents.shape, generator=rng) / latents.numel() ** 0.5
    way = way / way.norm()
    with torch.no_grad():
        ahead, behind = (generator(latents + sign * step * way).double() for sign in (1, -1))
        found = float(((ahead - behind) * weights).sum()) / (2 * step)
    expected = float((slope.double() * way).sum())
    assert abs(found - expected) <= tolerance * float(slope.norm()), f"the gradient says {expected:.4g}, differences say {found:.4g}"


def _check_gradient(generator: Generator, latents: torch.Tensor) -> None:
    if isinstance(generator.latent, Categorical):
        weights = torch.nn.functional.one_hot(latents, generator.latent.cardinality).float()
        with torch.inference_mode():
            assert torch.allclose(generator(weights), generator(latents), atol=1e-5), "one-hot weights and codes give different stimuli"
        leaf = weights.requires_grad_()
    else:
        assert isinstance(generator.latent, Box)
        leaf = latents.clone().requires_grad_()
    # weighted, since a generator may keep the sum of a stimulus fixed
    weights = torch.randn(generator.stimulus.shape, generator=torch.Generator().manual_seed(0))
    (slope,) = torch.autograd.grad((generator(leaf) * weights).sum(), leaf)
    assert bool(slope.isfinite().all()), "gradients are not finite"
    assert bool((slope != 0).any()), "all gradients are zero"
