"""The fused leaky scans against snntorch's own neuron, step by step, in every reset variant."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import pytest
import snntorch as snn
import torch
from snntorch import surrogate
from torch import Tensor

from actmax.models.targets.leaky import leaky_layer, leaky_scan, leaky_spikes
from actmax.models.targets.spiking.neurons import fused_leaky

STEPS = 12
SURROGATES: dict[str, Callable[[Tensor], Tensor] | None] = {
    "default": None,
    "atan": surrogate.atan(alpha=3.0),
    "fast_sigmoid": surrogate.fast_sigmoid(slope=5),
    "sigmoid": surrogate.sigmoid(slope=4),
    "straight_through": surrogate.straight_through_estimator(),
    "triangular": surrogate.triangular(threshold=2),
    "spike_rate_escape": surrogate.spike_rate_escape(beta=1, slope=3),
    "SFS": surrogate.SFS(slope=5, B=0),
}


def stepped(neuron: snn.Leaky, current: Tensor) -> tuple[Tensor, Tensor]:
    membrane = torch.zeros_like(current[0])
    record = []
    for now in current:
        spikes, membrane = neuron(now, membrane)
        record.append((spikes.double(), membrane))  # its surrogates spike in float32
    return torch.stack([pair[0] for pair in record]), torch.stack([pair[1] for pair in record])


def drive(seed: int, *shape: int) -> Tensor:
    return torch.randn(STEPS, *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).mul(0.8).add(0.4)


def compare(neuron: snn.Leaky, current: Tensor) -> None:
    neuron = neuron.double().eval()
    fused = fused_leaky(neuron)
    assert fused is not None
    weights = torch.randn(2, *current.shape, generator=torch.Generator().manual_seed(9), dtype=torch.float64)

    reference = current.clone().requires_grad_()
    expected = stepped(neuron, reference)
    (expected[0] * weights[0] + expected[1] * weights[1]).sum().backward()
    fast = current.clone().requires_grad_()
    found = leaky_layer(fast, None, fused.constants, fused.slope)
    (found[0] * weights[0] + found[1] * weights[1]).sum().backward()

    assert 0 < expected[0].mean() < 1, "the drive must make the neuron spike now and then"
    torch.testing.assert_close(found[0], expected[0])
    torch.testing.assert_close(found[1], expected[1])
    torch.testing.assert_close(fast.grad, reference.grad, rtol=1e-5, atol=1e-6)

    seen: list[tuple[Tensor, Tensor]] = []
    kept = torch.empty(current.shape, dtype=torch.bool)
    leaky_spikes(current, None, fused.constants, store=kept, observe=lambda s, m: seen.append((s.clone(), m.clone())))
    torch.testing.assert_close(kept.double(), expected[0].detach())
    torch.testing.assert_close(torch.stack([s for s, _ in seen]), expected[0].detach())
    torch.testing.assert_close(torch.stack([m for _, m in seen]), expected[1].detach())


@pytest.mark.parametrize(("reset", "delay", "beta"), list(product(("subtract", "zero", "none"), (True, False), (0.0, 0.7, 1.0))))
def test_every_reset_equals_snntorch(reset: str, delay: bool, beta: float) -> None:
    compare(snn.Leaky(beta=beta, threshold=0.9, reset_mechanism=reset, reset_delay=delay), drive(1, 3, 7))


@pytest.mark.parametrize("name", SURROGATES)
@pytest.mark.parametrize("delay", [True, False])
def test_every_surrogate_equals_snntorch(name: str, delay: bool) -> None:
    compare(snn.Leaky(beta=0.8, spike_grad=SURROGATES[name], reset_delay=delay), drive(2, 2, 5))


@pytest.mark.parametrize(("reset", "delay"), list(product(("subtract", "zero"), (True, False))))
def test_constants_per_unit_and_learned(reset: str, delay: bool) -> None:
    generator = torch.Generator().manual_seed(3)
    beta, threshold = torch.rand(4, 1, 1, generator=generator) * 1.4 - 0.2, torch.rand(4, 1, 1, generator=generator) + 0.3
    neuron = snn.Leaky(beta=beta, threshold=threshold, learn_beta=True, learn_threshold=True, reset_mechanism=reset, reset_delay=delay)  # pyright: ignore[reportArgumentType]
    compare(neuron, drive(4, 2, 4, 3, 3))


def test_constant_current_needs_no_copies() -> None:
    current = drive(5, 3, 6)[0] + 0.5
    fused = fused_leaky(snn.Leaky(beta=0.6).double())
    assert fused is not None
    one, many = current.clone().requires_grad_(), current.expand(STEPS, *current.shape).clone().requires_grad_()
    a, b = leaky_layer(one, STEPS, fused.constants, fused.slope), leaky_layer(many, None, fused.constants, fused.slope)
    a[0].sum().backward()
    b[0].sum().backward()
    assert one.grad is not None
    assert many.grad is not None
    torch.testing.assert_close(a, b)
    torch.testing.assert_close(one.grad, many.grad.sum(0))
    kept = torch.empty(many.shape, dtype=torch.bool)
    leaky_spikes(current, STEPS, fused.constants, store=kept)
    assert torch.equal(kept, b[0].bool())


def test_layout_of_a_step_is_kept() -> None:
    current = drive(6, 2, 3, 4, 4).float().flatten(0, 1).contiguous(memory_format=torch.channels_last).unflatten(0, (STEPS, 2))
    spikes, membranes = leaky_scan(current, 0.8)
    for record in (spikes, membranes):
        assert record.flatten(0, 1).is_contiguous(memory_format=torch.channels_last)


def test_long_layers_are_differentiated_in_blocks() -> None:
    compare(snn.Leaky(beta=0.8), drive(7, 2, 30_000))


@pytest.mark.parametrize(
    "neuron",
    [
        snn.Synaptic(alpha=0.5, beta=0.5),
        snn.Leaky(beta=0.5, graded_spikes_factor=2.0),
        snn.Leaky(beta=0.5, threshold=-0.1),
        snn.Leaky(beta=0.5, spike_grad=lambda x: (x > 0.5).float()),
        snn.Leaky(beta=0.5, spike_grad=surrogate.SSO()),
    ],
)
def test_what_is_not_exactly_known_is_not_fused(neuron: torch.nn.Module) -> None:
    assert fused_leaky(neuron) is None
