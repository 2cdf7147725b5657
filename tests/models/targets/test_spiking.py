"""Spiking targets: layer by layer against the plain loop of snntorch, and what a target must not do to a network."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from itertools import product
from typing import TypeVar

import pytest
import snntorch as snn
import torch
from pydantic import ValidationError
from snntorch import surrogate
from torch import Tensor, nn

from actmax.models.codings.coding import Presentation, coding_of
from actmax.models.spaces import StimulusSpec
from actmax.models.targets.spiking import SpikingOptions, SpikingTarget
from actmax.models.targets.testing import check_target
from actmax.models.zoo.architectures.snn import spiking_cnn

IMAGE = StimulusSpec((3, 12, 12))
STEPS = 7
READOUTS = ("count", "rate", "latency", "membrane")
CODINGS = ("direct", "rate", "latency")

NEURONS: dict[str, Callable[[], nn.Module]] = {
    "Leaky": lambda: snn.Leaky(beta=0.8),
    "Leaky hidden": lambda: snn.Leaky(beta=0.8, init_hidden=True),
    "Leaky hidden output": lambda: snn.Leaky(beta=0.8, init_hidden=True, output=True),
    "Leaky zero": lambda: snn.Leaky(beta=0.9, reset_mechanism="zero", spike_grad=surrogate.fast_sigmoid(slope=5)),
    "Leaky at once": lambda: snn.Leaky(beta=0.9, reset_delay=False),
    "Leaky zero at once": lambda: snn.Leaky(beta=0.9, reset_mechanism="zero", reset_delay=False),
    "Leaky none": lambda: snn.Leaky(beta=0.5, reset_mechanism="none", spike_grad=surrogate.sigmoid(slope=5)),
    "Leaky graded": lambda: snn.Leaky(beta=0.8, graded_spikes_factor=0.7),
    "Leaky learned": lambda: snn.Leaky(beta=0.8, threshold=0.6, learn_beta=True, learn_threshold=True),
    "Synaptic": lambda: snn.Synaptic(alpha=0.5, beta=0.7),
    "Alpha": lambda: snn.Alpha(alpha=0.8, beta=0.6, threshold=0.2),
    "Lapicque": lambda: snn.Lapicque(beta=0.6, threshold=0.4),  # pyright: ignore[reportArgumentType]
    "RLeaky": lambda: snn.RLeaky(beta=0.7, all_to_all=False, V=0.3, init_hidden=True),
    "RSynaptic": lambda: snn.RSynaptic(alpha=0.4, beta=0.7, all_to_all=False, V=0.3),
    "DeltaLeaky": lambda: snn.DeltaLeaky(beta=0.8, delta_threshold=0.2),
}


def network(seed: int, neuron: Callable[[], nn.Module], *, double: bool = True) -> nn.Sequential:
    """A random sequential network: nested or not, with what often stands between spiking layers."""
    pick = random.Random(seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        a, b = pick.choice((4, 5)), pick.choice((6, 9)) if double else pick.choice((32, 40))
        pool = pick.choice((nn.AvgPool2d, nn.MaxPool2d))(2)
        norm = nn.BatchNorm2d(a) if pick.random() < 0.6 else nn.Identity()
        if isinstance(norm, nn.BatchNorm2d):
            norm.running_mean = torch.randn(a) * 0.1
            norm.running_var = torch.rand(a) + 0.5
        first = nn.Sequential(nn.Conv2d(3, a if double else 8 * a, 3, padding=pick.choice((0, 1)), bias=pick.random() < 0.5))
        if double:
            first.append(norm)
        first.extend([pool, neuron()])
        wide = a if double else 8 * a
        second = [
            nn.Conv2d(wide, b, 3, padding=1, stride=pick.choice((1, 2))),
            *pick.choice(([], [nn.AvgPool2d(2)], [nn.Dropout(0.5)])),
            neuron(),
        ]
        model = nn.Sequential(
            first, *(second if pick.random() < 0.5 else [nn.Sequential(*second)]), nn.Flatten(), nn.LazyLinear(5), neuron()
        )
        _shape(model)
        for parameter in model.parameters():
            if parameter.dim() > 1:
                nn.init.normal_(parameter, std=2.5 / parameter[0].numel() ** 0.5)
    return model.double() if double else model


def _shape(model: nn.Module) -> None:
    """Give lazy layers their sizes."""
    x = torch.zeros(1, *IMAGE.shape)
    for module in model.modules():
        if isinstance(module, nn.Sequential):
            continue
        if isinstance(module, snn.SpikingNeuron):
            continue
        if not any(True for _ in module.children()):
            x = module.eval()(x)
    model.train()


def stimuli(n: int = 4, seed: int = 0) -> Tensor:
    return torch.rand(n, *IMAGE.shape, generator=torch.Generator().manual_seed(seed))


def both(model: nn.Module, **options: object) -> tuple[SpikingTarget, SpikingTarget]:
    fast = SpikingTarget(model, IMAGE, steps=STEPS, **options)  # type: ignore[arg-type]
    plain = SpikingTarget(model, IMAGE, steps=STEPS, plain=True, **options)  # type: ignore[arg-type]
    assert fast.layer_by_layer
    assert not plain.layer_by_layer
    return fast, plain


def names(target: SpikingTarget) -> list[str]:
    return [layer.name for layer in target.layers()]


def answers(target: SpikingTarget, layers: list[str], *, grad: bool, n: int = 4) -> tuple[dict[str, Tensor], Tensor | None]:
    x = stimuli(n).requires_grad_(grad)
    found = dict(target.respond(x, layers))
    if not grad:
        return found, None
    weights = torch.Generator().manual_seed(1)
    sum((response * torch.randn(response.shape, generator=weights)).sum() for response in found.values()).backward()  # type: ignore[union-attr]
    return found, x.grad


def agree(model: nn.Module, *, share_of_spikes: bool = True, **options: object) -> None:
    fast, plain = both(model, **options)
    layers = names(fast)
    assert layers == names(plain)
    assert fast.layers() == plain.layers()
    expected, gradient = answers(plain, layers, grad=True)
    found, fast_gradient = answers(fast, layers, grad=True)
    with torch.inference_mode():
        inferred, _ = answers(fast, layers, grad=False)
    for name in layers:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(inferred[name], expected[name].detach(), rtol=1e-5, atol=1e-5)
    assert gradient is not None
    assert fast_gradient is not None
    assert gradient.abs().max() > 0
    torch.testing.assert_close(fast_gradient, gradient, rtol=1e-4, atol=1e-5 * float(gradient.abs().max()))
    for info in fast.layers():
        assert tuple(found[info.name].shape[1:]) == info.shape


@pytest.mark.parametrize("kind", NEURONS)
def test_every_neuron_equals_the_plain_loop(kind: str) -> None:
    for seed in range(3):
        agree(network(seed, NEURONS[kind]))


def test_recurrent_neurons_equal_the_plain_loop() -> None:
    parts: list[Callable[[], nn.Module]] = [
        lambda: snn.RLeaky(beta=0.7, conv2d_channels=3, kernel_size=3, threshold=0.5),
        lambda: snn.SConv2dLSTM(3, 3, 3, threshold=0.05),
        lambda: snn.Leaky(beta=0.6, inhibition=True),
    ]
    with pytest.warns(UserWarning):  # noqa: PT030  # the words are snntorch's
        agree(seeded(lambda: nn.Sequential(parts[0](), parts[1](), nn.Flatten(), nn.Linear(432, 9), parts[2]())), readout="membrane")
    agree(seeded(lambda: nn.Sequential(nn.Flatten(), nn.Linear(432, 9), snn.SLSTM(9, 9, threshold=0.05))), coding="rate")


@pytest.mark.parametrize(("coding", "readout"), list(product(CODINGS, READOUTS)))
def test_every_coding_and_readout_equals_the_plain_loop(coding: str, readout: str) -> None:
    agree(network(5, NEURONS["Leaky"]), coding=coding, readout=readout)
    agree(network(6, NEURONS["Synaptic"]), coding=coding, readout=readout)


@pytest.mark.parametrize("seed", range(6))
def test_single_precision_with_lookup_equals_the_plain_loop(seed: int) -> None:
    """Wide layers, so that tables are used. Rounding may move a spike; it may not move many."""
    model = network(seed, NEURONS["Leaky" if seed % 2 else "Synaptic"], double=False)
    fast, plain = both(model)
    layers = names(fast)
    for grad in (False, True):
        expected, found = answers(plain, layers, grad=grad)[0], answers(fast, layers, grad=grad)[0]
        for name in layers:
            off = (found[name] - expected[name]).abs() > 1e-3
            assert off.float().mean() < 1e-3, name


def test_zoo_network_equals_the_plain_loop() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = spiking_cnn((8, 12, 16)).double()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            module.weight.data.fill_(2.0)
            module.bias.data.fill_(0.3)
    spec = StimulusSpec((3, 32, 32))
    x = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0)).requires_grad_()
    fast, plain = SpikingTarget(model, spec, steps=20), SpikingTarget(model, spec, steps=20, plain=True)
    spiking = ["lif1", "lif2", "lif3", "lif_out"]
    assert [layer.name for layer in fast.layers() if layer.kind == "spike count"] == spiking
    found, expected = fast.respond(x, spiking), plain.respond(x, spiking)
    for name in spiking:
        assert torch.equal(found[name], expected[name])
        assert found[name].any()
    gradients = [torch.autograd.grad(responses["lif_out"].sum(), x)[0] for responses in (found, expected)]
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-4, atol=1e-5 * float(gradients[1].abs().max()))


def test_plain_loop_is_the_loop_of_the_tutorials() -> None:
    """Against a loop written out here with snntorch's own calls, membranes handed on by hand."""
    model = network(2, NEURONS["Leaky"]).eval()
    x = stimuli().double()
    leaves = [(name, module) for name, module in model.named_modules() if not isinstance(module, nn.Sequential) and name]
    membranes = {name: torch.zeros(1) for name, module in leaves if isinstance(module, snn.Leaky)}
    counts: dict[str, Tensor] = {}
    with torch.no_grad():
        for _ in range(STEPS):
            h = x
            for name, module in leaves:
                if isinstance(module, snn.Leaky):
                    h, membranes[name] = module(h.double(), membranes[name].expand_as(h))
                    counts[name] = counts.get(name, 0) + h
                else:
                    h = module(h.double())
    found = SpikingTarget(model, IMAGE, steps=STEPS, plain=True).respond(stimuli(), list(counts))
    for name, count in counts.items():
        assert torch.equal(found[name], count)


