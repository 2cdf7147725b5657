"""Convolution of spikes by table lookup against the ordinary convolution."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from actmax.models.targets.spiking.lookup import SpikeConv2d, looked_up, pays


@pytest.mark.parametrize("seed", range(12))
def test_equals_the_convolution(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)

    def pick(low: int, high: int) -> int:
        return int(torch.randint(low, high + 1, (), generator=generator))

    channels, outputs, kernel = pick(1, 37), pick(1, 40), (pick(1, 4), pick(1, 4))
    stride, padding, dilation = (pick(1, 3), pick(1, 3)), (pick(0, 2), pick(0, 2)), (pick(1, 2), pick(1, 2))
    weight = torch.randn(outputs, channels, *kernel, generator=generator)
    bias = torch.randn(outputs, generator=generator) if pick(0, 1) else None
    spikes = torch.rand(pick(1, 3), channels, pick(7, 11), pick(7, 11), generator=generator) < pick(1, 9) / 10
    lookup = SpikeConv2d(weight, bias, stride, padding, dilation)

    reference = spikes.float().requires_grad_()
    expected = F.conv2d(reference, weight, bias, stride, padding, dilation)
    for layout in (torch.contiguous_format, torch.channels_last):
        torch.testing.assert_close(
            looked_up(spikes.contiguous(memory_format=layout), lookup, weight), expected.detach(), rtol=1e-5, atol=2e-5
        )
    again = spikes.float().requires_grad_()
    found = looked_up(again, lookup, weight)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=2e-5)
    cotangent = torch.randn(expected.shape, generator=generator)
    expected.backward(cotangent)
    found.backward(cotangent)
    torch.testing.assert_close(again.grad, reference.grad, rtol=1e-5, atol=2e-5)


def test_does_not_depend_on_the_batch() -> None:
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(32, 24, 3, 3, generator=generator)
    spikes = torch.rand(9, 24, 8, 8, generator=generator) < 0.2
    lookup = SpikeConv2d(weight, None, (1, 1), (1, 1), (1, 1))
    together = lookup(spikes)
    assert all(torch.equal(together[i : i + 1], lookup(spikes[i : i + 1])) for i in range(9))


def test_is_left_out_where_it_does_not_pay() -> None:
    assert pays(torch.zeros(64, 32, 3, 3))
    assert not pays(torch.zeros(10, 32, 3, 3)), "few outputs"
    assert not pays(torch.zeros(64, 3, 3, 3)), "few channels"
    assert not pays(torch.zeros(64, 32, 3, 3, dtype=torch.float64)), "another precision"
    assert not pays(torch.zeros(1024, 1024, 3, 3)), "a table larger than the memory it saves"
