"""Random spiking networks, layer by layer against a plain loop of snntorch."""

from __future__ import annotations

import sys
import warnings
from collections import Counter
from pathlib import Path

import pytest
import snntorch as snn
import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.spiking.agreement import BRANCHES, check
from benchmarks.spiking.networks import make

CHUNK = 125
"""Networks of one test; four tests have 500."""


@pytest.mark.parametrize("chunk", range(4))
def test_random_networks_answer_as_the_loop(chunk: int) -> None:
    branches: Counter[str] = Counter()
    failures, exact = [], 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of inhibition, and of surrogates
        for seed in range(chunk * CHUNK, (chunk + 1) * CHUNK):
            network = make(seed, work=30_000)
            outcome = check(network)
            branches += outcome.branches
            exact += network.exact
            failures += [f"seed {seed}: {failure}" for failure in outcome.failures]
    assert not failures, "\n".join(failures)
    assert exact > CHUNK / 3
    assert BRANCHES <= set(branches), f"never taken: {BRANCHES - set(branches)}"


def test_a_wrong_answer_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """One spike too many in one layer of some networks."""
    from actmax.models.targets.spiking import layerwise

    read = layerwise.RunningReadout.response
    monkeypatch.setattr(
        layerwise.RunningReadout, "response", lambda self: read(self).index_add(0, torch.tensor([0]), torch.ones_like(read(self)[:1]))
    )
    assert any(check(make(seed, work=30_000)).failures for seed in range(10))


def test_the_networks_hold_every_neuron_and_the_sizes_that_matter() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        networks = [make(seed, work=30_000) for seed in range(250)]
    kinds = {type(module) for network in networks for module in network.model}
    neurons = {
        snn.Leaky, snn.Synaptic, snn.Alpha, snn.Lapicque, snn.RLeaky, snn.RSynaptic, snn.SLSTM, snn.SConv2dLSTM, snn.DeltaLeaky,
        snn.StateLeaky, snn.LinearLeaky, snn.LeakyParallel, snn.AssociativeLeaky,
    }  # fmt: skip
    assert neurons <= kinds
    assert {1, 2, 3} <= {network.n for network in networks}
    assert {network.layout for network in networks} == {"contiguous", "channels_last", "strided", "transposed"}
    widths = {module.out_features for network in networks for module in network.model if isinstance(module, torch.nn.Linear)}
    assert min(widths) == 1
    assert max(widths) == 512