class Residual(nn.Module):
    """A graph that is not sequential, called once a step."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.lif1 = nn.Conv2d(3, 4, 3, padding=1), snn.Leaky(beta=0.8, init_hidden=True)
        self.conv2, self.lif2 = nn.Conv2d(4, 4, 3, padding=1), snn.Synaptic(alpha=0.5, beta=0.8, init_hidden=True)
        self.fc, self.lif_out = nn.Linear(4 * 144, 5), snn.Leaky(beta=0.8, init_hidden=True, output=True)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        a = self.lif1(self.conv1(3 * x))
        b = self.lif2(self.conv2(a)) + a
        return self.lif_out(self.fc(b.flatten(1)))


class Looping(nn.Module):
    """A network that loops over time itself, as in snntorch's tutorials."""

    def __init__(self, steps: int = STEPS) -> None:
        super().__init__()
        self.steps = steps
        self.fc1, self.lif1 = nn.Linear(3 * 144, 20), snn.Leaky(beta=0.8)
        self.fc2, self.lif2 = nn.Linear(20, 5), snn.Leaky(beta=0.8)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        membrane1, membrane2 = self.lif1.reset_mem(), self.lif2.reset_mem()
        spikes, membranes = [], []
        for _ in range(self.steps):
            spikes1, membrane1 = self.lif1(self.fc1(4 * x.flatten(1)), membrane1)
            spikes2, membrane2 = self.lif2(4 * self.fc2(spikes1), membrane2)
            spikes.append(spikes2)
            membranes.append(membrane2)
        return torch.stack(spikes), torch.stack(membranes)


