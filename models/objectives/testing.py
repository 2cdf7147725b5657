"""The Objective contract as checks, for built-in and other implementations."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from .objective import Objective, compares


def check_objective(objective: Objective, shapes: Mapping[str, tuple[int, ...]], seed: int = 0) -> None:
    """Raise AssertionError where ``objective`` breaks the contract, on random responses.

    Checked are: the objective reads only the layers that it declares; it scores each candidate on its own unless it compares candidates; it
    changes no response, draws nothing at random, and has gradients.

    Parameters
    ----------
    objective : Objective
        The objective to check.
    shapes : mapping of str to tuple of int
        Shape of each layer's response to one stimulus; "(stimulus)" and "(latent)" too where the objective reads them.
    seed : int
        Seed of the responses.
    """
    assert isinstance(objective, Objective), "it lacks a member of the Objective protocol"
    assert objective.layers, "it reads no layer"
    assert objective.layers <= set(shapes), f"it reads layers without a shape: {set(objective.layers) - set(shapes)}"
    rng = torch.Generator().manual_seed(seed)
    responses = {layer: torch.rand(4, *shapes[layer], generator=rng) for layer in sorted(objective.layers)}
    kept = {layer: response.clone() for layer, response in responses.items()}
    before = torch.get_rng_state()
    scores = objective(responses)
    assert torch.equal(torch.get_rng_state(), before), "it draws from torch's global random state"
    assert scores.shape == (4,), f"scores have shape {tuple(scores.shape)}, not (4,)"
    assert bool(scores.isfinite().all()), "scores are not finite"
    assert all(torch.equal(responses[layer], kept[layer]) for layer in responses), "it changes the responses"
    assert torch.equal(objective(responses), scores), "it scores the same responses differently"
    swapped = objective({layer: response.flip(0) for layer, response in responses.items()})
    assert torch.allclose(swapped.flip(0), scores, atol=1e-5), "a score depends on the order of the candidates"
    alone = objective({layer: response[2:3] for layer, response in responses.items()})
    assert alone.shape == (1,), "a candidate alone gets no score"
    if not compares(objective):
        assert torch.allclose(alone[0], scores[2], atol=1e-5), "a score depends on its batch, and it does not say that it compares"
    leaves = {layer: response.clone().requires_grad_() for layer, response in responses.items()}
    slopes = torch.autograd.grad(objective(leaves).sum(), list(leaves.values()), allow_unused=True)
    assert any(slope is not None and bool((slope != 0).any()) for slope in slopes), "no gradient comes through"
    assert all(slope is None or bool(slope.isfinite().all()) for slope in slopes), "gradients are not finite"
    with torch.inference_mode():
        assert torch.allclose(objective(responses), scores, atol=1e-6), "it scores differently without gradients"
