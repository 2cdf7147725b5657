"""The Target contract as checks, for built-in and other implementations."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from .target import HasActivations, HasModule, PreservesState, Target


def state_of(module: nn.Module) -> dict[str, Any]:
    """Return the state of a module that calls must not change: weights, buffers, gradients, flags and hooks of every part."""
    state: dict[str, Any] = {}
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        state[f"{name} value"] = tensor.detach().clone()
        state[f"{name} grad"] = None if tensor.grad is None else tensor.grad.clone()
        state[f"{name} requires_grad"] = tensor.requires_grad
    for name, part in module.named_modules():
        state[f"{name} training"] = part.training
        for kind in ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks", "_forward_hooks_with_kwargs"):
            state[f"{name} {kind}"] = dict(getattr(part, kind))
        state[f"{name} forward"] = part.__dict__.get("forward")
    return state


def check_unchanged(module: nn.Module, before: dict[str, Any]) -> None:
    """Raise AssertionError where the state of ``module`` differs from ``before``, a result of :func:`state_of`."""
    after = state_of(module)
    assert after.keys() == before.keys(), f"parts have come or gone: {set(after) ^ set(before)}"
    for key, value in before.items():
        same = torch.equal(value, after[key]) if isinstance(value, torch.Tensor) and isinstance(after[key], torch.Tensor) else None
        assert value == after[key] if same is None else same, f"it changes its module: {key}"


def check_target(target: Target, seed: int = 0) -> None:
    """Raise AssertionError where ``target`` breaks the contract.

    Checked are: every listed layer responds with the listed shape, alone and with others; a response does not depend on the batch; equal
    stimuli get equal responses; an unknown layer is a KeyError; gradients reach the stimuli where the target is differentiable; a torch
    module inside is left unchanged.

    Parameters
    ----------
    target : Target
        The target to check; it is moved to the CPU.
    seed : int
        Seed of the stimuli.
    """
    assert isinstance(target, Target), "it lacks a member of the Target protocol"
    target.to("cpu")
    module = target.module if isinstance(target, HasModule) else None
    before = None if module is None else state_of(module)
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
    if isinstance(target, HasActivations):
        _check_activations(target, stimuli[:1], together)
    if isinstance(target, HasModule):
        prepared = target.prepare(stimuli)
        assert prepared.shape[:1] == (3,) or prepared.shape[:2] == (target.steps, 3), f"prepared stimuli are {tuple(prepared.shape)}"
        prepared.detach().zero_()
        assert bool(stimuli.any()), "prepared stimuli share the memory of the stimuli"
    if module is not None and before is not None:
        check_unchanged(module, before)


def _check_activations(target: HasActivations, stimulus: Tensor, answers: Mapping[str, Tensor]) -> None:
    """Check that responses are read from the activations, and that deeper layers are computed from them."""
    assert isinstance(target, Target)
    differentiable, names = target.differentiable, list(answers)
    steps = target.steps if isinstance(target, HasModule) else None
    leaf = stimulus.clone().requires_grad_(differentiable)
    with target.preserved() if isinstance(target, PreservesState) else nullcontext(), torch.enable_grad():
        found = target.activations(leaf, names)
        assert set(found) == set(names), "it does not give activations of just the layers that were asked for"
        for name, parts in found.items():
            assert {tuple(part.shape) for part in parts} == {(1, *answers[name].shape[1:])}, f"{name} has activations of another shape"
            assert len(parts) in (1, steps or 1), f"{name} has activations of {len(parts)} steps"
            if steps is None:
                assert torch.allclose(parts[0].float(), answers[name][:1], atol=1e-4), f"activations of {name} are not what it answers"
        if differentiable:
            earlier = [part for name in names[:-1] for part in found[name] if part.requires_grad]
            last = torch.stack([part.sum() for part in found[names[-1]]]).sum()
            slope, *slopes = torch.autograd.grad(last, [leaf, *earlier], allow_unused=True)
            assert slope is not None, "no gradient of the last layer reaches the stimuli"
            assert len(names) == 1 or any(one is not None for one in slopes), "the last layer is not computed from earlier activations"
    with pytest.raises(KeyError):
        target.activations(stimulus, {"no such layer"})
