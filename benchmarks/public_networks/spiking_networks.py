"""snntorch's tutorial networks and spikingjelly's examples and models."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import snntorch as snn
import torch
from snntorch import surrogate
from torch import Tensor, nn

from .entry import PublicNetwork

_STEPS = 10
_DIGIT = (1, 28, 28)


class FullyConnected(nn.Module):
    """Linear(784, 1000) and Linear(1000, 10), each with leaky neurons, over time in ``forward`` (snntorch's tutorial 5)."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(784, 1000)
        self.lif1 = snn.Leaky(beta=0.95)
        self.fc2 = nn.Linear(1000, 10)
        self.lif2 = snn.Leaky(beta=0.95)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = x.flatten(1)
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        spikes, membranes = [], []
        for _ in range(_STEPS):
            spk1, mem1 = self.lif1(self.fc1(x), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            spikes.append(spk2)
            membranes.append(mem2)
        return torch.stack(spikes), torch.stack(membranes)


class Convolutional(nn.Module):
    """Two convolutions with pooling and leaky neurons, a class of its own that is called once a step (snntorch's tutorial 6)."""

    def __init__(self) -> None:
        super().__init__()
        grad = surrogate.fast_sigmoid(slope=25)
        self.conv1 = nn.Conv2d(1, 12, 5)
        self.lif1 = snn.Leaky(beta=0.5, spike_grad=grad)
        self.conv2 = nn.Conv2d(12, 64, 5)
        self.lif2 = snn.Leaky(beta=0.5, spike_grad=grad)
        self.fc1 = nn.Linear(64 * 4 * 4, 10)
        self.lif3 = snn.Leaky(beta=0.5, spike_grad=grad)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mem1, mem2, mem3 = self.lif1.init_leaky(), self.lif2.init_leaky(), self.lif3.init_leaky()
        spikes, membranes = [], []
        for _ in range(_STEPS):
            spk1, mem1 = self.lif1(nn.functional.max_pool2d(self.conv1(x), 2), mem1)
            spk2, mem2 = self.lif2(nn.functional.max_pool2d(self.conv2(spk1), 2), mem2)
            spk3, mem3 = self.lif3(self.fc1(spk2.flatten(1)), mem3)
            spikes.append(spk3)
            membranes.append(mem3)
        return torch.stack(spikes), torch.stack(membranes)


def _sequential() -> nn.Module:
    """The network of snntorch's tutorial 6 as nn.Sequential, with hidden states kept inside."""
    grad = surrogate.fast_sigmoid(slope=25)
    return nn.Sequential(
        nn.Conv2d(1, 12, 5),
        nn.MaxPool2d(2),
        snn.Leaky(beta=0.5, spike_grad=grad, init_hidden=True),
        nn.Conv2d(12, 64, 5),
        nn.MaxPool2d(2),
        snn.Leaky(beta=0.5, spike_grad=grad, init_hidden=True),
        nn.Flatten(),
        nn.Linear(64 * 4 * 4, 10),
        snn.Leaky(beta=0.5, spike_grad=grad, init_hidden=True, output=True),
    )


def _events() -> nn.Module:
    """The network for event camera data of snntorch's tutorial 7, wide enough for 34 × 34."""
    grad = surrogate.atan()
    return nn.Sequential(
        nn.Conv2d(2, 12, 5),
        nn.MaxPool2d(2),
        snn.Leaky(beta=0.5, spike_grad=grad, init_hidden=True),
        nn.Conv2d(12, 32, 5),
        nn.MaxPool2d(2),
        snn.Leaky(beta=0.5, spike_grad=grad, init_hidden=True),
        nn.Flatten(),
        nn.Linear(32 * 5 * 5, 10),
        snn.Leaky(beta=0.5, spike_grad=grad, init_hidden=True, output=True),
    )


def _population() -> nn.Module:
    """Population coding: a Linear of 500 outputs behind spikes (snntorch's tutorial on population coding)."""
    grad = surrogate.fast_sigmoid()
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(784, 128),
        snn.Leaky(beta=0.9, spike_grad=grad, init_hidden=True),
        nn.Linear(128, 500),
        snn.Leaky(beta=0.9, spike_grad=grad, init_hidden=True, output=True),
    )


class Recurrent(nn.Module):
    """Convolutional spiking LSTMs (the example of snntorch's SConv2dLSTM)."""

    def __init__(self) -> None:
        super().__init__()
        grad = surrogate.atan()
        self.sclstm1 = snn.SConv2dLSTM(1, 8, kernel_size=3, max_pool=2, spike_grad=grad)
        self.sclstm2 = snn.SConv2dLSTM(8, 8, kernel_size=3, max_pool=2, spike_grad=grad)
        self.fc1 = nn.Linear(7 * 7 * 8, 10)
        self.lif1 = snn.Leaky(beta=0.9, spike_grad=grad)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        syn1, mem1 = self.sclstm1.init_sconv2dlstm()
        syn2, mem2 = self.sclstm2.init_sconv2dlstm()
        mem3 = self.lif1.init_leaky()
        spikes, membranes = [], []
        for _ in range(_STEPS):
            spk1, syn1, mem1 = self.sclstm1(x, syn1, mem1)
            spk2, syn2, mem2 = self.sclstm2(spk1, syn2, mem2)
            spk3, mem3 = self.lif1(self.fc1(spk2.flatten(1)), mem3)
            spikes.append(spk3)
            membranes.append(mem3)
        return torch.stack(spikes), torch.stack(membranes)


def _jelly(path: str, name: str) -> Any:
    return getattr(importlib.import_module(f"spikingjelly.activation_based.{path}"), name)


class ResetAndAveraged(nn.Module):
    """A spikingjelly network, reset before each call and shown the stimulus for some steps, as its own training loops do."""

    def __init__(self, network: nn.Module, steps: int = 4, *, several: bool) -> None:
        super().__init__()
        self.network = network
        self.steps = steps
        self.several = several

    def forward(self, x: Tensor) -> Tensor:
        _jelly("functional", "reset_net")(self.network)
        if self.several:
            return self.network(x.expand(self.steps, *x.shape)).mean(0)
        return torch.stack([self.network(x) for _ in range(self.steps)]).mean(0)


def _csnn() -> nn.Module:
    """spikingjelly's tutorial network for FashionMNIST, in several steps at once; it keeps its membranes between calls.

    The example's own file imports tensorboard, so the class is built here from the same layers.
    """
    layer, neuron = (importlib.import_module(f"spikingjelly.activation_based.{name}") for name in ("layer", "neuron"))
    network = nn.Sequential(
        layer.Conv2d(1, 16, 3, padding=1, bias=False),
        layer.BatchNorm2d(16),
        neuron.IFNode(),
        layer.MaxPool2d(2, 2),
        layer.Flatten(),
        layer.Linear(16 * 14 * 14, 10, bias=False),
        neuron.IFNode(),
    )
    _jelly("functional", "set_step_mode")(network, "m")
    return network


class RateCoded(nn.Module):
    """spikingjelly's example ``conv_fashion_mnist``: the picture at every step, spikes averaged over steps, no reset of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_fc = _csnn()

    def forward(self, x: Tensor) -> Tensor:
        return self.conv_fc(x.expand(4, *x.shape)).mean(0)


def _single_step() -> nn.Module:
    """spikingjelly's example ``lif_fc_mnist``."""
    layer, neuron = (importlib.import_module(f"spikingjelly.activation_based.{name}") for name in ("layer", "neuron"))
    return nn.Sequential(layer.Flatten(), layer.Linear(784, 10, bias=False), neuron.LIFNode(tau=2.0))


def _sew_resnet() -> nn.Module:
    neuron = importlib.import_module("spikingjelly.activation_based.neuron")
    network = _jelly("model.sew_resnet", "sew_resnet18")(pretrained=False, cnf="ADD", spiking_neuron=neuron.IFNode, num_classes=10)
    _jelly("functional", "set_step_mode")(network, "m")
    return network


def _entry(name: str, source: str, make: Callable[[], nn.Module], shape: tuple[int, ...], **further: Any) -> PublicNetwork:
    return PublicNetwork(f"{source} {name}", source, "spiking", make, shape, **further)


NETWORKS = [
    _entry("fully connected", "snntorch", FullyConnected, _DIGIT, steps=_STEPS),
    _entry("convolutional, own loop", "snntorch", Convolutional, _DIGIT, steps=_STEPS),
    _entry("convolutional, sequential", "snntorch", _sequential, _DIGIT, steps=_STEPS),
    _entry("events", "snntorch", _events, (2, 34, 34), steps=_STEPS),
    _entry("population coding", "snntorch", _population, _DIGIT, steps=_STEPS),
    _entry("convolutional LSTM", "snntorch", Recurrent, _DIGIT, steps=_STEPS),
    _entry("conv_fashion_mnist", "spikingjelly", RateCoded, _DIGIT),
    _entry("lif_fc_mnist", "spikingjelly", _single_step, _DIGIT),
    _entry(
        "lif_fc_mnist, reset",
        "spikingjelly",
        lambda: ResetAndAveraged(_single_step(), several=False),
        _DIGIT,
        around="a module that resets, repeats and averages",
    ),
    _entry(
        "sew_resnet18, reset",
        "spikingjelly",
        lambda: ResetAndAveraged(_sew_resnet(), several=True),
        (3, 64, 64),
        around="a module that resets, repeats and averages",
    ),
]