M = TypeVar("M", bound=nn.Module)


def seeded(make: Callable[[], M]) -> M:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return make().eval()


def test_other_graphs_are_called_once_a_step() -> None:
    model = seeded(Residual)
    target = SpikingTarget(model, IMAGE, steps=STEPS)
    assert not target.layer_by_layer
    assert names(target) == ["conv1", "lif1", "conv2", "lif2", "fc", "lif_out"]
    with torch.no_grad():
        expected = torch.stack([model(stimuli())[0] for _ in range(STEPS)]).sum(0)
    found = target.respond(stimuli(), ["lif_out", "lif2", "conv1"])
    assert torch.equal(found["lif_out"], expected)
    assert torch.equal(target.respond(stimuli(), ["lif_out"])["lif_out"], expected), "from rest each time"
    assert found["lif2"].shape == (4, 4, 12, 12)
    assert found["lif2"].any()
    x = stimuli().requires_grad_()
    target.respond(x, ["lif_out"])["lif_out"].sum().backward()
    assert x.grad is not None
    assert x.grad.abs().max() > 0
    assert all(parameter.grad is None for parameter in model.parameters())


def test_networks_that_loop_by_themselves_are_called_once() -> None:
    model = seeded(Looping)
    target = SpikingTarget(model, IMAGE, steps=STEPS, readout="rate")
    with torch.no_grad():
        spikes, _ = model(stimuli())
    found = target.respond(stimuli(), ["lif2", "fc1"])
    torch.testing.assert_close(found["lif2"], spikes.mean(0))
    assert found["fc1"].shape == (4, 20)
    peak = SpikingTarget(model, IMAGE, steps=STEPS, readout="membrane").respond(stimuli(), ["lif2"])["lif2"]
    with torch.no_grad():
        torch.testing.assert_close(peak, model(stimuli())[1].amax(0))
    with pytest.raises(ValueError, match="steps=7"):
        SpikingTarget(model, IMAGE, steps=9)
    with pytest.raises(ValueError, match="direct"):
        SpikingTarget(model, IMAGE, steps=STEPS, coding="rate")


