"""Networks with a ``forward`` of their own that are not called as often as there are steps, or hide what they do."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import snntorch as snn
import torch
from spiking_graphs import SPEC, STEPS, Step, agrees, made, shown
from torch import Tensor, nn
from torch.nn import functional as F

from actmax.models.targets.spiking import SpikingTarget


def stepped(network: nn.Module, read: Callable[[nn.Module, Tensor], Tensor]) -> Tensor:
    network, x = copy.deepcopy(network), shown()
    with torch.no_grad():
        return torch.stack([read(network, x) for _ in range(STEPS)]).sum(0)


class Twice(Step):
    """One neuron behind two layers, of the same size or of another."""

    def __init__(self, features: int = 12) -> None:
        super().__init__()
        self.fc0 = nn.Linear(16, features)
        self.fc1 = nn.Linear(features, 12)

    def forward(self, x: Tensor) -> Tensor:
        return self.lif2(self.fc2(self.lif1(self.fc1(self.lif1(self.fc0(x.flatten(1)))))))


@pytest.mark.parametrize("features", [12, 9])
def test_a_neuron_that_is_called_twice_a_step(features: int) -> None:
    network = made(lambda: Twice(features))
    target = agrees(network, stepped(network, lambda net, x: net(x)))
    assert any("2 times a step" in notice for notice in target.notices)
    assert float(target.respond(shown(), ["lif1"])["lif1"].max()) <= STEPS
    two = SpikingTarget(network, SPEC, steps=2)
    short = copy.deepcopy(network)
    with torch.no_grad():
        assert torch.equal(two.respond(shown(), ["lif2"])["lif2"], short(shown()) + short(shown()))


def test_a_neuron_twice_in_a_sequential() -> None:
    def make() -> nn.Module:
        lif = snn.Leaky(beta=0.9, threshold=0.2, init_hidden=True)
        return nn.Sequential(
            nn.Flatten(), nn.Linear(16, 9), lif, nn.Linear(9, 9), lif, nn.Linear(9, 4), snn.Leaky(0.8, 0.1, init_hidden=True)
        )

    network = made(make)
    agrees(network, stepped(network, lambda net, x: net(x)), "6")


def test_layers_that_are_called_twice_a_step_with_other_shapes() -> None:
    class Shared(Step):
        def forward(self, x: Tensor) -> Tensor:
            rows = self.fc1(x.flatten(1)), self.fc1(x.flatten(1)[:, None].expand(-1, 3, -1))
            return self.lif2(self.fc2(self.lif1(rows[0] + rows[1].mean(1))))

    network = made(Shared)
    agrees(network, stepped(network, lambda net, x: net(x)))


class Recurrent(nn.Module):
    """Neurons that take all steps, in a module of one's own."""

    def __init__(self, kind: str, *, inside: bool = False) -> None:
        super().__init__()
        self.inside = inside
        self.fc1 = nn.Linear(16, 8)
        self.lif2: Any = {
            "LeakyParallel": lambda: snn.LeakyParallel(8, 8, beta=0.7, threshold=0.2),
            "StateLeaky": lambda: snn.StateLeaky(beta=0.7, channels=8, threshold=0.2),
            "LinearLeaky": lambda: snn.LinearLeaky(beta=0.7, in_features=8, out_features=5, threshold=0.2),
            "AssociativeLeaky": lambda: snn.AssociativeLeaky(8, 2, 3, 6, use_q_projection=False),
        }[kind]()

    def forward(self, x: Tensor) -> Tensor:
        x = x.unsqueeze(0).expand(STEPS, *x.shape) if self.inside else x
        spikes = self.lif2(self.fc1(3 * x.flatten(2)))
        return spikes[0] if isinstance(spikes, tuple) else spikes


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("kind", ["LeakyParallel", "StateLeaky", "LinearLeaky", "AssociativeLeaky"])
def test_neurons_that_take_all_steps(kind: str, inside: bool) -> None:
    network, x = made(lambda: Recurrent(kind, inside=inside)), shown()
    with torch.no_grad():
        spikes = copy.deepcopy(network)(x if inside else x.expand(STEPS, *x.shape))
    if kind == "AssociativeLeaky":
        spikes = spikes.clone()
        assert torch.equal(SpikingTarget(network, SPEC, steps=STEPS).respond(x, ["lif2"])["lif2"], spikes.sum(0))
    else:
        agrees(network, spikes.sum(0))


