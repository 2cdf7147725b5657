"""A torch module as a target."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from itertools import chain
from typing import Annotated, Literal, Self

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from ..networks.accept import fixed_batch, refusal, require_ready, unwrapped
from ..networks.preserve_state import Habits, preserve_state
from ..networks.random_state import seed_all
from ..spaces import StimulusSpec
from .behaviour import SIZES, Behaviour, notices, observe
from .capture import capture
from .discover import OUTPUT
from .graph_end import graph_end
from .isolated import isolated, needs_isolation
from .layers import require_layers
from .redirect import redirecting, retry_zero_gradients, watching
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
    """A network; every submodule whose output has a row for each stimulus is a layer.

    Parameters
    ----------
    module : nn.Module
        Takes (n, *stimulus). It runs in evaluation mode, and its state is restored to the bit
        (:class:`actmax.models.networks.preserve_state.preserve_state`). Of ``torch.compile`` and data-parallel wrappers, the network
        inside is used.
    stimulus : StimulusSpec
        The stimuli that it takes.
    prepare : callable, optional
        Applied to stimuli before the module, such as :class:`actmax.models.targets.normalise.Normalise`.
    unit_names : sequence of str
        Names of the units of the module's output, if any.
    output_unit : str
        Unit of measurement of the module's output, e.g. ``logit``; empty where it has none.
    redirect : {"dead"} or int
        Treatment of units behind inactive rectifiers. ``"dead"``: where the gradient of a stimulus is exactly zero, its backward
        pass is repeated with redirected gradients (:mod:`actmax.models.targets.redirect`); nonzero gradients stay unchanged, at no cost.
        A number: in the first so many gradient passes, every rectifier redirects that passes no gradient for a stimulus (Lucid, with 16).
        0: never. The number of a pass is the number of trials so far ÷ the stimuli of this pass.

    Notes
    -----
    The forward pass ends at the deepest layer that is asked for. A submodule with several calls is read at its last call.
    :func:`actmax.models.targets.discover.layers_of` defines the layers. The module receives a copy of the stimuli in its own
    precision; responses of half precision are returned as float32.

    The constructor shows a few stimuli in several batches (:mod:`actmax.models.targets.behaviour`). For a layer whose responses depend on
    the other stimuli of a batch, stimuli are shown one at a time. A network with memory is restored before each call. A network that draws
    random numbers is ``noisy``; its draws follow from the job's seed and the trial's number. ``notices`` names the cases that apply.

    Raises
    ------
    ValueError
        The module refuses stimuli of that shape, or returns no tensor with a row for each stimulus.
    """

    steps = None
    """None: a module without time steps."""

    def __init__(
        self,
        module: nn.Module,
        stimulus: StimulusSpec,
        *,
        prepare: Callable[[Tensor], Tensor] | None = None,
        unit_names: Sequence[str] = (),
        redirect: Literal["dead"] | int = "dead",
        output_unit: str = "",
    ) -> None:
        self.module = unwrapped(module)
        self.stimulus = stimulus
        self.redirect: Literal["dead"] | int = redirect
        self._prepare = prepare
        self._unit_names, self._output_unit = list(unit_names), output_unit
        self._seed, self._trial = 0, 0
        self._habits = Habits()
        require_ready(self.module)
        self._batch = fixed_batch(self.module)
        with torch.inference_mode(False), watching() as rectifiers:
            self._seen = self._observed()
            self._rectified = rectifiers() > 0
        self._found = self._seen.layers
        if not self._found.infos:
            raise ValueError(
                f"{type(module).__name__} answers with no float tensor that has a row for each stimulus, but with {self._seen.returned}; "
                "wrap it in a module that returns such a tensor"
            )
        self._isolated = False
        self.differentiable, self._trouble = self._gradients()

    @property
    def noisy(self) -> bool:
        """Whether equal stimuli may get different responses."""
        return bool(self._seen.noisy)

    @property
    def notices(self) -> list[str]:
        """Notices about the network's responses for the user."""
        return [*notices(self._seen, self._habits), *self._trouble]

    def to(self, device: str) -> Self:
        """Move the module to a device, unless its parts are on several devices, and return the target."""
        if len({tensor.device for tensor in self.module.parameters()}) <= 1:
            self.module.to(device)
        return self

    def layers(self) -> Sequence[LayerInfo]:
        """Return every layer, in the order of evaluation; ``output`` is the module's own output."""
        ends = self._found.ends if self._output_unit else ()
        return [replace(info, response_unit=self._output_unit) if info.name in ends else info for info in self._found.infos.values()]

    def unit_name(self, layer: str, index: tuple[int, ...]) -> str:
        """Return the name of a unit of the output; empty where it has none."""
        known = layer in self._found.ends and len(index) == 1 and index[0] < len(self._unit_names)
        return self._unit_names[index[0]] if known else ""

    def preserved(self) -> preserve_state:
        """Return a context that restores the network's state at its end; see :class:`actmax.models.targets.target.PreservesState`."""
        return preserve_state(self.module, self._habits)

    def begin(self, seed: int, trial: int) -> None:
        """Set the number of the next trial, and the job's seed.

        The passes of ``redirect`` are counted from it, and the random numbers of a noisy network follow from it.

        Parameters
        ----------
        seed : int
            Seed of the job.
        trial : int
            Number of the next stimulus; the following ones count up.
        """
        self._seed, self._trial = seed, trial

    def graph_end(self, layer: str, /) -> str | None:
        """Return the name of the module at which the autograd graph ends on the way from the stimuli to ``layer``.

        Returns
        -------
        str or None
            None where a gradient reaches the stimuli; empty where it ends in the network's own ``forward``, outside of any submodule.

        Raises
        ------
        KeyError
            The layer does not exist; the message suggests near names.
        """
        require_layers([layer], self._found.infos)
        with preserve_state(self.module, self._habits):
            shown = self._sized(self.prepare(_probes(self.stimulus.shape, self.stimulus)[:2]))[0]
            return graph_end(self.module, shown, self._found.readings[layer])

    def respond(self, stimuli: Tensor, layers: Collection[str], /) -> Mapping[str, Tensor]:
        """Return the responses to stimuli: (n, *stimulus) -> {layer: (n, *layer)}.

        Raises
        ------
        KeyError
            A layer does not exist; the message suggests near names.
        RuntimeError
            The network returned another number of rows than stimuli.
        """
        require_layers(layers, self._found.infos)
        trial, rows, wanted = self._trial, stimuli.shape[0], list(layers)
        self._trial += rows
        if not rows:
            return {layer: stimuli.new_zeros(0, *self._found.infos[layer].shape) for layer in wanted}
        if self._isolated and torch.is_grad_enabled() and stimuli.requires_grad:
            return isolated(lambda shown: self._run(shown, wanted, trial), stimuli, self.preserved)
        if not (self._rectified and torch.is_grad_enabled() and stimuli.requires_grad):
            return self._run(stimuli, wanted, trial)
        if self.redirect == "dead":
            return retry_zero_gradients(lambda shown: self._run(shown, wanted, trial), stimuli)
        with redirecting(rows) if trial // rows < self.redirect else nullcontext():
            return self._run(stimuli, wanted, trial)

    def activations(self, stimuli: Tensor, layers: Collection[str], /) -> Mapping[str, Sequence[Tensor]]:
        """Return the tensors that ``layers`` compute, one each, (n, *layer); see :class:`actmax.models.targets.target.HasActivations`.

        Gradients are the network's own, not redirected. A stimulus counts as a trial, as for ``respond``.

        Raises
        ------
        KeyError
            A layer does not exist; the message suggests near names.
        ValueError
            The network takes fewer stimuli at once, or checkpoints its activations in a reentrant way.
        """
        require_layers(layers, self._found.infos)
        trial, rows, most = self._trial, stimuli.shape[0], self._at_once(stimuli.shape[0], layers)
        if rows > most:
            raise ValueError(f"the network is shown {most} of {rows} stimuli at once, so what it computes has no common graph; show {most}")
        if self._isolated and torch.is_grad_enabled() and stimuli.requires_grad:
            raise ValueError("the network checkpoints its activations in a reentrant way, which can only be differentiated as a whole")
        self._trial += rows
        if not rows or not layers:
            return {layer: [stimuli.new_zeros(0, *self._found.infos[layer].shape)] for layer in layers}
        recording = torch.is_grad_enabled() and not torch.is_inference_mode_enabled()
        with torch.inference_mode(False), torch.set_grad_enabled(recording):
            return {layer: [tensor] for layer, tensor in self._pass(stimuli, layers, trial, attached=True).items()}

    def _at_once(self, rows: int, layers: Collection[str]) -> int:
        """Return the number of stimuli of one pass: 1 where rows mix or the network takes one alone."""
        return 1 if self._seen.alone or not self._seen.mixing.isdisjoint(layers) else self._batch or rows

    def _run(self, stimuli: Tensor, layers: Collection[str], trial: int) -> dict[str, Tensor]:
        """Show stimuli in as many passes as the network needs."""
        if not layers:
            return {}
        recording = torch.is_grad_enabled() and not torch.is_inference_mode_enabled()
        size = self._at_once(len(stimuli), layers)
        parts: list[dict[str, Tensor]] = []
        # never in inference mode: autograd refuses tensors that a network caches there
        with torch.inference_mode(False), torch.set_grad_enabled(recording):
            for start in range(0, len(stimuli), size):
                parts.append(self._pass(stimuli[start : start + size], layers, trial + start))
        return parts[0] if len(parts) == 1 else {layer: torch.cat([part[layer] for part in parts]) for layer in layers}

    def _pass(self, stimuli: Tensor, layers: Collection[str], trial: int, *, attached: bool = False) -> dict[str, Tensor]:
        """Run one forward pass, and return the responses by layer."""
        readings = {layer: self._found.readings[layer] for layer in layers}
        rows = len(stimuli)
        with preserve_state(self.module, self._habits):
            shown, size = self._sized(self.prepare(stimuli))
            if self._seen.noisy:
                seed_all(int(np.random.SeedSequence((self._seed, trial)).generate_state(1, np.uint64)[0] >> 1))
            answers = capture(self.module, shown, readings, attached=rows if attached else None)
        if attached:
            size = rows
        found: dict[str, Tensor] = {}
        for layer in layers:
            answer = answers.get(layer)
            shape = (size, *self._found.infos[layer].shape)
            if answer is not None and answer.ndim == 1:
                answer = answer[:, None]
            if answer is None or tuple(answer.shape) != shape:
                got = "nothing" if answer is None else f"a tensor of shape {tuple(answer.shape)}"
                raise RuntimeError(f"{layer} answered with {got} where {shape} was expected, a row for each of {size} stimuli")
            found[layer] = answer if attached else _readable(answer if size == rows else answer[:rows])
        return found

    def _sized(self, stimuli: Tensor) -> tuple[Tensor, int]:
        """Return stimuli, padded with copies of the last one where the network needs a larger batch, and their number."""
        rows = len(stimuli)
        size = self._batch or (2 if rows == 1 and self._seen.padded else rows)
        return (stimuli if size == rows else torch.cat([stimuli, stimuli[-1:].expand(size - rows, *stimuli.shape[1:])])), size

    def prepare(self, stimuli: Tensor, /) -> Tensor:
        """Return stimuli prepared for the module, in their own memory: normalised, on its device, in its precision."""
        tensors = chain(self.module.parameters(), self.module.buffers())  # lazily: the first one is enough as a rule
        anchor = next((tensor for tensor in tensors if tensor.is_floating_point()), stimuli)
        placed = stimuli.to(anchor.device)
        given = (placed if self._prepare is None else self._prepare(placed)).to(anchor.dtype)
        if given.is_inference() or given.untyped_storage().data_ptr() == stimuli.untyped_storage().data_ptr():
            return given.clone()  # the network may write into it
        return given

    def _observed(self) -> Behaviour:
        """Show the network a few stimuli in several batches."""
        try:
            return self._observed_once()
        except Exception as error:  # modules raise any class for inputs that they refuse, assertions too
            self._habits = Habits(needs_parameter_gradients=True)
            try:
                return self._observed_once()
            except Exception:
                self._habits = Habits()
                raise ValueError(refusal(self.module, self.stimulus, error, self._takes)) from error

    def _observed_once(self) -> Behaviour:
        with torch.no_grad():
            shown = self.prepare(_probes(self.stimulus.shape, self.stimulus))
        return observe(self.module, shown, self._habits, self._batch)

    def _takes(self, shape: tuple[int, ...]) -> bool:
        try:
            with preserve_state(self.module, Habits(), thorough=True), torch.no_grad():
                self.module(self.prepare(_probes(shape, self.stimulus)[:2]))
        except Exception:  # any error means that the module refuses the shape
            return False
        return True

    def _gradients(self) -> tuple[bool, list[str]]:
        """Return whether any layer has a gradient, and notices about gradients."""
        with preserve_state(self.module, self._habits), torch.inference_mode(False), torch.enable_grad():
            leaf = _probes(self.stimulus.shape, self.stimulus)[:2].requires_grad_()
            try:
                shown = self._sized(self.prepare(leaf))[0]
                answers = capture(self.module, shown[:1] if self._seen.alone else shown, self._found.readings)
            except Exception as error:  # operations that work only without gradients raise any class, such as x.numpy()
                reason = str(error).strip().split("\n", 1)[0][:200]
                return False, [f"The network fails while gradients are recorded, so it gives none ({type(error).__name__}: {reason})."]
            self._isolated = any(needs_isolation(answer) for answer in answers.values())
            return any(answer.requires_grad for answer in answers.values()), []


def _probes(shape: tuple[int, ...], spec: StimulusSpec) -> Tensor:
    """Return a few different stimuli, (3, *shape), the same ones at every call."""
    drawn = torch.rand(max(SIZES), *shape, generator=torch.Generator().manual_seed(1), dtype=torch.float32, device="cpu")
    return drawn * (spec.high - spec.low) + spec.low


def _readable(answer: Tensor) -> Tensor:
    return answer.float() if answer.dtype in (torch.float16, torch.bfloat16) else answer
