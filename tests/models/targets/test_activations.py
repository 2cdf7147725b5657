"""What targets hand out besides responses: activations with their graph, and the module itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch
from spiking_graphs import SPEC, STEPS, Step, Two, made
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from actmax.models.spaces import StimulusSpec
from actmax.models.targets.function import FunctionTarget
from actmax.models.targets.module import ModuleTarget
from actmax.models.targets.noisy import NoisyTarget
from actmax.models.targets.spiking import SpikingTarget
from actmax.models.targets.target import HasActivations, HasModule, Target
from actmax.models.targets.testing import check_target, check_unchanged, state_of

IMAGE = StimulusSpec((2, 6, 6))


def seeded(make: Callable[[], nn.Module]) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return make()


class Recurrent(nn.Module):
    """Rows in the second dimension, and tuples within tuples."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(12, 5)
        self.fc = nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        found, (hidden, _) = self.lstm(x.flatten(2).transpose(1, 2).reshape(x.shape[0], 6, 12).transpose(0, 1))
        return self.fc(found[-1] + hidden[0])


class Pair(NamedTuple):
    left: Tensor
    right: Tensor


class Split(nn.Module):
    def forward(self, x: Tensor) -> Any:
        return {"pair": Pair(x * 2, x + 1), "list": [x.sin()]}


class Containers(nn.Module):
    """Answers of many kinds, which the network goes on with."""

    def __init__(self) -> None:
        super().__init__()
        self.split, self.fc = Split(), nn.Linear(72, 3)

    def forward(self, x: Tensor) -> Tensor:
        held = self.split(x.flatten(1))
        return self.fc(held["pair"].left * held["pair"].right + held["list"][0])


class Scalar(nn.Module):
    """One number a stimulus, without a dimension of its own, squared by what follows."""

    def __init__(self) -> None:
        super().__init__()
        self.mean, self.fc = nn.Flatten(), nn.Linear(1, 2)
        self.sum = _Sum()

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.sum(x)[:, None])


class _Sum(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        return (x * self.weight).flatten(1).sum(1)


class Attending(nn.Module):
    """Heads that are the input of a projection."""

    def __init__(self) -> None:
        super().__init__()
        self.attn, self.fc = _Attention(), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.attn(x.flatten(2)[:, :, :8]).mean(1))


class _Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.num_heads, self.qkv, self.proj = 2, nn.Linear(8, 24), nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).chunk(3, -1)
        return self.proj((q @ k.transpose(1, 2)).softmax(-1) @ v)


NETWORKS: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "in place": (lambda: nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(64, 3)), "0"),
    "nested": (lambda: nn.Sequential(nn.Sequential(nn.Conv2d(2, 4, 3), nn.Tanh()), nn.Flatten(), nn.Linear(64, 3)), "0"),
    "rows second": (Recurrent, "lstm"),
    "containers": (Containers, "split"),
    "one number": (Scalar, "sum"),
    "heads": (Attending, "attn.heads"),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_deeper_layers_are_computed_from_activations(name: str) -> None:
    make, read = NETWORKS[name]
    network = seeded(make)
    target, before = ModuleTarget(network, IMAGE, redirect=0), state_of(network)
    layers = [layer.name for layer in target.layers()]
    x = torch.rand(4, *IMAGE.shape, generator=torch.Generator().manual_seed(0)).requires_grad_()
    inner = [layer for layer in layers if layer.startswith(read)]
    assert inner
    with target.preserved():
        answers, found = target.respond(x, layers), target.activations(x, layers)
        (slope,) = torch.autograd.grad(answers["output"].square().sum(), x)
        for layer in layers:
            assert torch.equal(found[layer][0], answers[layer]), layer
            assert found[layer][0].requires_grad
        (same,) = torch.autograd.grad(found["output"][0].square().sum(), x, retain_graph=True)
        torch.testing.assert_close(same, slope)
        # what comes of the stimuli through the activations alone is all of it
        parts = [found[layer][0] for layer in inner]
        through = torch.autograd.grad(found["output"][0].square().sum(), parts, retain_graph=True, allow_unused=True)
        used = [(part, one) for part, one in zip(parts, through, strict=True) if one is not None]
        assert used, "the output is computed from the layer's activations"
        if len(parts) == 1:
            (rest,) = torch.autograd.grad(parts[0], x, used[0][1])
            torch.testing.assert_close(rest, slope)
    check_unchanged(network, before)
    check_target(target)