@pytest.mark.parametrize("chained", [True, False])
def test_membranes_of_neurons_that_return_spikes_alone(chained: bool) -> None:
    network, x = made(lambda: Recurrent("LeakyParallel")), shown()
    with torch.no_grad():
        membranes = network.lif2.rnn(network.fc1(3 * x.flatten(1)).expand(STEPS, -1, -1))[0].amax(0)
    if chained:
        given, name = nn.Sequential(nn.Flatten(), Tripled(), network.fc1, network.lif2), "3"
    else:
        given, name = network, "lif2"
    found = SpikingTarget(given, SPEC, steps=STEPS, readout="membrane").respond(x, [name])[name]
    torch.testing.assert_close(found, membranes)


class Tripled(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return 3 * x


def test_a_neuron_with_nothing_to_read_is_left_out_and_said() -> None:
    class Silent(snn.Leaky):
        def forward(self, input_: Tensor, mem: Tensor | None = None) -> Tensor:
            return (input_ > 0.5).to(input_.dtype)

    network = made(lambda: nn.Sequential(nn.Flatten(), nn.Linear(16, 4), Silent(beta=0.5), nn.Linear(4, 3), snn.Leaky(beta=0.5)))
    target = SpikingTarget(network, SPEC, steps=STEPS, readout="membrane")
    assert "2" not in [layer.name for layer in target.layers()]
    assert any(notice.startswith("2 (Silent)") for notice in target.notices)
    assert SpikingTarget(network, SPEC, steps=STEPS).respond(shown(), ["2"])["2"].max() <= STEPS


def test_rows_that_mix_are_shown_alone_and_said() -> None:
    class Centred(Step):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x - 0.5 * x.mean(0))

    network, x = made(Centred), shown()
    target = SpikingTarget(network, SPEC, steps=STEPS)
    assert any("alone" in notice for notice in target.notices)
    together = target.respond(x, ["lif2"])["lif2"]
    assert torch.equal(together, torch.cat([target.respond(one[None], ["lif2"])["lif2"] for one in x]))


