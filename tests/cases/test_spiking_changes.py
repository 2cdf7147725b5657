"""Networks that change between two calls: the present ones answer, by the loop of the tutorials."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from snntorch import surrogate
from spiking_networks import agrees, exact, leaky, looped, shown
from torch import nn


def _learn(network: Any) -> None:
    with torch.no_grad():
        network[0].weight.add_(0.25)


def _load(network: Any) -> None:
    state = {name: value.clone() for name, value in network.state_dict().items()}
    state["0.weight"] = state["0.weight"] + 0.25
    network.load_state_dict(state)


def _data(network: Any) -> None:
    for _ in range(2):
        network[3].weight.data = network[3].weight.data + 0.125


def _in_place_data(network: Any) -> None:
    network[3].weight.data.add_(0.25)


def _replaced(network: Any) -> None:
    conv = nn.Conv2d(2, 32, 3)
    network[0] = conv
    exact(network, seed=7)


def _statistics(network: Any) -> None:
    network[1].running_mean.fill_(-0.25)


def _stride(network: Any) -> None:
    network[3].stride = (2, 2)


CHANGES: dict[str, Callable[[Any], object]] = {
    "in place": _learn,
    "load_state_dict": _load,
    "data twice": _data,
    "data in place": _in_place_data,
    "another module": _replaced,
    "statistics": _statistics,
    "decay": lambda network: network[2].beta.fill_(0.25),
    "threshold": lambda network: network[4].threshold.fill_(0.75),
    "threshold by data": lambda network: setattr(network[4].threshold, "data", torch.tensor(0.75)),
    "surrogate": lambda network: setattr(network[2], "spike_grad", surrogate.fast_sigmoid(5)),
    "reset": lambda network: setattr(network[2], "reset_mechanism", "zero"),
    "reset at once": lambda network: setattr(network[2], "reset_delay", False),
    "reset at once, another": lambda network: (setattr(network[2], "reset_delay", False), setattr(network[2], "reset_mechanism", "none")),
    "reset by load_state_dict": lambda network: network.load_state_dict(
        {**network.state_dict(), "2.reset_mechanism_val": torch.tensor(2), "4.reset_mechanism_val": torch.tensor(1)}
    ),
    "hidden": lambda network: setattr(network[2], "init_hidden", True),
    "graded": lambda network: network[2].graded_spikes_factor.fill_(0.5),
    "bias taken away": lambda network: setattr(network[3], "bias", None),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_changes_between_two_calls_counts_from_the_next(name: str) -> None:
    network = nn.Sequential(nn.Conv2d(2, 32, 3), nn.BatchNorm2d(32, eps=0), leaky(), nn.Conv2d(32, 33, 2), leaky(0.5))
    target = agrees(exact(network), (2, 6, 6))
    x = shown(2, 6, 6)
    CHANGES[name](network)
    for layer, count in looped(network, x).items():
        if name != "stride":
            assert torch.equal(target.respond(x, [layer])[layer], count), layer
            assert torch.equal(target.respond(x.clone().requires_grad_(), [layer])[layer].detach(), count), layer


def test_a_changed_stride_is_refused_and_not_answered_by_the_old_one() -> None:
    network = exact(nn.Sequential(nn.Conv2d(2, 32, 3), leaky(), nn.Conv2d(32, 33, 2), leaky()))
    target = agrees(network, (2, 6, 6))
    network.get_submodule("2").__dict__["stride"] = (2, 2)
    with pytest.raises(ValueError, match="was expected"):
        target.respond(shown(2, 6, 6), ["3"])
