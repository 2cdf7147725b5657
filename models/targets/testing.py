"""The Target contract as checks, for every implementation, the built-in ones and yours."""

from __future__ import annotations

import pytest
import torch

from .target import Target


def check_target(target: Target, seed: int = 0) -> None:
    """Raise AssertionError where ``target`` breaks the contract.

    Checks that every layer that it lists answers with the listed shape, alone and with others; that a stimulus's
    response does not depend on its batch; that equal stimuli get equal responses; that an unknown layer is a KeyError;
    that gradients reach the stimuli where it is differentiable, and that a torch module inside is left as it was.
    """
    assert isinstance(target, Target), "it lacks a member of the Target protocol"
    target.to("cpu")
    spec = target.stimulus
    rng = torch.Generator().manual_seed(seed)
    stimuli = torch.rand(3, *spec.shape, generator=rng) * (spec.high - spec.low) + spec.low
    layers = list(target.layers())
    assert layers, "it lists no layer"
    assert len({layer.name for layer in layers}) == len(layers), "it lists a layer twice"
    names = [layer.name for layer in layers]
    with torch.inference_mode():
        together = target.respond(stimuli, names)
        assert set(together) == set(names), "it does not answer with just the layers that were asked for"
        for layer in layers:
            answer = together[layer.name]
            assert answer.shape == (3, *layer.shape), f"{layer.name} answers with {tuple(answer.shape)}, not {(3, *layer.shape)}"
            assert answer.is_floating_point(), f"{layer.name} answers with {answer.dtype}"
        last = layers[-1].name
        assert torch.allclose(target.respond(stimuli, {last})[last], together[last], atol=1e-4), f"{last} answers differently alone"
        single = target.respond(stimuli[1:2], {last})[last]
        assert torch.allclose(single[0], together[last][1], atol=1e-4), "a response depends on its batch"
    with pytest.raises(KeyError):
        target.respond(stimuli, {"no such layer"})
    if target.differentiable:
        leaf = stimuli.clone().requires_grad_()
        (slope,) = torch.autograd.grad(target.respond(leaf, {last})[last].sum(), leaf)
        assert slope.shape == stimuli.shape
        assert bool(slope.isfinite().all()), "gradients are not finite"
    module = getattr(target, "module", None) or getattr(target, "network", None)
    if isinstance(module, torch.nn.Module):
        assert not any(part._forward_hooks for part in module.modules()), "it leaves hooks behind"
        assert all(parameter.grad is None for parameter in module.parameters()), "it leaves gradients behind"
