import random
import threading
from collections import deque
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from network_digest import left_as_it_was
from torch import nn
from torch.nn import functional as F

from actmax.models.networks.preserve_state import Habits, preserve_state

IMAGES = torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(5))


class Restless(nn.Module):
    """Changes in every way that comes to mind, in evaluation mode too."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
        self.outside = [nn.BatchNorm2d(4)]
        self.cache: dict[object, object] = {"count": (0,)}
        self.history, self.inner, self.names, self.recent = [1], [[2]], {"a"}, deque([1], 3)
        self.filled: dict[str, object] = {}
        self.table = np.zeros(5)
        self.hidden = torch.zeros(4)
        self.pair = (torch.zeros(2), {"deep": 0})
        self.note = SimpleNamespace(calls=0, last=None, kept=[1])
        self.own = torch.Generator().manual_seed(3)
        self.register_buffer("calls", torch.zeros(()))
        self.late = None

    def train(self, mode=True):
        raise RuntimeError("not here")

    def forward(self, x):
        assert not any(part.training for part in (self, self.conv, self.norm, self.outside[0]))
        self.cache["count"] = (1,)
        self.cache[len(self.cache)] = x
        self.history.append(x)
        self.inner[0].append(3)
        self.names.add("b")
        self.recent.append(2)
        self.filled["x"] = 1
        self.table += 1
        self.hidden += 1
        self.pair[0].add_(1)
        self.pair[1]["deep"] += 1
        self.note.calls += 1
        self.note.last = x
        self.note.kept.append(2)
        self.calls += 1
        self.late = self.calls
        self.extra = nn.Linear(2, 2)
        self.conv.weight.data.mul_(1.5)
        self.conv.register_forward_hook(lambda *_: None)
        bias = self.conv.get_parameter("bias")
        bias.requires_grad_(True)
        bias.grad = torch.ones(4)
        self.norm.training = True
        x = x + torch.rand(1) + random.random() + float(np.random.rand()) + torch.rand(1, generator=self.own)  # noqa: NPY002
        torch.set_grad_enabled(False)
        torch.set_default_dtype(torch.float64)
        torch.set_autocast_enabled("cpu", True)
        y = self.outside[0](self.norm(self.conv(x)))
        return y.mean((2, 3)) + self.hidden


def asked(network, habits, thorough):
    with preserve_state(network, habits, thorough=thorough):
        network(IMAGES)


def test_a_network_that_changes_all_it_can_is_left_as_it_was():
    network, habits = Restless(), Habits()
    network.conv.weight.grad = torch.ones(4, 3, 3, 3)
    network.norm.__dict__["training"] = False
    with left_as_it_was(network):
        asked(network, habits, True)
    for _ in range(3):
        with left_as_it_was(network):
            asked(network, habits, False)
    assert habits.sources == {"torch", "numpy", "python"}
    assert not habits.unrestored
    assert any("hidden" in name for name in habits.attributes)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_so_is_one_that_raises(error):
    class Raising(Restless):
        def forward(self, x):
            super().forward(x)
            raise error("now")

    network, habits = Raising(), Habits()
    for thorough in (True, False, False):
        with left_as_it_was(network), pytest.raises(error, match="now"):
            asked(network, habits, thorough)


def test_a_second_interruption_while_all_is_put_back_does_not_stop_it(monkeypatch):
    network, habits = Restless(), Habits()
    asked(network, habits, True)
    put_back, calls = torch.set_default_dtype, []

    def interrupted(value):
        calls.append(value)
        if calls.count(torch.float32) == 1 and value == torch.float32:
            raise KeyboardInterrupt
        put_back(value)

    with left_as_it_was(network):
        monkeypatch.setattr("actmax.models.networks.random_state._SETTINGS", ((torch.get_default_dtype, interrupted),))
        grad = torch.is_grad_enabled()
        with pytest.raises(KeyboardInterrupt):
            asked(network, habits, False)
        torch.set_grad_enabled(grad)
        torch.set_autocast_enabled("cpu", False)


def test_what_a_network_is_first_seen_to_write_into_later_is_named():
    class Later(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("seen", torch.zeros(3))

        def forward(self, x):
            if len(x) > 2:
                self.seen += 1
            return x

    network, habits = Later(), Habits()
    with preserve_state(network, habits, thorough=True):
        network(IMAGES[:2])
    asked(network, habits, False)
    assert any("seen" in name for name in habits.unrestored)
    with left_as_it_was(network):
        asked(network, habits, False)


def test_gradients_are_right_though_a_buffer_is_written_into():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("scale", torch.ones(3, 1, 1))

        def forward(self, x):
            self.scale *= 2
            return (x * self.scale).exp().sum((1, 2, 3))

    network, habits = Scaled(), Habits()
    with preserve_state(network, habits, thorough=True):
        network(IMAGES)
    leaf = IMAGES.clone().requires_grad_()
    with left_as_it_was(network), preserve_state(network, habits):
        with preserve_state(network, habits):
            answer = network(leaf)
        (slope,) = torch.autograd.grad(answer.sum(), leaf)
    assert torch.allclose(slope, 2 * (2 * IMAGES).exp())


def test_checkpointed_parts_are_run_again_in_evaluation_mode():
    from torch.utils.checkpoint import checkpoint

    class Checkpointed(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))

        def forward(self, x):
            return checkpoint(self.body, x, use_reentrant=False)

    network, leaf = Checkpointed().train(), IMAGES.clone().requires_grad_()
    with left_as_it_was(network), preserve_state(network):
        torch.autograd.grad(network(leaf).sum(), leaf)


def test_batch_statistics_that_are_written_by_hand():
    class ByHand(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm2d(3)

        def forward(self, x):
            return F.batch_norm(x, self.norm.running_mean, self.norm.running_var, training=True)

    network, habits = ByHand(), Habits()
    for thorough in (True, False, False):
        with left_as_it_was(network):
            asked(network, habits, thorough)


@pytest.mark.parametrize("shared", ["network", "part", "parameter"])
def test_threads_take_turns(shared):
    """Each sees evaluation mode throughout, and the flags are the user's in the end."""
    seen = []

    class Watchful(nn.Module):
        def __init__(self, part):
            super().__init__()
            self.part = part

        def forward(self, x):
            for _ in range(3):
                x = self.part(x)
                seen.append((self.training, self.part.training, self.part.weight.requires_grad))
            return x

    part = nn.Conv2d(3, 3, 1)
    one, other = Watchful(part).train(), Watchful(part).train()
    if shared == "network":
        other = one
    if shared == "parameter":
        other.part = nn.Conv2d(3, 3, 1)
        other.part.weight = part.weight
    habits = {id(one): Habits(), id(other): Habits()}
    errors = []

    def work(network):
        try:
            for _ in range(60):
                with preserve_state(network, habits[id(network)]), torch.no_grad():
                    network(IMAGES)
        except BaseException as error:
            errors.append(error)

    with left_as_it_was(one, other):
        threads = [threading.Thread(target=work, args=(network,)) for network in (one, other, one)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not errors
    assert set(seen) == {(False, False, False)}


def test_two_threads_that_would_wait_for_each_other_are_told():
    one, other = nn.Linear(2, 2), nn.Linear(2, 2)
    both, told = threading.Barrier(2), []

    def work(first, second):
        try:
            with preserve_state(first):
                both.wait(10)
                with preserve_state(second):
                    pass
        except RuntimeError as error:
            told.append(str(error))

    threads = [threading.Thread(target=work, args=pair) for pair in ((one, other), (other, one))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(told) == 1
    assert "opposite order" in told[0]
    assert one.training
    assert other.training


def test_parameters_made_in_inference_mode():
    with torch.inference_mode():
        linear = nn.Linear(192, 2)
        network = nn.Sequential(nn.Flatten(), linear)
    leaf = IMAGES.clone().requires_grad_()
    with left_as_it_was(network), preserve_state(network):
        (slope,) = torch.autograd.grad(network(leaf)[:, 0].sum(), leaf)
    assert torch.equal(slope[1].flatten(), linear.weight[0])
