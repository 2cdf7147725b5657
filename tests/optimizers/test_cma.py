import cmaes
import numpy as np
import pytest
import torch

from actmax.models.spaces import Box, Categorical
from actmax.optimizers.cma import CMA
from actmax.optimizers.optimizer import Evaluations, Problem, Unsuitable


def bank_of(size: int, rows: int = 300) -> torch.Tensor:
    generator = torch.Generator().manual_seed(4)
    return (torch.linspace(-1, 1, size) + torch.linspace(0.1, 0.6, size) * torch.randn(rows, size, generator=generator)).clamp(-4, 4)


def searched(covariance: str, evaluations: int) -> float:
    """How near it comes to the optimum of an ellipsoid of condition number 10⁴ in a random basis; 0 is best."""
    size = 8
    basis = torch.linalg.qr(torch.randn(size, size, generator=torch.Generator().manual_seed(1)).double())[0]
    peak = torch.linspace(-0.5, 0.5, size).double()
    axes = torch.logspace(0, 4, size).double()
    optimizer = CMA(
        Problem(Box((size,), -2.0, 2.0), 0, evaluations), CMA.Options.model_validate({"covariance": covariance, "population": 12})
    )
    best = -torch.inf
    for _ in range(evaluations // 12):
        latents = optimizer.ask()
        scores = -(((latents.double() - peak) @ basis).square() * axes).sum(1)
        best = max(best, float(scores.max()))
        optimizer.tell(Evaluations(latents, scores))
    return best


def test_full_covariance_learns_a_rotated_ellipsoid() -> None:
    assert searched("full", 3600) > -1e-8
    assert searched("diagonal", 3600) < -1e-2


@pytest.mark.parametrize("covariance", ["full", "diagonal", "learning-rate-adapted"])
def test_updates_are_those_of_cmaes(covariance: str) -> None:
    size, bank = 6, bank_of(6)
    problem = Problem(Box((size,), -4.0, 4.0), 0, 400, bank, noisy=True)
    optimizer = CMA(problem, CMA.Options.model_validate({"covariance": covariance, "population": 10, "sigma": 0.7}))
    mean, std = bank.double().mean(0).numpy(), bank.double().std(0).numpy()
    reference = (
        cmaes.SepCMA(np.zeros(size), 0.7, population_size=10)
        if covariance == "diagonal"
        else cmaes.CMA(np.zeros(size), 0.7, population_size=10, lr_adapt=covariance == "learning-rate-adapted")
    )
    for _ in range(30):
        latents = optimizer.ask()
        scores = -(latents.double() - 1.0).abs().sum(1)
        optimizer.tell(Evaluations(latents, scores))
        points = (latents.double().numpy() - mean) / std
        reference.tell([(point, -float(score)) for point, score in zip(points, scores, strict=True)])
        assert np.allclose(optimizer.recommend().numpy(), mean + std * reference.mean, atol=1e-5)


@pytest.mark.parametrize("covariance", ["full", "diagonal"])
def test_first_generation_is_natural(covariance: str) -> None:
    bank = bank_of(5)
    options = CMA.Options.model_validate({"covariance": covariance, "population": 4000})
    asked = CMA(Problem(Box((5,), -4.0, 4.0), 0, None, bank), options).ask()
    assert torch.allclose(asked.mean(0), bank.mean(0), atol=0.05)
    assert torch.allclose(asked.std(0), bank.std(0), rtol=0.06)
    blind = CMA(Problem(Box((5,), 2.0, 6.0), 0), options).ask()
    assert torch.allclose(blind.mean(0), torch.full((5,), 4.0), atol=0.08)
    assert 0.9 < float(blind.std()) < 1.0, "half of the half width, a little less for what is clipped"


def test_a_missed_trial_teaches_nothing() -> None:
    problem = Problem(Box((3,), -50.0, 50.0), 0, noisy=True)
    optimizer = CMA(problem, CMA.Options(population=8, sigma=0.1))
    latents = optimizer.ask()
    optimizer.tell(Evaluations(latents, torch.full((8,), torch.nan).double()))
    with pytest.raises(RuntimeError, match="no score"):
        optimizer.recommend()
    latents = optimizer.ask()
    scores = torch.tensor([3.0, torch.nan, 5.0, torch.nan, 4.0, torch.nan, torch.nan, torch.nan]).double()
    optimizer.tell(Evaluations(latents, scores))
    weights = torch.tensor([np.log(4.5) - np.log(rank) for rank in (1, 2, 3, 4)])
    expected = ((weights / weights.sum())[:3, None] * latents.double()[[2, 4, 0]]).sum(0)  # the old mean is 0, and so is the fourth's step
    assert torch.allclose(optimizer.recommend().double(), expected, atol=1e-5)


def test_recommends_the_mean_under_noise() -> None:
    space = Box((10,), -3.0, 3.0)
    noise = torch.Generator().manual_seed(3)
    found = []
    for noisy in (True, False):
        optimizer = CMA(Problem(space, 0, noisy=noisy), CMA.Options(population=20))
        for _ in range(60):
            latents = optimizer.ask()
            scores = -(latents.double() - 1.0).square().sum(1) + 3 * torch.randn(20, generator=noise).double()
            optimizer.tell(Evaluations(latents, scores))
        space.check(optimizer.recommend()[None])
        found.append(float((optimizer.recommend() - 1.0).square().sum()))
    assert found[0] < 0.5 * found[1]


def test_starts_again_where_nothing_changes() -> None:
    bank = bank_of(2)
    optimizer = CMA(Problem(Box((2,), -4.0, 4.0), 0, None, bank, noisy=True), CMA.Options(population=4))
    stuck = CMA(Problem(Box((2,), -4.0, 4.0), 0, None, bank, noisy=True), CMA.Options(population=4, restart=False))
    at_bank = []
    for _ in range(60):
        for one in (optimizer, stuck):
            one.tell(Evaluations(one.ask(), torch.zeros(4).double()))
        at_bank.append(bool((bank == optimizer.recommend()).all(1).any()))
    assert at_bank.count(True) == 2, "ten generations and 15 × coordinates ÷ 2 more without a difference, twice"
    assert not (bank == stuck.recommend()).all(1).any()


def test_goes_on_after_it_has_converged() -> None:
    optimizer = CMA(Problem(Box((2,), -4.0, 4.0), 0, None, bank_of(2)), CMA.Options(population=6))
    spread = []
    for _ in range(200):
        latents = optimizer.ask()
        spread.append(float(latents.std(0).mean()))
        optimizer.tell(Evaluations(latents, -(latents.double() - 0.3).square().sum(1)))
    assert min(spread) < 1e-5
    assert max(spread[spread.index(min(spread)) :]) > 0.05
    assert torch.allclose(optimizer.recommend(), torch.full((2,), 0.3), atol=1e-5)


def test_covariance_by_size() -> None:
    def chosen(size: int, covariance: str | None = None) -> str:
        return CMA(Problem(Box((size,), 0.0, 1.0), 0), CMA.Options.model_validate({"covariance": covariance})).covariance

    assert [chosen(1), chosen(256), chosen(257), chosen(1, "diagonal")] == ["full", "full", "diagonal", "full"]
    with pytest.raises(Unsuitable, match="use covariance diagonal"):
        chosen(4096, "full")


def test_refuses_codes() -> None:
    with pytest.raises(Unsuitable, match="patch-evolution"):
        CMA(Problem(Categorical((2,), 4), 0), CMA.Options())
