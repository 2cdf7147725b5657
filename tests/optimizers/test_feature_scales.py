"""Warps and their slopes."""

import pytest
import torch

from actmax.optimizers.feature_scales import WARPS, root


@pytest.mark.parametrize("warp", WARPS)
def test_the_second_answer_is_the_logarithm_of_the_slope(warp):
    scores = (50 * torch.rand(20, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) + 0.1).requires_grad_()
    warped, slopes = warp(scores, 7.0)
    (expected,) = torch.autograd.grad(warped.sum(), scores)
    assert torch.allclose(slopes, expected.log())


def test_the_root_makes_poisson_noise_alike():
    generator = torch.Generator().manual_seed(0)
    deviations = [float(root(torch.poisson(torch.full((20_000,), rate), generator=generator), 20.0)[0].std()) for rate in (5.0, 20.0, 80.0)]
    assert max(deviations) / min(deviations) < 1.15
