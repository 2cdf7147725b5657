"""Layer-wise relevance propagation: the response handed back layer by layer, so that the shares add up to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from ....models.objectives.unit import mean_response
from ....models.options import InvalidOption
from ....models.targets.target import HasActivations, HasModule, Target
from ....models.units import UnitAddress
from ...evaluation.evaluator import preserved
from ..analysis import AnalysisContext
from .attention_calls import Unruled
from .method import Attribution
from .relevance import Relevance, Rules
from .stimuli import probe
from .units import Question


class LRP(Attribution):
    """Layer-wise relevance propagation by Zennit's rules, AttnLRP's for attention (Bach et al., 2015; Achtibat et al., 2024)."""

    title = "LRP"
    reading = "Each place's share of the response itself, handed back from layer to layer, summed over channels."
    gradients = True
    completes = True
    needs = (HasActivations, HasModule)
    packages = ("zennit", "torchvision")

    class Options(Attribution.Options):
        """Options of the analysis."""

        rules: Literal["auto"] | Rules = Field(
            default="auto",
            description="Zennit's rules of linear layers, convolutions and the first layer; auto: attention where a network has a softmax "
            "or layer norms before the unit, otherwise epsilon-plus-flat.",
        )

    def __init__(self, options: Any = None) -> None:
        super().__init__(options)
        self._chosen: dict[str, Rules] = {}

    def check(self, target: Target) -> None:
        """Refuse spiking networks."""
        super().check(target)
        if isinstance(target, HasModule) and target.steps is not None:
            raise InvalidOption(
                "", "LRP has no rule for spiking neurons; integrated-gradients and grad-cam follow their surrogate gradients"
            )

    def check_units(self, target: Target, units: Sequence[UnitAddress]) -> None:
        """Refuse units before which the network computes something that has no rule, or writes into what it has computed."""
        super().check_units(target, units)
        stimulus = probe(target.stimulus)
        for unit in {unit.layer: unit for unit in units}.values():
            try:
                with preserved(target), torch.enable_grad():
                    ruled = self._shown(target, unit.layer, stimulus.clone().requires_grad_())
                    plain = target.respond(stimulus, frozenset({unit.layer}))[unit.layer]
            except Unruled as error:
                raise InvalidOption(
                    "", f"LRP has no rule for {error}, which the network calls before {unit}; take integrated-gradients"
                ) from error
            if not torch.allclose(ruled.detach().float(), plain.detach(), rtol=1e-3, atol=1e-4 * float(plain.abs().max())):
                what = f"the network answers otherwise at {unit.layer} where nothing is computed in place"
                raise InvalidOption("", f"LRP can't follow it: {what}; take integrated-gradients")

    def notes(self, context: AnalysisContext) -> list[str]:
        """Return which rules were used, and what keeps the sums from being the responses."""
        used = {str(unit): self._rules(context.target, unit.layer) for unit in context.units}
        names = dict.fromkeys(used.values())
        lines = [
            f"Rules: {name}{'' if len(names) == 1 else ' of ' + ', '.join(unit for unit in used if used[unit] == name)}." for name in names
        ]
        if "attention" in names:
            lines.append("By the rules of attention, biases, the softmax and norms keep shares, so that a map's sum is not the response.")
        return lines

    def attribute(self, question: Question) -> Tensor:
        """Return the relevances, (units, n, *stimulus)."""
        return torch.stack([self._of_one(one.target, one.reader.units[0], one.stimuli) for one in question.each()])

    def expected_sum(self, question: Question, responses: Tensor) -> Tensor:
        """Return the responses."""
        return responses

    def _of_one(self, target: Target, unit: UnitAddress, stimuli: Tensor) -> Tensor:
        leaf = stimuli.detach().clone().requires_grad_()
        with torch.enable_grad():
            try:
                layer = self._shown(target, unit.layer, leaf)
            except Unruled:
                raise
            except ValueError:  # the network is shown fewer at once
                return (
                    torch.cat([self._of_one(target, unit, one) for one in stimuli.split(1)])
                    if len(stimuli) > 1
                    else torch.zeros_like(stimuli)
                )
            values = layer.detach().requires_grad_()
            (part,) = torch.autograd.grad(mean_response(unit, {unit.layer: values}).sum(), values)
            (found,) = torch.autograd.grad(layer, leaf, part * values.detach(), allow_unused=True)
        return torch.zeros_like(stimuli) if found is None else found

    def _shown(self, target: Target, layer: str, stimuli: Tensor) -> Tensor:
        """What a layer computes, with relevances for gradients."""
        assert isinstance(target, HasActivations)
        with Relevance(self._rules(target, layer)):
            return target.activations(stimuli, {layer})[layer][0]

    def _rules(self, target: Target, layer: str) -> Rules:
        """The rules of the option, or those that suit what the network calls before ``layer``."""
        if self.options.rules != "auto":
            return self.options.rules
        if layer not in self._chosen:
            assert isinstance(target, HasActivations)
            with preserved(target), torch.enable_grad(), Relevance("attention") as watch:
                target.activations(probe(target.stimulus).requires_grad_(), {layer})
            self._chosen[layer] = "attention" if watch.attends else "epsilon-plus-flat"
        return self._chosen[layer]
