import torch
from scipy import stats

from actmax.optimizers.gumbel import gumbel, gumbel_slope, noise_behind, normal


def test_normal_coordinates_become_gumbel_noise_and_back() -> None:
    z = torch.linspace(-7.5, 7.5, 61, dtype=torch.float64)
    expected = stats.gumbel_r.ppf(stats.norm.cdf(z[:40].numpy()))  # beyond, scipy's cdf has lost the digits
    assert torch.allclose(gumbel(z[:40]), torch.from_numpy(expected), rtol=1e-6)
    assert torch.allclose(normal(gumbel(z)), z, rtol=1e-6, atol=1e-9)
    single = gumbel(z.float())
    assert torch.allclose(single.double(), gumbel(z), rtol=1e-4, atol=1e-5)


def test_its_slope_is_the_derivative() -> None:
    z, step = torch.linspace(-7.5, 7.5, 31, dtype=torch.float64), 1e-4
    difference = (gumbel(z + step) - gumbel(z - step)) / (2 * step)
    assert torch.allclose(gumbel_slope(z), difference, rtol=1e-6)
    assert torch.equal(gumbel_slope(z), gumbel_slope(z, gumbel(z)))


def test_noise_behind_codes_gives_them_back_and_is_gumbel_over_all_codes() -> None:
    generator = torch.Generator().manual_seed(0)
    log_p = torch.tensor([0.6, 0.3, 0.08, 0.02]).log().expand(5, 4)
    codes = torch.multinomial(log_p.exp(), 8000, replacement=True, generator=generator).T
    noise = noise_behind(codes, log_p, generator)
    assert torch.equal((log_p + noise).argmax(-1), codes)
    # codes drawn from p: the noise behind them is as if it had been drawn freely
    for code in range(4):
        assert stats.kstest(noise[:, 0, code].numpy(), stats.gumbel_r.cdf).pvalue > 1e-3
    correlation = torch.corrcoef(normal(noise[:, 1]).T)
    assert float((correlation - torch.eye(4)).abs().max()) < 0.05