def test_heads_of_torchs_own_attention_lie_beside_the_network() -> None:
    class Encoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention, self.fc = nn.MultiheadAttention(8, 2, batch_first=True), nn.Linear(8, 2)

        def forward(self, x: Tensor) -> Tensor:
            tokens = x.flatten(2)[:, :, :8]
            return self.fc(self.attention(tokens, tokens, tokens)[0].mean(1))

    target = ModuleTarget(seeded(Encoder), IMAGE)
    x = torch.rand(2, *IMAGE.shape).requires_grad_()
    found = target.activations(x, ["attention.heads", "output"])
    heads, output = found["attention.heads"][0], found["output"][0]
    assert torch.autograd.grad(output.sum(), heads, retain_graph=True, allow_unused=True) == (None,)
    assert bool(torch.autograd.grad(heads.sum(), x)[0].any())


def test_a_graph_is_recorded_only_where_it_is_wanted() -> None:
    target = ModuleTarget(seeded(NETWORKS["in place"][0]), IMAGE)
    x = torch.rand(2, *IMAGE.shape)
    assert not target.activations(x, ["0"])["0"][0].requires_grad
    with torch.inference_mode():
        assert not target.activations(x.clone().requires_grad_(), ["0"])["0"][0].requires_grad
    assert target.activations(x[:0], ["0"])["0"][0].shape == (0, 4, 4, 4)