class Trace(nn.Module):
    """A layer with a state of its own, which nothing tells from outside but its doing."""

    def forward(self, x: Tensor) -> Tensor:
        self.held = x + 0.5 * getattr(self, "held", 0)
        return self.held


def test_a_state_outside_neurons_is_noticed() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(432, 6), snn.Leaky(beta=0.5), Trace(), nn.Linear(6, 3), snn.Leaky(beta=0.5))
    target = SpikingTarget(seeded(lambda: model), IMAGE, steps=STEPS)
    assert not target.layer_by_layer
    assert torch.equal(target.respond(stimuli(), ["5"])["5"], target.respond(stimuli(), ["5"])["5"])
    assert not hasattr(model[3], "held")


def test_neurons_that_take_whole_sequences() -> None:
    model = seeded(
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(432, 6), snn.StateLeaky(beta=0.8, channels=6), nn.Linear(6, 4), snn.Leaky(beta=0.8))
    )
    target = SpikingTarget(model, IMAGE, steps=STEPS, coding="rate")
    inputs = coding_of("rate", Presentation(IMAGE, STEPS))(stimuli())
    with torch.no_grad():
        spikes, _ = model[2](model[1](inputs.flatten(2)))
    torch.testing.assert_close(target.respond(stimuli(), ["2"])["2"], spikes.sum(0))
    plain = SpikingTarget(model, IMAGE, steps=STEPS, coding="rate", plain=True)
    torch.testing.assert_close(plain.respond(stimuli(), ["4"])["4"], target.respond(stimuli(), ["4"])["4"])


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("kind", ["Leaky", "Leaky hidden", "RLeaky", "DeltaLeaky"])
def test_the_network_is_left_as_it_was(kind: str, plain: bool) -> None:
    model = network(1, NEURONS[kind])
    model.train()
    model[-2].eval()
    next(model.parameters()).requires_grad_(False)
    for module in model.modules():  # a state that somebody else is in the middle of
        if isinstance(module, snn.SpikingNeuron):
            module.mem = torch.ones(2, 3)
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    flags = [module.training for module in model.modules()]
    attributes = [{name: id(value) for name, value in (*module.__dict__.items(), *module._buffers.items())} for module in model.modules()]
    wanted = [parameter.requires_grad for parameter in model.parameters()]
    before = torch.random.get_rng_state()

    target = SpikingTarget(model, IMAGE, steps=STEPS, plain=plain)
    x = stimuli().requires_grad_()
    sum(response.sum() for response in target.respond(x, names(target)).values()).backward()  # type: ignore[union-attr]
    with torch.inference_mode():
        target.respond(stimuli(), names(target))
    with pytest.raises(ValueError, match="shape"):
        target.respond(stimuli()[:, :2], ["0.0"])

    assert [module.training for module in model.modules()] == flags
    assert [parameter.requires_grad for parameter in model.parameters()] == wanted
    assert all(parameter.grad is None for parameter in model.parameters())
    after = [{name: id(value) for name, value in (*module.__dict__.items(), *module._buffers.items())} for module in model.modules()]
    assert after == attributes
    assert not any(module._forward_hooks for module in model.modules())
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, state[name])
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_failing_network_is_left_as_it_was() -> None:
    model = seeded(Residual)
    target = SpikingTarget(model, IMAGE, steps=STEPS)
    model.fc = nn.Linear(7, 5)
    model.train()
    with pytest.raises(ValueError, match="does not take"):
        target.respond(stimuli(), ["lif_out"])
    assert all(module.training for module in model.modules())
    assert not any(module._forward_hooks for module in model.modules())
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert model.lif1.mem.numel() == 0


