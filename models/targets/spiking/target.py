"""A snntorch network as a target."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Mapping, Sequence

import torch
from pydantic import Field
from torch import Tensor, nn

from ....wire.near_names import near_names
from ...codings.coding import Coding, NamedCoding, Presentation, coding_of, require_binary, shown_over_time
from ...components import Named
from ...networks.preserve_state import Habits, preserve_state
from ...options import OptionsModel
from ...spaces import StimulusSpec
from ..target import LayerInfo
from .memory import own
from .neurons import is_neuron
from .readout import KINDS, Readout
from .stepwise import respond_from, run_chain
from .trial import random_stimuli, try_network


class SpikingOptions(OptionsModel):
    """Options of a spiking network's presentation."""

    steps: int = Field(default=20, ge=1, le=10_000, description="Time steps of one presentation.")
    readout: Readout = Field(default="count", description="Response of a spiking unit; latency is higher for an earlier first spike.")
    coding: NamedCoding = Field(
        default=Named(name="direct"), description="How a stimulus enters: as a current, random spikes, a timed spike a pixel."
    )


class SpikingTarget:
    """A snntorch network, asked for the responses of its units to stimuli shown for some time steps.

    Sequential networks, nested ones too, are evaluated layer by layer over all steps at once; neurons may return spikes
    alone or spikes and states, with or without ``init_hidden``. Any other network is called unchanged: once a step, or
    once if its own ``forward`` loops over time, over the same input or over its first or second dimension. The constructor shows
    a few stimuli to determine the way to call a network, and which of its layers have a row for each stimulus.

    Both evaluations agree up to rounding: sums are taken in another order, and normalisation and pooling may be part of a
    convolution. A membrane within rounding of its threshold (about 1e-6 of the size of its inputs) may therefore spike in
    only one of them, and all that follows from this spike differs too; the same holds between devices and between batch
    sizes. Responses are those of evaluation mode, in the network's own precision, without autocast. The network is never
    changed: hidden states, training flags, buffers and gradients are restored after each call. It is not copied either:
    changes of its parameters take effect at the next call. Calls from several threads wait for each other.

    Networks that can't be evaluated layer by layer run in the plain loop over steps. ``notices`` reports this and other decisions:
    that an evaluation layer by layer failed, that stimuli are shown alone since the network mixes them, that a layer is left out.

    Parameters
    ----------
    network : nn.Module
        The network, taking (n, *stimulus), or with time steps as its first or second dimension.
    stimulus : StimulusSpec
        The stimuli that it takes.
    steps : int
        Time steps of one presentation, at least 1.
    readout : {"count", "rate", "latency", "membrane"}
        The response of a spiking unit: its spikes over all steps, its spikes a step, (steps - t) / steps for a first spike at
        step t = 0 … steps - 1 and 0 for none (so higher is earlier), its highest membrane. Graded spikes count as graded.
    coding : str, Named or Coding
        How stimuli enter: ``direct``, ``rate``, ``latency`` or another of the entry points ``actmax.codings``, a name with options, or an
        object; see :class:`actmax.models.codings.coding.Coding`.
    seed : int
        Seed of a coding's spikes. Equal stimuli get equal spikes, in every batch.
    layers : sequence of str or None
        Names of the layers to offer; None offers every neuron, and every other layer with parameters, whose response is its
        output averaged over the steps.
    plain : bool
        Whether to run the step-by-step loop also for a sequential network.

    Raises
    ------
    ValueError
        The network has no spiking layer or refuses the stimulus, or one of ``layers`` does not exist.

    References
    ----------
    Eshraghian et al., "Training spiking neural networks using lessons from deep learning", 2023 (snntorch).
    """

    def __init__(  # noqa: PLR0913 - its options, which the catalog reads
        self,
        network: nn.Module,
        stimulus: StimulusSpec,
        *,
        steps: int,
        readout: Readout = "count",
        coding: str | Named | Coding = "direct",
        seed: int = 0,
        layers: Sequence[str] | None = None,
        plain: bool = False,
    ) -> None:
        if steps < 1:
            raise ValueError(f"steps must be at least 1, got {steps}")
        if readout not in KINDS:
            raise ValueError(f"readout must be one of {', '.join(KINDS)}, got {readout!r}")
        if not any(is_neuron(module) for module in network.modules()):
            raise ValueError("the network has no snntorch neuron; a network without spikes is an ordinary torch target")
        self.module, self.steps, self.seed = network, steps, seed
        self.readout: Readout = readout
        self._stimulus = stimulus
        self.coding = coding_of(coding, Presentation(stimulus, steps, seed))
        self._asked_plain, self._asked_layers = plain, layers
        self._parts: list[tuple[str, nn.Module]] = []
        self._habits = Habits()
        self._presentations = 0
        self._try()

    @property
    def stimulus(self) -> StimulusSpec:
        """The stimuli that it takes."""
        return self._stimulus

    @property
    def differentiable(self) -> bool:
        """Whether gradients flow from responses to stimuli: False if the coding has none, or a neuron's surrogate is disabled."""
        return self.coding.differentiable and not any(getattr(module, "surrogate_disable", False) for module in self.module.modules())

    @property
    def noisy(self) -> bool:
        """Whether repeated responses of the network to the same stimuli differed when it was tried."""
        return self._trial.noisy

    @property
    def plain(self) -> bool:
        """Whether the plain loop over steps is used."""
        return self._layerwise is None

    @property
    def layer_by_layer(self) -> bool:
        """Whether the network is evaluated layer by layer, not step by step."""
        return self._layerwise is not None

    @property
    def notices(self) -> Sequence[str]:
        """Notices about the network's evaluation for the user, one sentence each."""
        return tuple(self._notices)

    def preserved(self) -> preserve_state:
        """Return a context with the network in evaluation mode, which restores its state to the bit."""
        return preserve_state(self.module, self._habits)

    def layers(self) -> Sequence[LayerInfo]:
        """Return the layers whose units can be maximised, in the order of the network."""
        return tuple(self._layers.values())

    def to(self, device: str, /) -> SpikingTarget:
        """Move the network to a device, and return the target."""
        self.module.to(device)
        return self

    def respond(self, stimuli: Tensor, layers: Collection[str], /) -> Mapping[str, Tensor]:
        """Return responses to stimuli; evaluation stops at the deepest of ``layers`` where the network is sequential.

        Parameters
        ----------
        stimuli : Tensor
            (n, *stimulus). Responses carry gradients to it where it requires them and the caller's grad mode records them.
        layers : collection of str
            Names out of ``layers()``.

        Returns
        -------
        Mapping of str to Tensor
            (n, *layer) each, float32.

        Raises
        ------
        KeyError
            A layer is not one of ``layers()``; the message suggests near names.
        ValueError
            The stimuli have another shape, or the network's outputs differ in form from those of its trial.
        """
        with self.preserved():
            wanted = self._ready(stimuli, layers)
            return self._asked(stimuli, wanted)

    def activations(self, stimuli: Tensor, layers: Collection[str], /) -> Mapping[str, Sequence[Tensor]]:
        """Return the activations of ``layers`` at every step, (n, *layer); see :class:`actmax.models.targets.target.HasActivations`.

        Neurons return spikes, or membranes for the readout of that name. The plain loop over steps is run.

        Raises
        ------
        KeyError
            A layer is not one of ``layers()``; the message suggests near names.
        ValueError
            The stimuli have another shape, or the network mixes them and there are several.
        """
        with self.preserved():
            wanted, n = self._ready(stimuli, layers), stimuli.shape[0]
            if not (wanted and n):
                return {name: [stimuli.new_zeros(0, *self._layers[name].shape)] * self.steps for name in wanted}
            if self._trial.mixes and n > 1:
                raise ValueError("the network is shown one stimulus at a time, so what it computes has no common graph; show one")
            self._seed_noise()
            placed, constant = self._placed(stimuli), self.coding.constant
            with torch.autocast(placed.device.type, enabled=False):
                inputs = shown_over_time(self.coding, placed, self.steps)
                if self._trial.chain is None:
                    return self._trial.whole.activations(inputs, wanted, self.readout, constant=constant)
                record = run_chain(self._trial.chain, inputs, self.steps, wanted, constant=constant, attached=True)
        which = 1 if self.readout == "membrane" else 0
        return {name: [call[which] for call in record[name]] for name in wanted}  # type: ignore[misc] - layers have what is read

    def prepare(self, stimuli: Tensor, /) -> Tensor:
        """Return the network's inputs in their own memory: (n, *input) for a constant coding, otherwise (steps, n, *input)."""
        coded = shown_over_time(self.coding, self._placed(stimuli), self.steps)
        return own(coded) if coded.untyped_storage().data_ptr() == stimuli.untyped_storage().data_ptr() else coded

    def _ready(self, stimuli: Tensor, layers: Collection[str]) -> list[str]:
        """Check stimuli and layers, try the network again if its parts have changed, and return ``layers`` in their order."""
        for name in layers:
            self._check(name, KeyError)
        if tuple(stimuli.shape[1:]) != self._stimulus.shape or stimuli.dim() == 0:
            raise ValueError(f"stimuli must have shape (n, {', '.join(map(str, self._stimulus.shape))}), got {tuple(stimuli.shape)}")
        if not same_parts(self._parts, parts_of(self.module)):
            self._try()
            for name in layers:
                self._check(name, KeyError)
        return [name for name in self._layers if name in layers]

    def _seed_noise(self) -> None:
        if self.noisy:  # the random state is restored after each call, which would repeat the same noise
            torch.manual_seed(self.seed + self._presentations)
            self._presentations += 1

    def _asked(self, stimuli: Tensor, wanted: Sequence[str]) -> Mapping[str, Tensor]:
        if not wanted:
            return {}
        if not stimuli.shape[0]:
            return {name: stimuli.new_zeros(0, *self._layers[name].shape, dtype=torch.float32) for name in wanted}
        self._seed_noise()
        placed = self._placed(stimuli)
        with torch.autocast(placed.device.type, enabled=False):
            found = self._answer(shown_over_time(self.coding, placed, self.steps), wanted, stimuli.shape[0])
        return {name: found[name].float() for name in wanted}

    def _try(self) -> None:
        """Determine how the network is evaluated in its present form."""
        anchor = self._anchor()
        device = "cpu" if anchor is None else anchor.device.type
        if device == "meta":
            raise ValueError("the network lies on the meta device and has no weights; load them, or move it by to_empty and initialise it")
        with preserve_state(self.module, self._habits, thorough=True), torch.no_grad(), torch.autocast(device, enabled=False):
            probes = self._placed(random_stimuli(self._stimulus, self.steps))
            coded = shown_over_time(self.coding, probes, self.steps)
            require_binary(self.coding, coded)
            typical = coded if self.coding.constant else coded.mean(0)
            if typical.shape == probes.shape:
                typical = probes
            self._trial = try_network(self.module, self._stimulus, typical, self.steps, self.readout, constant=self.coding.constant)
        self._parts = parts_of(self.module)
        self._layers = dict(self._trial.layers)
        self._notices = list(self._trial.notices)
        self._layerwise = None if self._asked_plain else self._trial.layer_by_layer()
        if self._asked_layers is not None:
            for name in self._asked_layers:
                self._check(name, ValueError)
            self._layers = {name: info for name, info in self._layers.items() if name in self._asked_layers}

    def _answer(self, inputs: Tensor, wanted: Sequence[str], n: int) -> dict[str, Tensor]:
        if self._layerwise is not None:
            try:
                return self._checked(self._layerwise(inputs, wanted, constant=self.coding.constant, binary=self.coding.binary), wanted, n)
            except (MemoryError, torch.OutOfMemoryError):
                raise
            except Exception as error:
                found = self._plainly(inputs, wanted, n)  # raises if the network itself fails
                self._notices.append(
                    f"the evaluation layer by layer failed in {self._layerwise.at} ({type(error).__name__}: {_first_line(error)}); "
                    "the plain loop over steps answers since"
                )
                self._layerwise = None
                return found
        return self._plainly(inputs, wanted, n)

    def _plainly(self, inputs: Tensor, wanted: Sequence[str], n: int) -> dict[str, Tensor]:
        """Return the responses by the plain loop, one stimulus at a time where the network mixes them."""
        constant = self.coding.constant
        if self._trial.mixes and n > 1:
            parts = [self._once(one, wanted, 1) for one in inputs.split(1, 0 if constant else 1)]
            return {name: torch.cat([part[name] for part in parts]) for name in wanted}
        return self._once(inputs, wanted, n)

    def _once(self, inputs: Tensor, wanted: Sequence[str], n: int) -> dict[str, Tensor]:
        constant = self.coding.constant
        if self._trial.chain is None:
            found = self._trial.whole.respond(inputs, wanted, self.readout, constant=constant)
        else:
            record = run_chain(self._trial.chain, inputs, self.steps, wanted, constant=constant)
            found = respond_from(record, self._trial.modules, self.readout)
        return self._checked(found, wanted, n)

    def _checked(self, found: dict[str, Tensor], wanted: Sequence[str], n: int) -> dict[str, Tensor]:
        """Return the responses after checking that each has a row for each stimulus, of the layer's shape."""
        for name in wanted:
            if found[name].shape != (n, *self._layers[name].shape):
                expected = (n, *self._layers[name].shape)
                raise ValueError(f"{name} answers {n} stimuli with shape {tuple(found[name].shape)}; {expected} was expected")
        return found

    def _anchor(self) -> Tensor | None:
        """Return a tensor of the network with its device and precision; None for a network without floats."""
        tensors = itertools.chain(self.module.parameters(), self.module.buffers())
        return next((tensor for tensor in tensors if tensor.is_floating_point()), None)

    def _placed(self, stimuli: Tensor) -> Tensor:
        """Return stimuli on the device and in the precision of the network."""
        anchor = self._anchor()
        return stimuli if anchor is None else stimuli.to(anchor.device, anchor.dtype)

    def _check(self, name: str, error: Callable[[str], Exception]) -> None:
        if name not in self._layers:
            near = near_names(name, self._layers) or list(self._layers)[:5]
            raise error(f"no layer {name!r}; near it are {', '.join(near)}")


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0][:200]


def parts_of(network: nn.Module) -> list[tuple[str, nn.Module]]:
    """Return all modules of a network with their names, repeated ones included."""
    return list(network.named_modules(remove_duplicate=False))


def same_parts(before: Sequence[tuple[str, nn.Module]], now: Sequence[tuple[str, nn.Module]]) -> bool:
    """Return whether a network has the same modules under the same names."""
    return len(before) == len(now) and all(a[0] == b[0] and a[1] is b[1] for a, b in zip(before, now, strict=True))
