"""How a unit's response changes with each factor near the optimum: by finite differences, and by gradients."""

from __future__ import annotations

from contextlib import nullcontext

import torch
from torch import Tensor

from ....models.objectives.unit import mean_response
from ....models.targets.target import CountsTrials, HasActivations, HasModule, PreservesState
from ....models.transformations.pipeline import resized_to
from ....models.units import UnitAddress
from ..analysis import AnalysisContext
from .factors import Factors


def difference_rows(factors: Factors, step: float) -> Tensor:
    """Return factors a step below and a step above the optimum, (2 · factors, factors), within the bounds.

    ``step`` is a share of the factors' range. The first half is below.
    """
    size = step * (factors.high - factors.low)
    moves = size * torch.eye(len(factors.names), dtype=torch.float64)
    return torch.cat([factors.own - moves, factors.own + moves]).clamp(factors.low, factors.high)


def differences(rows: Tensor, responses: Tensor) -> tuple[Tensor, Tensor]:
    """Return finite differences and their standard errors, (factors,) each.

    Parameters
    ----------
    rows : Tensor
        As of :func:`difference_rows`.
    responses : Tensor
        float64, (2 · factors, repeats). Standard errors are NaN of fewer than two repeats.
    """
    below, above = rows.chunk(2)
    wide = (above - below).diagonal()
    low, high = responses.chunk(2)
    repeats = responses.shape[1]
    variances = (low.var(1) + high.var(1)) / repeats if repeats > 1 else torch.full((len(low),), torch.nan, dtype=torch.float64)
    return (high.mean(1) - low.mean(1)) / wide, variances.sqrt() / wide


def gradient(context: AnalysisContext, unit: UnitAddress, factors: Factors, shown: int) -> Tensor:
    """Return the gradient of the unit's response with respect to each factor at the optimum, (factors,) float64; NaN where there is none.

    It is the network's own where the target hands out activations, else that of its responses: of a spiking network by its surrogate.
    """
    none = torch.full((len(factors.names),), torch.nan, dtype=torch.float64)
    target = context.target
    if not (factors.smooth and target.differentiable):
        return none
    if isinstance(target, CountsTrials):
        target.begin(context.seed, context.trials + shown)
    with target.preserved() if isinstance(target, PreservesState) else nullcontext(), torch.enable_grad():
        point = factors.own.clone()[None].requires_grad_()
        stimuli = resized_to(factors.make(point), target.stimulus).to(context.device)
        responses = None
        if isinstance(target, HasActivations) and isinstance(target, HasModule) and target.steps is None:
            try:
                responses = {unit.layer: target.activations(stimuli, {unit.layer})[unit.layer][0]}
            except ValueError:  # a network that can only be differentiated as a whole
                responses = None
        if responses is None:
            responses = target.respond(stimuli, {unit.layer})
        value = mean_response(unit, responses).sum()
        if not value.requires_grad:
            return none
        (found,) = torch.autograd.grad(value, point, allow_unused=True)
    return none if found is None else found[0].detach().double().cpu()
