"""Chains of layers as users write them, against the loop of the tutorials with snntorch's own calls.

Weights and inputs are small multiples of powers of two and decays are powers of two, so that every sum is exact in any order and
spikes have to agree bit for bit.
"""

from __future__ import annotations

from typing import Any

import pytest
import snntorch as snn
import torch
from spiking_networks import CHAINS, STEPS, Skipped, agrees, exact, leaky, looped, shown, spec
from torch import Tensor, nn

from actmax.models.targets.spiking import SpikingTarget


@pytest.mark.parametrize("name", CHAINS)
def test_a_chain_answers_as_the_loop(name: str) -> None:
    make, shape = CHAINS[name]
    agrees(exact(make()), shape)


@pytest.mark.parametrize(("steps", "n"), [(1, 1), (2, 2), (3, 3), (1, 3), (5, 1)])
def test_any_number_of_steps_and_stimuli(steps: int, n: int) -> None:
    network = exact(nn.Sequential(nn.Conv2d(1, 32, 2), leaky(0.125), nn.Flatten(), nn.Linear(128, 33), leaky()))
    agrees(network, (1, 3, 3), steps=steps, n=n)


def test_a_forward_of_the_instance_and_of_the_class_run() -> None:
    network = exact(nn.Sequential(nn.Linear(8, 20), leaky(), nn.Dropout(0.5), nn.Linear(20, 33), leaky()))
    network[2].forward = lambda input: 1 - input
    agrees(network, (8,))


def test_a_class_that_was_patched_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nn.Identity, "forward", lambda self, x: 1 - x)
    agrees(exact(nn.Sequential(nn.Linear(8, 20), leaky(), nn.Identity(), nn.Linear(20, 33), leaky())), (8,))


@pytest.mark.parametrize("place", [0, 1, 2, 3, 5])
def test_hooks_run_once_a_step(place: int) -> None:
    network = exact(
        nn.Sequential(nn.Linear(8, 16), leaky(), nn.Dropout(), nn.Linear(16, 40), leaky(), nn.Flatten(), nn.Linear(40, 3), leaky())
    )

    def halve(_module: nn.Module, _inputs: object, output: Any) -> Any:
        return (output[0] * 0.5, output[1]) if isinstance(output, tuple) else output * 0.5

    network[place].register_forward_hook(halve)
    agrees(network, (8,))


def test_stimuli_of_any_layout_and_kind() -> None:
    network = exact(nn.Sequential(nn.Conv2d(4, 32, 3), leaky(), nn.Flatten(), nn.Linear(512, 32), leaky()))
    x = shown(4, 6, 6)
    target, expected = SpikingTarget(network, spec(4, 6, 6), steps=STEPS), looped(network, x)["4"]
    with torch.inference_mode():
        inferred = x.clone()
    for kind in (
        x.contiguous(memory_format=torch.channels_last),
        x.flip(0).flip(0),
        x.transpose(2, 3).contiguous().transpose(2, 3),
        torch.cat([x, x], 1)[:, :4],
        x.double(),
        x.clone().requires_grad_(),
        inferred,
    ):
        assert torch.equal(target.respond(kind, ["4"])["4"].detach(), expected)
    one = x[:1].expand(5, -1, -1, -1)
    assert torch.equal(target.respond(one, ["4"])["4"], expected[:1].expand(5, -1))
    assert torch.equal(x, shown(4, 6, 6)), "the caller's stimuli stay as they are"


@pytest.mark.parametrize("plain", [False, True])
def test_modules_that_write_in_place_reach_neither_stimuli_nor_recorded_layers(plain: bool) -> None:
    network = exact(
        nn.Sequential(nn.ReLU(inplace=True), nn.Linear(8, 16), nn.ReLU(inplace=True), leaky(), Skipped(), nn.Linear(16, 4), leaky())
    )
    x = shown(1, 8) - 0.5
    target = SpikingTarget(network, spec(1, 8, low=-1.0), steps=STEPS, plain=plain)
    given = x.clone()
    found = target.respond(given, ["1", "3"])
    assert torch.equal(given, x)
    assert torch.equal(found["1"], network.get_submodule("1")(x.relu()).detach())
    assert found["1"].min() < 0
    assert torch.equal(found["3"], looped(network, x)["3"])


class Counting(nn.Module):
    """A normalisation for each time step, as snntorch's BatchNormTT1d is used."""

    def __init__(self, features: int, steps: int) -> None:
        super().__init__()
        self.norms: Any = snn.BatchNormTT1d(features, steps, eps=0)
        for step, norm in enumerate(self.norms):
            norm.weight.data.fill_(2.0 ** (step % 3 - 1))
        self.step = 0

    def forward(self, x: Tensor) -> Tensor:
        found = self.norms[self.step](x)
        self.step += 1
        return found


def test_a_counter_of_steps_counts() -> None:
    network = nn.Sequential(exact(nn.Linear(8, 16)), Counting(16, STEPS), leaky(), exact(nn.Linear(16, 4)), leaky())
    target = agrees(network.eval(), (8,), fast=False)
    assert any("state" in notice for notice in target.notices)
    assert target.module.get_submodule("2").step == 0


def test_a_counter_of_steps_beside_a_neuron_that_takes_all_steps() -> None:
    torch.manual_seed(0)
    network: Any = nn.Sequential(
        nn.Flatten(), exact(nn.Linear(8, 6)), Counting(6, STEPS), snn.LeakyParallel(6, 5, beta=0.5), exact(nn.Linear(5, 3)), leaky()
    )
    network.eval()
    x = shown(1, 8)
    with torch.no_grad():
        each = torch.stack([network[2].norms[step](network[1](x.flatten(1))) for step in range(STEPS)])
        spikes = network[3](each)
        membranes = network[3].rnn(each)[0]
    target = SpikingTarget(network, spec(1, 8), steps=STEPS)
    assert torch.equal(target.respond(x, ["3"])["3"], spikes.sum(0))
    peak = SpikingTarget(network, spec(1, 8), steps=STEPS, readout="membrane").respond(x, ["3"])["3"]
    torch.testing.assert_close(peak, membranes.amax(0))
    assert not torch.equal(peak, spikes.amax(0))