def test_changed_weights_count_from_the_next_call() -> None:
    model = network(3, NEURONS["Leaky"], double=False)
    target = SpikingTarget(model, IMAGE, steps=STEPS)
    last = names(target)[-1]
    with torch.inference_mode():
        target.respond(stimuli(), [last])
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.5)
    changed = target.respond(stimuli(), names(target))
    fresh = SpikingTarget(copy.deepcopy(model), IMAGE, steps=STEPS).respond(stimuli(), names(target))
    for name in changed:
        assert torch.equal(changed[name], fresh[name])


def test_only_as_deep_as_asked() -> None:
    model = network(1, NEURONS["Leaky"])
    target = SpikingTarget(model, IMAGE, steps=STEPS)
    reached: list[str] = []
    handle = model[-2].register_forward_hook(lambda *_: reached.append("linear"))
    first = next(layer.name for layer in target.layers() if layer.kind == "spike count")
    target.respond(stimuli(), [first])
    assert not reached
    target.respond(stimuli(), [names(target)[-1]])
    assert reached
    handle.remove()


def test_batches_do_not_matter() -> None:
    model = network(4, NEURONS["Leaky"])
    for coding in CODINGS:
        target = SpikingTarget(model, IMAGE, steps=STEPS, coding=coding)  # type: ignore[arg-type]
        last = names(target)[-1]
        together = target.respond(stimuli(5), [last])[last]
        apart = torch.cat([target.respond(one.unsqueeze(0), [last])[last] for one in stimuli(5)])
        torch.testing.assert_close(together, apart)
        assert target.respond(stimuli(5)[:0], [last])[last].shape == (0, 5)


