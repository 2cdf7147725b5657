"""Any torch module as a target."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import nullcontext
from typing import Annotated, Literal, Self

import torch
from pydantic import Field
from torch import Tensor, nn

from ..spaces import StimulusSpec
from .capture import capture
from .discover import OUTPUT, discover
from .layers import require_layers
from .preserve_state import Habits, preserve_state
from .redirect import redirecting, watching
from .rescue import rescued
from .target import LayerInfo

__all__ = ["OUTPUT", "ModuleTarget", "Redirect"]

Redirect = Annotated[
    Literal["dead"] | Annotated[int, Field(ge=0, le=10**9)],
    Field(
        description="Units whose ReLUs let no gradient through: 'dead' redirects the gradient of stimuli that get exactly none; "
        "a number does so at every ReLU that lets none through, in the first so many passes (16 in Lucid); 0 never."
    ),
]
"""The option of a target; see :class:`ModuleTarget`."""


class ModuleTarget:
    """A differentiable network; every submodule that answers with a tensor is a layer.

    Parameters
    ----------
    module : nn.Module
        Takes (n, *stimulus). It is run in evaluation mode and never changed: no hook, flag or gradient stays behind.
    stimulus : StimulusSpec
        What it takes.
    prepare : callable, optional
        Applied to stimuli before the module, such as :class:`actmax.models.targets.normalise.Normalise`.
    unit_names : sequence of str
        What the units of the module's output stand for, if anything.
    redirect : {"dead"} or int
        What to do about units behind rectifiers that are off. ``"dead"``: where a stimulus gets a gradient of exactly zero, its backward
        pass is run again with redirected gradients (:mod:`actmax.models.targets.redirect`); it costs nothing while there is a gradient,
        and changes none. A number: in the first so many gradient passes, every rectifier through which nothing came back for a stimulus
        redirects (Lucid, with 16). 0: never. Passes are counted as the trials shown so far ÷ the stimuli of this pass.

    Notes
    -----
    The forward pass ends at the deepest layer that is asked for. A submodule that is called several times answers with its last call.
    What the layers are is said in :func:`actmax.models.targets.discover.discover`. The module is given stimuli in its own precision;
    responses of half precision come back as float32.

    Raises
    ------
    ValueError
        The module does not take stimuli of that shape, or answers with nothing that has a row for each stimulus.
    """

    differentiable = True

    def __init__(
        self,
        module: nn.Module,
        stimulus: StimulusSpec,
        *,
        prepare: Callable[[Tensor], Tensor] | None = None,
        unit_names: Sequence[str] = (),
        redirect: Literal["dead"] | int = "dead",
    ) -> None:
        self.module = module
        self.stimulus = stimulus
        self.redirect: Literal["dead"] | int = redirect
        self._prepare = prepare
        self._unit_names = list(unit_names)
        self._trial = 0
        self._habits = Habits()
        with preserve_state(module, self._habits, thorough=True), torch.no_grad(), watching() as rectifiers:
            try:
                probe = torch.full((2, *stimulus.shape), (stimulus.low + stimulus.high) / 2)
                self._found = discover(module, self._prepared(probe))
            except Exception as error:  # modules raise all kinds at what they don't take, assertions too
                raise ValueError(f"{type(module).__name__} does not take stimuli of {stimulus}: {error}") from error
            self._rectified = rectifiers() > 0
        if not self._found.infos:
            raise ValueError(f"{type(module).__name__} answers with no float tensor that has a row for each stimulus")

    def to(self, device: str) -> Self:
        """Move the module."""
        self.module.to(device)
        return self

    def layers(self) -> Sequence[LayerInfo]:
        """Every layer, in the order of evaluation; ``output`` is what the module returns."""
        return list(self._found.infos.values())

    def unit_name(self, layer: str, index: tuple[int, ...]) -> str:
        """What a unit of the output stands for; empty where that is not known."""
        known = layer in self._found.ends and len(index) == 1 and index[0] < len(self._unit_names)
        return self._unit_names[index[0]] if known else ""

    def preserved(self) -> preserve_state:
        """Return a context after which the network is as it was before; see :class:`actmax.models.targets.target.PreservesState`."""
        return preserve_state(self.module, self._habits)

    def begin(self, seed: int, trial: int) -> None:
        """Stimuli shown from now on are trials ``trial``, ``trial + 1``, …: what the passes of ``redirect`` are counted by."""
        self._trial = trial

    def respond(self, stimuli: Tensor, layers: Collection[str], /) -> Mapping[str, Tensor]:
        """(n, *stimulus) -> {layer: (n, *layer)}.

        Raises
        ------
        KeyError
            A layer does not exist; near names are told.
        """
        require_layers(layers, self._found.infos)
        trial, rows = self._trial, stimuli.shape[0]
        self._trial += rows
        wanted = list(layers)
        if not (self._rectified and rows and torch.is_grad_enabled() and stimuli.requires_grad):
            return self._run(stimuli, wanted)
        if self.redirect == "dead":
            return rescued(lambda shown: self._run(shown, wanted), stimuli)
        with redirecting(rows) if trial // rows < self.redirect else nullcontext():
            return self._run(stimuli, wanted)

    def _run(self, stimuli: Tensor, layers: Collection[str]) -> dict[str, Tensor]:
        readings = {layer: self._found.readings[layer] for layer in layers}
        with preserve_state(self.module, self._habits):
            answers = capture(self.module, self._prepared(stimuli), readings)
        return {layer: _readable(answers[layer]) for layer in layers}

    def _prepared(self, stimuli: Tensor) -> Tensor:
        """As the module takes them: on its device, in its precision."""
        anchor = next((tensor for tensor in (*self.module.parameters(), *self.module.buffers()) if tensor.is_floating_point()), stimuli)
        placed = stimuli.to(anchor.device)
        return (placed if self._prepare is None else self._prepare(placed)).to(anchor.dtype)


def _readable(answer: Tensor) -> Tensor:
    return answer.float() if answer.dtype in (torch.float16, torch.bfloat16) else answer
