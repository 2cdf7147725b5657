"""Responses of units to stimuli, with and without gradients, as every method of attribution reads them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ....models.objectives.unit import mean_response
from ....models.targets.target import HasActivations, HasModule, Target
from ....models.units import UnitAddress

Response = Callable[[Tensor], Tensor]
"""From stimuli, (n, *stimulus), to one unit's responses, (n,), with the autograd graph where stimuli require gradients."""


@dataclass(frozen=True)
class UnitReader:
    """Reads the responses of some units of a target.

    Attributes
    ----------
    target : Target
        On ``device``.
    units : sequence of UnitAddress
        Of the target. A unit's response is its mean over what its address leaves open.
    device : str
        "cpu" or "cuda:0".
    batch : int
        Stimuli of one pass, at most.
    step : int or None
        The time step of a spiking target whose output is read; None for the response over all steps.
    """

    target: Target
    units: Sequence[UnitAddress]
    device: str = "cpu"
    batch: int = 32
    step: int | None = None

    def of(self, unit: int) -> UnitReader:
        """Return the reader of one unit, given by its place in ``units``."""
        return replace(self, units=[self.units[unit]])

    def responses(self, stimuli: Tensor) -> Tensor:
        """Return the responses of all units without gradients, (units, n) float32 on ``device``.

        Parameters
        ----------
        stimuli : Tensor
            (n, *stimulus); any n, shown in passes of at most ``batch``.
        """
        with torch.no_grad():
            parts: list[Tensor] = []
            for part in stimuli.split(self.batch):
                answers = self._answers(part, {unit.layer for unit in self.units})
                parts.append(torch.stack([mean_response(unit, answers) for unit in self.units]).float())
        return torch.cat(parts, 1)

    def response(self) -> Response:
        """Return the differentiable response of the first unit; its gradient is the network's own, not a redirected one."""
        (unit, *_) = self.units
        return lambda stimuli: mean_response(unit, self._answers(stimuli, {unit.layer}, own_gradient=True)).float()

    def _answers(self, stimuli: Tensor, layers: set[str], *, own_gradient: bool = False) -> Mapping[str, Tensor]:
        target, placed = self.target, stimuli.to(self.device)
        if self.step is not None:
            assert isinstance(target, HasActivations)
            return {name: calls[min(self.step, len(calls) - 1)] for name, calls in target.activations(placed, layers).items()}
        if own_gradient and isinstance(target, HasActivations) and isinstance(target, HasModule) and target.steps is None:
            try:
                return {name: calls[0] for name, calls in target.activations(placed, layers).items()}
            except ValueError:  # rows that mix, or activation checkpointing: respond shows such networks what they take
                pass
        return target.respond(placed, frozenset(layers))


@dataclass(frozen=True)
class Question:
    """A question to a method: why units respond to stimuli as they do.

    Attributes
    ----------
    reader : UnitReader
        Of the units.
    stimuli : Tensor
        (n, *stimulus), on the reader's device.
    baselines : Tensor
        Like ``stimuli``: what stands for the absence of each value.
    seed : int
        Of everything that the method draws. Equal questions get equal answers.
    """

    reader: UnitReader
    stimuli: Tensor
    baselines: Tensor
    seed: int = 0

    @property
    def target(self) -> Target:
        """The reader's target."""
        return self.reader.target

    @property
    def spread(self) -> float:
        """The width of the range of values that stimuli have."""
        return self.target.stimulus.high - self.target.stimulus.low

    def each(self) -> list[Question]:
        """Return one question a unit."""
        return [replace(self, reader=self.reader.of(unit)) for unit in range(len(self.reader.units))]

    def about(self, stimuli: Tensor) -> Question:
        """Return the same question about other stimuli with the same baselines."""
        return replace(self, stimuli=stimuli)

    def rng(self) -> torch.Generator:
        """Return a new random stream on the CPU."""
        return torch.Generator().manual_seed(self.seed)