def test_chunks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    model = network(4, NEURONS["Leaky"])
    whole = SpikingTarget(model, IMAGE, steps=STEPS).respond(stimuli(5), ["0.0"])
    monkeypatch.setattr("actmax.models.targets.spiking.layerwise._CACHED", 1)
    torch.testing.assert_close(SpikingTarget(model, IMAGE, steps=STEPS).respond(stimuli(5), ["0.0"]), whole)


def test_latency_readout_prefers_early_spikes() -> None:
    model = nn.Sequential(nn.Flatten(), snn.Leaky(beta=1.0, reset_mechanism="none"))
    spec = StimulusSpec((1, 1, 4))
    target = SpikingTarget(model, spec, steps=4, readout="latency")
    x = torch.tensor([1.5, 0.6, 0.26, 0.1]).view(1, 1, 1, 4).requires_grad_()
    found = target.respond(x, ["1"])["1"]
    torch.testing.assert_close(found, torch.tensor([[1.0, 0.75, 0.25, 0.0]]))
    found.sum().backward()
    assert x.grad is not None
    assert (x.grad > 0).sum() >= 3, "more current means an earlier spike"
    with torch.inference_mode():
        torch.testing.assert_close(target.respond(x, ["1"])["1"], torch.tensor([[1.0, 0.75, 0.25, 0.0]]))


def test_wrong_names_get_near_ones() -> None:
    target = SpikingTarget(spiking_cnn((8, 8, 8)), StimulusSpec((3, 32, 32)), steps=2)
    with pytest.raises(KeyError, match="lif_out"):
        target.respond(torch.rand(1, 3, 32, 32), ["lif_ut"])
    with pytest.raises(ValueError, match="lif1"):
        SpikingTarget(spiking_cnn((8, 8, 8)), StimulusSpec((3, 32, 32)), steps=2, layers=["lif"])
    chosen = SpikingTarget(spiking_cnn((8, 8, 8)), StimulusSpec((3, 32, 32)), steps=2, layers=["lif_out", "lif1"])
    assert names(chosen) == ["lif1", "lif_out"]
    with pytest.raises(KeyError):
        chosen.respond(torch.rand(1, 3, 32, 32), ["lif2"])


def test_what_cannot_be_a_spiking_target_is_refused() -> None:
    with pytest.raises(ValueError, match="no snntorch neuron"):
        SpikingTarget(nn.Sequential(nn.Conv2d(3, 4, 3)), IMAGE, steps=3)
    with pytest.raises(ValueError, match="does not take"):
        SpikingTarget(spiking_cnn((8, 8, 8)), IMAGE, steps=3)
    with pytest.raises(ValueError, match="steps"):
        SpikingTarget(spiking_cnn((8, 8, 8)), StimulusSpec((3, 32, 32)), steps=0)
    for wrong in ({"readout": "spikes"}, {"coding": "phase"}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            SpikingTarget(spiking_cnn((8, 8, 8)), StimulusSpec((3, 32, 32)), steps=3, **wrong)  # type: ignore[arg-type]
        with pytest.raises(ValidationError):
            SpikingOptions.model_validate(wrong)


def test_it_is_a_target() -> None:
    target = SpikingTarget(spiking_cnn((8, 8, 8)), StimulusSpec((3, 32, 32)), steps=2)
    for plain, coding in product((False, True), CODINGS):
        check_target(SpikingTarget(network(2, NEURONS["Leaky"]), IMAGE, steps=STEPS, plain=plain, coding=coding))  # type: ignore[arg-type]
    check_target(SpikingTarget(seeded(Residual), IMAGE, steps=STEPS))
    assert target.differentiable
    assert target.to("cpu") is target
    assert not SpikingTarget(nn.Sequential(nn.Flatten(), snn.Leaky(beta=0.5, surrogate_disable=True)), IMAGE, steps=2).differentiable