class Mixing(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(72, 3)

    def forward(self, x: Tensor) -> Tensor:
        found = self.fc(x.flatten(1))
        return found - found.mean(0)


class Padded(nn.Module):
    """It takes no single stimulus."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.out = nn.Linear(72, 3), nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        if len(x) == 1:
            raise ValueError("more than one value is expected")
        return self.out(self.fc(x.flatten(1)).tanh())


class Reentrant(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc, self.out = nn.Linear(72, 3), nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Any:
        return self.out(checkpoint(self.fc, x.flatten(1), use_reentrant=True))


def test_what_has_no_common_graph_is_refused() -> None:
    mixing = ModuleTarget(seeded(Mixing), IMAGE)
    assert mixing.activations(torch.rand(1, *IMAGE.shape), ["output"])["output"][0].shape == (1, 3)
    with pytest.raises(ValueError, match="show 1"):
        mixing.activations(torch.rand(2, *IMAGE.shape), ["output"])
    reentrant, x = ModuleTarget(seeded(Reentrant), IMAGE), torch.rand(2, *IMAGE.shape)
    assert torch.equal(reentrant.activations(x, ["output"])["output"][0], reentrant.respond(x, ["output"])["output"])
    with pytest.raises(ValueError, match="reentrant"):
        reentrant.activations(x.requires_grad_(), ["output"])


def test_a_padded_stimulus_stays_in_the_graph() -> None:
    target = ModuleTarget(seeded(Padded), IMAGE)
    x = torch.rand(1, *IMAGE.shape).requires_grad_()
    found = target.activations(x, ["fc", "output"])
    assert found["fc"][0].shape == (1, 3)
    (through,) = torch.autograd.grad(found["output"][0].sum(), found["fc"][0])
    assert bool(through.any())


class Overwriting(nn.Module):
    """What is behind a view is overwritten."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.view = nn.Linear(72, 3), nn.Flatten()

    def forward(self, x: Tensor) -> Tensor:
        found = self.fc(x.flatten(1))
        seen = self.view(found)
        found.add_(1)
        return seen + found


def test_overwritten_activations_are_not_handed_out() -> None:
    target = ModuleTarget(seeded(Overwriting), IMAGE)
    with pytest.raises(RuntimeError, match="writes into what view"):
        target.activations(torch.rand(2, *IMAGE.shape), ["view", "output"])


class TimeFirst(Two):
    def forward(self, x: Tensor) -> Tensor:
        mem1, mem2 = self.lif1.reset_mem(), self.lif2.reset_mem()
        currents, spikes = self.fc1(x.flatten(2)), []
        for current in currents:
            spk1, mem1 = self.lif1(current, mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            spikes.append(spk2)
        return torch.stack(spikes)


class BatchFirst(Two):
    """Weights see steps and stimuli as one dimension, stimuli first."""

    def forward(self, x: Tensor) -> Tensor:
        mem1, mem2 = self.lif1.reset_mem(), self.lif2.reset_mem()
        n, steps = x.shape[:2]
        currents, spikes = self.fc1(x.flatten(0, 1).flatten(1)).view(n, steps, -1), []
        for step in range(steps):
            spk1, mem1 = self.lif1(currents[:, step], mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            spikes.append(spk2)
        return torch.stack(spikes, 1)


class Loop(Two):
    """Weights are called once, before the loop."""

    def forward(self, x: Tensor) -> Tensor:
        mem1, mem2, current = self.lif1.reset_mem(), self.lif2.reset_mem(), self.fc1(x.flatten(1))
        spikes = []
        for _ in range(STEPS):
            spk1, mem1 = self.lif1(current, mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            spikes.append(spk2)
        return torch.stack(spikes)


def chain() -> nn.Module:
    two = Two()
    return nn.Sequential(nn.Flatten(), two.fc1, two.lif1, nn.ReLU(inplace=True), two.fc2, two.lif2)


def sequences() -> nn.Module:
    import snntorch as snn

    two = Two()
    return nn.Sequential(nn.Flatten(), two.fc1, snn.StateLeaky(beta=0.8, channels=12), two.fc2, two.lif2)


SPIKING: dict[str, tuple[Callable[[], nn.Module], str, str, str, str]] = {
    "chain": (chain, "direct", "1", "2", "5"),
    "coded chain": (chain, "rate", "1", "2", "5"),
    "sequences": (sequences, "latency", "1", "2", "4"),
    "step by step": (Step, "direct", "fc1", "lif1", "lif2"),
    "loop": (Loop, "direct", "fc1", "lif1", "lif2"),
    "time first": (TimeFirst, "rate", "fc1", "lif1", "lif2"),
    "batch first": (BatchFirst, "direct", "fc1", "lif1", "lif2"),
}


@pytest.mark.parametrize("readout", ["count", "membrane"])
@pytest.mark.parametrize("name", SPIKING)
def test_activations_of_spiking_networks_are_those_of_every_step(name: str, readout: Any) -> None:
    make, coding, weights, first, last = SPIKING[name]
    network = made(make)
    target, before = SpikingTarget(network, SPEC, steps=STEPS, readout=readout, coding=coding, plain=True), state_of(network)
    x = torch.rand(3, *SPEC.shape, generator=torch.Generator().manual_seed(1)).requires_grad_()
    with target.preserved():
        answers, found = target.respond(x, [weights, first, last]), target.activations(x, [weights, first, last])
        for layer, parts in found.items():
            assert len(parts) == (1 if (name, layer) == ("loop", "fc1") else STEPS)
            together = torch.stack(list(parts))
            read = together.mean(0) if layer == weights else together.amax(0) if readout == "membrane" else together.sum(0)
            torch.testing.assert_close(read, answers[layer])
        (slope,) = torch.autograd.grad(answers[last].sum(), x, retain_graph=True)
        end = torch.stack(list(found[last]))
        score = end.amax(0).sum() if readout == "membrane" else end.sum()
        (same,) = torch.autograd.grad(score, x, retain_graph=True)
        torch.testing.assert_close(same, slope)
        assert bool(slope.any())
        through = torch.autograd.grad(score, list(found[weights]), retain_graph=True, allow_unused=True)
        used = [(part, one) for part, one in zip(found[weights], through, strict=True) if one is not None]
        (rest,) = torch.autograd.grad([part for part, _ in used], x, [one for _, one in used], retain_graph=True)
        torch.testing.assert_close(rest, slope)
        if readout == "count":
            assert any(one is not None for one in torch.autograd.grad(score, list(found[first]), allow_unused=True))
    check_unchanged(network, before)
    check_target(target)


def test_a_module_and_its_preprocessing() -> None:
    network = seeded(NETWORKS["nested"][0]).double()
    target = ModuleTarget(network, IMAGE, prepare=lambda stimuli: (stimuli - 0.5) * 2)
    x = torch.rand(2, *IMAGE.shape)
    assert target.module is network
    assert target.steps is None
    torch.testing.assert_close(network.eval()(target.prepare(x)), target.respond(x, ["output"])["output"])
    spiking = SpikingTarget(made(Step), SPEC, steps=STEPS, coding="rate")
    shown = torch.rand(2, *SPEC.shape)
    assert spiking.steps == STEPS
    assert torch.equal(spiking.prepare(shown), spiking.coding(shown))


def test_a_noisy_target_shows_neither() -> None:
    inner = ModuleTarget(seeded(NETWORKS["nested"][0]), IMAGE)
    noisy = NoisyTarget(inner, "gaussian")
    function = FunctionTarget({"output": lambda images: images.reshape(len(images), -1).mean(1)}, IMAGE)
    targets: list[Target] = [inner, noisy, function]
    for capability in (HasActivations, HasModule):
        assert [isinstance(target, capability) for target in targets] == [True, False, False]
