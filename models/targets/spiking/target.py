"""SpikingTarget: any snntorch network as a target."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor, nn

from ...spaces import StimulusSpec
from ..coding import Coding, Encoder
from ..target import LayerInfo
from .chain import as_chain
from .layerwise import LayerByLayer, largest_layer
from .neurons import is_neuron, takes_sequence
from .readout import KINDS, Readout
from .stepwise import Record, WholeNetwork, respond_from, run_chain
from .undisturbed import undisturbed


class SpikingTarget:
    """A snntorch network, asked for the responses of its units to stimuli shown for some time steps.

    Sequential networks, nested ones too, are evaluated layer by layer over all steps at once; neurons may return spikes
    alone or spikes and states, with or without ``init_hidden``. Any other network is run as it is, one call a step, or one
    call if its ``forward`` loops over time by itself.

    The two agree but for rounding: sums are taken in another order, and normalisation and pooling may be part of a
    convolution. A membrane within rounding of its threshold (about 1e-6 of the size of its inputs) may therefore spike in
    one and not in the other, and what follows from that spike differs too; the same holds between devices and between batch
    sizes. Responses are those of evaluation mode. The network is never changed: hidden states, training flags, buffers
    and gradients are after each call as they were before it. It is not copied either: parameters that are trained or loaded
    later count from the next call on (writing to ``parameter.data`` in place, behind autograd's back, excepted), and one
    network answers one call at a time. A module without neurons is taken to be a function of its input alone.

    Parameters
    ----------
    network : nn.Module
        The network, taking (n, *stimulus).
    stimulus : StimulusSpec
        What it takes.
    steps : int
        Time steps of one presentation, at least 1.
    readout : {"count", "rate", "latency", "membrane"}
        The response of a spiking unit: its spikes over all steps, its spikes a step, (steps - t) / steps for a first spike at
        step t = 0 … steps - 1 and 0 for none (so higher is earlier), its highest membrane. Graded spikes count as graded.
    coding : {"direct", "rate", "latency"}
        How stimuli enter; see ``actmax.models.targets.coding.Encoder``.
    seed : int
        Seed of the spikes of rate coding. Equal stimuli get equal spikes, in every batch.
    layers : sequence of str or None
        Names of the layers to offer; None offers every neuron, and every other layer with parameters, whose response is its
        output averaged over the steps.
    plain : bool
        Run the step-by-step loop of the whole network, also where the network is sequential.

    Raises
    ------
    ValueError
        The network has no spiking layer, or does not take the stimulus, or ``layers`` names what is not there.

    References
    ----------
    Eshraghian et al., "Training spiking neural networks using lessons from deep learning", 2023 (snntorch).
    """

    def __init__(
        self,
        network: nn.Module,
        stimulus: StimulusSpec,
        *,
        steps: int,
        readout: Readout = "count",
        coding: Coding = "direct",
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
        self.network, self.steps, self.plain = network, steps, plain
        self.readout: Readout = readout
        self._stimulus = stimulus
        self._encode = Encoder(coding, stimulus, steps, seed)
        self._whole = WholeNetwork(network)
        self._chain = as_chain(network)
        if self._chain is None:
            self._modules = self._whole.names()
        else:
            self._modules = {link.name: link.module for link in self._chain if link.neuron or any(True for _ in link.module.parameters())}
        self._layers = self._measured()
        units = largest_layer({name: info.shape for name, info in self._layers.items() if is_neuron(self._modules[name])})
        if layers is not None:
            for name in layers:
                self._check(name, ValueError)
            self._layers = {name: info for name, info in self._layers.items() if name in layers}
        self._layerwise = LayerByLayer(self._chain, steps, readout, units) if self._chain is not None and not self.plain else None

    @property
    def stimulus(self) -> StimulusSpec:
        """What it takes."""
        return self._stimulus

    @property
    def coding(self) -> Coding:
        """How stimuli enter."""
        return self._encode.coding

    @property
    def differentiable(self) -> bool:
        """Whether gradients flow from responses to stimuli: unless a neuron has its surrogate disabled."""
        return not any(getattr(module, "surrogate_disable", False) for module in self.network.modules())

    @property
    def layer_by_layer(self) -> bool:
        """Whether it is evaluated layer by layer, rather than step by step."""
        return self._layerwise is not None

    def layers(self) -> Sequence[LayerInfo]:
        """What can be maximised, in the order of the network."""
        return tuple(self._layers.values())

    def to(self, device: str, /) -> SpikingTarget:
        """Move the network to a device and return itself."""
        self.network.to(device)
        return self

    def respond(self, stimuli: Tensor, layers: Collection[str], /) -> Mapping[str, Tensor]:
        """Responses to stimuli; evaluation stops at the deepest of ``layers`` where the network is sequential.

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
            A layer is not one of ``layers()``; the message names near ones.
        ValueError
            The stimuli have another shape.
        """
        for name in layers:
            self._check(name, KeyError)
        if tuple(stimuli.shape[1:]) != self._stimulus.shape or stimuli.dim() == 0:
            raise ValueError(f"stimuli must have shape (n, {', '.join(map(str, self._stimulus.shape))}), got {tuple(stimuli.shape)}")
        wanted = [name for name in self._layers if name in layers]
        if not wanted:
            return {}
        if not stimuli.shape[0]:
            return {name: stimuli.new_zeros(0, *self._layers[name].shape, dtype=torch.float32) for name in wanted}
        inputs = self._encode(self._placed(stimuli))
        with undisturbed(self.network):
            if self._layerwise is not None:
                found = self._layerwise(inputs, wanted, constant=self._encode.constant)
            else:
                found = respond_from(self._record(inputs, wanted), self._modules, self.readout)
        return {name: found[name].float() for name in wanted}

    def _record(self, inputs: Tensor, wanted: Collection[str]) -> Record:
        if self._chain is not None:
            return run_chain(self._chain, inputs, self.steps, wanted, constant=self._encode.constant)
        return self._whole.run(inputs, self.steps, wanted, constant=self._encode.constant)

    def _measured(self) -> dict[str, LayerInfo]:
        """Shapes of all layers, by showing one gray stimulus for one step."""
        gray = self._placed(torch.full((1, *self._stimulus.shape), (self._stimulus.low + self._stimulus.high) / 2))
        with torch.no_grad(), undisturbed(self.network):
            try:
                found = self._trial(gray)
            except (RuntimeError, TypeError, IndexError) as error:
                raise ValueError(f"the network does not take a stimulus of {self._stimulus} a step: {error}") from error
        return {name: LayerInfo(name, tuple(response.shape[1:]), self._kind(name)) for name, response in found.items()}

    def _trial(self, gray: Tensor) -> dict[str, Tensor]:
        if self._chain is None:
            return respond_from(self._whole.trial(gray, self.steps, direct=self._encode.constant), self._modules, self.readout)
        if any(takes_sequence(link.module) for link in self._chain):
            return LayerByLayer(self._chain, 1, self.readout)(gray, self._modules.keys(), constant=True)
        others = [link.module for link in self._chain if not link.neuron]
        before = [_contents(module) for module in others]
        record = run_chain(self._chain, gray, 1, self._modules.keys(), constant=True)
        if before != [_contents(module) for module in others]:
            self.plain = True  # something besides the neurons keeps a state
        return respond_from(record, self._modules, self.readout)

    def _kind(self, name: str) -> str:
        module = self._modules[name]
        return KINDS[self.readout] if is_neuron(module) else f"{type(module).__name__} mean current"

    def _placed(self, stimuli: Tensor) -> Tensor:
        """On the device and in the precision of the network."""
        anchor = next((tensor for tensor in (*self.network.parameters(), *self.network.buffers()) if tensor.is_floating_point()), stimuli)
        return stimuli.to(anchor.device, anchor.dtype)

    def _check(self, name: str, error: type[Exception]) -> None:
        if name not in self._layers:
            near = difflib.get_close_matches(name, self._layers, n=3, cutoff=0.4) or list(self._layers)[:5]
            raise error(f"no layer {name!r}; near it are {', '.join(near)}")


def _contents(module: nn.Module) -> list[tuple[str, int, int]]:
    """What a module holds, to see whether a call changed it."""
    return [
        (name, id(value), value._version if isinstance(value, Tensor) and not value.is_inference() else 0)
        for part in module.modules()
        for name, value in (*part.__dict__.items(), *part._buffers.items())
    ]
