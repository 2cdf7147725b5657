"""Networks that loop over time by themselves, in every order of dimensions, against a plain call of the network."""

from __future__ import annotations

import copy

import pytest
import torch
from snntorch import spikegen, utils
from spiking_graphs import SPEC, STEPS, Step, Two, agrees, made, shown
from torch import Tensor, nn

from actmax.models.targets.spiking import SpikingTarget


class Loop(Two):
    """Tutorial 5: the same input at every step."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mem1, mem2 = self.lif1.reset_mem(), self.lif2.reset_mem()
        spikes, membranes = [], []
        for _ in range(STEPS):
            spk1, mem1 = self.lif1(self.fc1(x.flatten(1)), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            spikes.append(spk2)
            membranes.append(mem2)
        return torch.stack(spikes), torch.stack(membranes)


class TimeFirst(Two):
    def forward(self, x: Tensor) -> Tensor:
        mem1, mem2 = self.lif1.reset_mem(), self.lif2.reset_mem()
        spikes = []
        for step in range(x.size(0)):
            spk1, mem1 = self.lif1(self.fc1(x[step].flatten(1)), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            spikes.append(spk2)
        return torch.stack(spikes)


class TimeFirstTogether(Two):
    """The weights see all steps at once."""

    def forward(self, x: Tensor) -> Tensor:
        mem1, mem2 = self.lif1.reset_mem(), self.lif2.reset_mem()
        currents = self.fc1(x.flatten(2))
        spikes = []
        for current in currents:
            spk1, mem1 = self.lif1(current, mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            spikes.append(spk2)
        return torch.stack(spikes)


class TimeFirstFolded(Two):
    """The weights see steps and stimuli as one dimension."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        steps, n = x.shape[:2]
        currents = self.conv(x.flatten(0, 1)).view(steps, n, -1)
        mem1, mem2 = self.lif1.reset_mem(), self.lif2.reset_mem()
        spikes = []
        for step in range(steps):
            spk1, mem1 = self.lif1(self.fc1(currents[step]), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            spikes.append(spk2)
        return torch.stack(spikes)


class TimeFirstFixed(TimeFirst):
    """So many steps, whatever is shown."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(torch.stack([x[step] for step in range(STEPS)]))


class TimeFirstHidden(Two):
    """States kept inside and cleared at the start."""

    hidden = True

    def forward(self, x: Tensor) -> Tensor:
        utils.reset(self)
        return torch.stack([self.lif2(self.fc2(self.lif1(self.fc1(step.flatten(1))))) for step in x])


class BatchFirst(Two):
    def forward(self, x: Tensor) -> Tensor:
        mem1, mem2 = self.lif1.reset_mem(), self.lif2.reset_mem()
        spikes = []
        for step in range(x.shape[1]):
            spk1, mem1 = self.lif1(self.fc1(x[:, step].flatten(1)), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            spikes.append(spk2)
        return torch.stack(spikes, 1)


class LoopHidden(Step):
    """A loop that nobody clears."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([super(LoopHidden, self).forward(x) for _ in range(STEPS)])


LOOPS: dict[str, tuple[type[Two], str]] = {
    "constant": (Loop, "n"),
    "hidden states": (LoopHidden, "n"),
    "time first": (TimeFirst, "tn"),
    "time first, weights together": (TimeFirstTogether, "tn"),
    "time first, folded": (TimeFirstFolded, "tn"),
    "time first, fixed": (TimeFirstFixed, "tn"),
    "time first, hidden states": (TimeFirstHidden, "tn"),
    "batch first": (BatchFirst, "nt"),
}


@pytest.mark.parametrize("name", LOOPS)
def test_loops_over_time(name: str) -> None:
    kind, order = LOOPS[name]
    network, x = made(kind), shown()
    given = {"n": x, "tn": x.expand(STEPS, *x.shape), "nt": x.unsqueeze(1).expand(-1, STEPS, -1, -1, -1)}[order]
    with torch.no_grad():
        spikes = copy.deepcopy(network)(given)
    spikes = spikes[0] if isinstance(spikes, tuple) else spikes
    agrees(network, spikes.sum(1 if order == "nt" else 0))


@pytest.mark.parametrize("steps", [1, 2, 3, 5])
@pytest.mark.parametrize("kind", [TimeFirst, BatchFirst, TimeFirstHidden])
def test_loops_of_any_length(kind: type[Two], steps: int) -> None:
    network, x = made(kind), shown()
    time = 1 if kind is BatchFirst else 0
    with torch.no_grad():
        spikes = copy.deepcopy(network)(x.unsqueeze(time).expand(*(-1,) * time, steps, *x.shape[time:]))
    found = SpikingTarget(network, SPEC, steps=steps).respond(x, ["lif2"])["lif2"]
    assert torch.equal(found, spikes.sum(time))


def test_time_first_takes_coded_stimuli() -> None:
    network, x = made(TimeFirst), shown()
    target = SpikingTarget(network, SPEC, steps=STEPS, coding="latency")
    coded = spikegen.latency(x, num_steps=STEPS, normalize=True, linear=True)  # pyright: ignore[reportArgumentType]
    with torch.no_grad():
        assert torch.equal(target.respond(x, ["lif2"])["lif2"], copy.deepcopy(network)(coded).sum(0))


@pytest.mark.parametrize(("kind", "steps", "what"), [(Loop, 4, "steps=6"), (TimeFirstFixed, 9, "steps=6"), (TimeFirstFixed, 3, "out of")])
def test_a_loop_of_another_length_is_refused(kind: type[Two], steps: int, what: str) -> None:
    with pytest.raises(ValueError, match=what):
        SpikingTarget(made(kind), SPEC, steps=steps)


def test_a_network_that_starts_from_rest_at_every_call_is_refused() -> None:
    class Once(Two):
        def forward(self, x: Tensor) -> Tensor:
            spk, _ = self.lif1(self.fc1(x.flatten(1)), self.lif1.reset_mem())
            return self.lif2(self.fc2(spk), self.lif2.reset_mem())[0]

    with pytest.raises(ValueError, match="steps=1"):
        SpikingTarget(made(Once), SPEC, steps=STEPS)
    assert SpikingTarget(made(Once), SPEC, steps=1).layers()


def test_a_network_that_takes_its_states_is_refused() -> None:
    class Handed(Two):
        def forward(self, x: Tensor, mem1: Tensor, mem2: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            spk, mem1 = self.lif1(self.fc1(x.flatten(1)), mem1)
            return (*self.lif2(self.fc2(spk), mem2), mem1)

    with pytest.raises(ValueError, match="does not take"):
        SpikingTarget(made(Handed), SPEC, steps=STEPS)