def test_rows_that_mix_in_a_chain_are_shown_alone_and_said() -> None:
    class Shares(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x / x.sum(0, keepdim=True).clamp(min=1)

    network = made(lambda: nn.Sequential(nn.Flatten(), Shares(), nn.Linear(16, 4), snn.Leaky(beta=0.5, threshold=0.1)))
    target, x = SpikingTarget(network, SPEC, steps=STEPS), shown()
    assert any("alone" in notice for notice in target.notices)
    alone = torch.cat([target.respond(one[None], ["3"])["3"] for one in x])
    assert torch.equal(target.respond(x, ["3"])["3"], alone)


def test_batch_statistics_that_need_a_batch_are_refused() -> None:
    network = made(lambda: nn.Sequential(nn.Flatten(), nn.Linear(16, 4), nn.BatchNorm1d(4, track_running_stats=False), snn.Leaky(0.5, 0.1)))
    for part in network:
        if isinstance(part, snn.Leaky):
            part.init_hidden = True
    with pytest.raises(ValueError, match="does not take"):
        SpikingTarget(network, SPEC, steps=STEPS)


@pytest.mark.parametrize("chained", [True, False])
def test_noise_inside_is_said_and_differs_from_step_to_step(chained: bool) -> None:
    class Dropped(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return F.dropout(x, 0.5, training=True)

    class Noisy(Step):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(Dropped()(x))

    sequence = lambda: nn.Sequential(Dropped(), nn.Flatten(), nn.Linear(16, 40), snn.Leaky(beta=0.0, threshold=0.1, reset_mechanism="none"))  # noqa: E731
    target = SpikingTarget(made(sequence if chained else Noisy), SPEC, steps=STEPS)
    assert target.noisy
    assert any("noisy" in notice for notice in target.notices)
    layer = target.layers()[-1].name
    found = target.respond(shown(), [layer])[layer]
    if chained:
        assert ((found > 0) & (found < STEPS)).any(), "without memory, a unit that answers now and then has met another mask"
    assert not torch.equal(found, target.respond(shown(), [layer])[layer])


def test_what_answers_without_noise_says_so() -> None:
    assert not SpikingTarget(made(Step), SPEC, steps=STEPS).noisy
    assert SpikingTarget(made(Step), SPEC, steps=STEPS).notices == ()


def test_a_network_that_writes_into_its_input_and_its_layers() -> None:
    class Writing(Step):
        def forward(self, x: Tensor) -> Tensor:
            x.mul_(0.5)
            current = self.fc1(x.flatten(1))
            spikes = self.lif1(current.clone())
            current.zero_()
            return self.lif2(self.fc2(spikes))

    network, x = made(Writing), shown()
    target = SpikingTarget(network, SPEC, steps=STEPS)
    found = target.respond(x, ["fc1", "lif2"])
    assert torch.equal(x, shown())
    torch.testing.assert_close(found["fc1"], network.fc1(0.5 * x.flatten(1)).detach())
    assert torch.equal(found["lif2"], stepped(network, lambda net, x: net(x.clone())))


def test_layers_without_a_row_for_each_stimulus_are_no_layers() -> None:
    class Tokens(Step):
        def __init__(self) -> None:
            super().__init__()
            self.place = nn.Embedding(4, 4)
            self.mix = nn.Linear(4, 4)
            self.fc1 = nn.Linear(16, 12)

        def forward(self, x: Tensor) -> Tensor:
            tokens = x[:, 0] + self.place(torch.arange(4))
            mixed = self.mix(tokens.flatten(0, 1)).unflatten(0, (-1, 4))
            return super().forward(mixed)

    network = made(Tokens)
    target = agrees(network, stepped(network, lambda net, x: net(x)))
    assert [layer.name for layer in target.layers()] == ["fc1", "lif1", "fc2", "lif2"]


def test_a_single_neuron_is_a_network() -> None:
    x = shown()
    neuron = snn.Leaky(beta=0.5, threshold=0.6)
    target = SpikingTarget(neuron, SPEC, steps=STEPS)
    reference = copy.deepcopy(neuron)
    with torch.no_grad():
        assert torch.equal(target.respond(x, ["output"])["output"], torch.stack([reference(x)[0] for _ in range(STEPS)]).sum(0))


def test_a_failing_fast_path_is_said_once_and_answered_by_the_plain_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    network = made(lambda: nn.Sequential(nn.Flatten(), nn.Linear(16, 40), snn.Leaky(0.5, 0.1), nn.Linear(40, 40), snn.Leaky(0.5, 0.1)))
    target, plain = SpikingTarget(network, SPEC, steps=STEPS), SpikingTarget(network, SPEC, steps=STEPS, plain=True)

    def fails(*_: object) -> Tensor:
        raise RuntimeError("the table is lost")

    monkeypatch.setattr("actmax.models.targets.spiking.lookup.SpikeLinear.__call__", fails)
    for _ in range(2):
        found = target.respond(shown(), ["4"])["4"]
        assert torch.equal(found, plain.respond(shown(), ["4"])["4"])
    assert not target.layer_by_layer
    assert [notice for notice in target.notices if "failed" in notice] == [
        "the evaluation layer by layer failed in 3 (RuntimeError: the table is lost); the plain loop over steps answers since"
    ]


def test_a_network_that_fails_is_not_taken_for_a_failing_fast_path() -> None:
    network = made(lambda: nn.Sequential(nn.Flatten(), nn.Linear(16, 4), snn.Leaky(0.5, 0.1)))
    target = SpikingTarget(network, SPEC, steps=STEPS)
    network[1].weight = nn.Parameter(torch.zeros(4, 9))
    with pytest.raises(RuntimeError, match="shape"):
        target.respond(shown(), ["2"])
    assert target.layer_by_layer
    assert target.notices == ()
