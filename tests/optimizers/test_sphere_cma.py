import math

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from actmax.models.spaces import Box, Categorical
from actmax.optimizers.optimizer import Evaluations, Problem, Unsuitable
from actmax.optimizers.sphere_cma import SphereCMA, exponential_map, slerp

SIZE = 300


def natural_problem(evaluations: int | None = 3000, noisy: bool = False) -> Problem:
    bank = 1.5 + 0.4 * torch.randn(200, SIZE, generator=torch.Generator().manual_seed(2))
    return Problem(Box((SIZE,), -10.0, 10.0), 0, evaluations, bank, noisy=noisy)


def standard(latents: torch.Tensor, bank: torch.Tensor) -> torch.Tensor:
    return (latents.double() - bank.double().mean(0)) / bank.double().std(0)


def tuned(points: torch.Tensor) -> torch.Tensor:
    """Cosine of the angle with one direction."""
    direction = torch.randn(SIZE, generator=torch.Generator().manual_seed(9)).double()
    return (points @ direction) / (points.norm(dim=1) * direction.norm())


def angles(points: torch.Tensor, base: torch.Tensor) -> torch.Tensor:
    return (torch.nn.functional.cosine_similarity(points, base[None])).clamp(-1, 1).acos() * 180 / math.pi


def test_exponential_map_is_a_rotation() -> None:
    generator = torch.Generator().manual_seed(0)
    base = torch.randn(5, generator=generator).double() * 7
    for length in (0.0, 1e-9, 0.3, 1.5, 3.0, 5.0):
        tangent = torch.randn(5, generator=generator).double()
        tangent -= (tangent @ base) / (base @ base) * base
        tangent *= length / tangent.norm()
        unit = base / base.norm()
        turn = torch.linalg.matrix_exp(torch.outer(tangent, unit) - torch.outer(unit, tangent))
        assert torch.allclose(exponential_map(base, tangent[None])[0], turn @ base, atol=1e-12)


def test_slerp_keeps_to_the_great_circle() -> None:
    start, end = torch.tensor([2.0, 0.0, 0.0]).double(), torch.tensor([0.0, 2.0, 0.0]).double()
    for share in (0.0, 0.5, 1.0, 1.5):
        expected = torch.tensor([math.cos(share * math.pi / 2), math.sin(share * math.pi / 2), 0.0]).double() * 2
        assert torch.allclose(slerp(start, end, share, 2.0), expected)
    assert torch.equal(slerp(start, start, 1.5, 2.0), start)


def test_stays_on_its_sphere_as_the_angle_shrinks() -> None:
    problem = natural_problem()
    assert problem.bank is not None
    optimizer = SphereCMA(problem, SphereCMA.Options())
    expected = float(standard(problem.bank, problem.bank).norm(dim=1).median())
    measured, best = [], 0.0
    while len(measured) < 73:
        latents = optimizer.ask()
        points = standard(latents, problem.bank)
        assert torch.allclose(points.norm(dim=1), torch.tensor(expected).double(), rtol=1e-5)
        if len(latents) == 41:
            measured.append(float(angles(points[1:], points[0]).mean()))
        optimizer.tell(Evaluations(latents, tuned(points)))
        best = max(best, float(tuned(points).max()))
    assert measured[0] == pytest.approx(50.0, rel=0.03)
    assert measured[-1] == pytest.approx(7.33, rel=0.03)
    steps = np.diff(np.log(measured))
    assert np.allclose(steps, np.log(7.33 / 50) / 72, atol=0.04)
    assert best > 0.85


@pytest.mark.parametrize(("schedule", "middle"), [("exponential", math.sqrt(40 * 10)), ("inverse", 16.0), ("linear", 25.0)])
def test_schedules(schedule: str, middle: float) -> None:
    options = SphereCMA.Options.model_validate({"schedule": schedule, "initial_angle": 40, "final_angle": 10, "population": 9})
    optimizer = SphereCMA(natural_problem(40), options)  # a generation without a base and three with one
    seen = []
    for _ in range(6):
        latents = optimizer.ask()
        if len(latents) == 10:
            seen.append(math.degrees(optimizer.angle))
        optimizer.tell(Evaluations(latents, torch.arange(len(latents)).double()))
    assert seen == pytest.approx([40.0, middle, 10.0, 10.0, 10.0])


def test_moves_as_published() -> None:
    problem = natural_problem(noisy=True)
    assert problem.bank is not None
    optimizer = SphereCMA(problem, SphereCMA.Options())
    base = None
    for _ in range(4):
        latents = optimizer.ask()
        codes = standard(latents, problem.bank).numpy()
        scores = tuned(torch.from_numpy(codes)).numpy()
        ranked = codes if base is None else codes[1:]
        order = np.argsort(-(scores if base is None else scores[1:]))
        weights = [math.log(20.5) - math.log(rank) for rank in range(1, 21)]
        mean = sum(weight * ranked[row] for weight, row in zip(weights, order, strict=False))
        mean *= optimizer.radius / np.linalg.norm(mean)
        if base is not None:
            angle = math.acos(float(np.dot(base, mean)) / optimizer.radius**2)
            mean = (math.sin(-0.5 * angle) * base + math.sin(1.5 * angle) * mean) / math.sin(angle)
        base = mean
        optimizer.tell(Evaluations(latents, torch.from_numpy(scores)))
        assert np.allclose(standard(optimizer.recommend()[None], problem.bank)[0], base, atol=1e-4)


def test_linear_weights_follow_the_slope_of_all_samples() -> None:
    problem = natural_problem(noisy=True)
    assert problem.bank is not None
    optimizer = SphereCMA(problem, SphereCMA.Options(weights="linear", stride=0.3))
    optimizer.tell(Evaluations(optimizer.ask(), torch.arange(40).double()))
    for told in (torch.arange(41).double().square(), torch.linspace(-1, 1, 41).double().exp(), torch.ones(41).double()):
        base = standard(optimizer.recommend()[None], problem.bank)[0]
        angle = optimizer.angle
        latents = optimizer.ask()
        samples = standard(latents, problem.bank)[1:]
        optimizer.tell(Evaluations(latents, told))
        moved = standard(optimizer.recommend()[None], problem.bank)[0]
        if bool((told == 1).all()):  # a silent neuron
            assert float(angles(samples, moved).min()) < 0.1
            assert optimizer.angle == angle
            continue
        assert optimizer.angle < angle
        assert float(angles(moved[None], base)) == pytest.approx(math.degrees(0.3 * angle), rel=1e-3)
        # the step lies along the covariance of scores and directions
        unit = base / base.norm()
        directions = samples - (samples @ unit)[:, None] * unit
        directions /= directions.norm(dim=1, keepdim=True)
        covariance = torch.from_numpy(np.cov(torch.cat([told[1:, None], directions], 1).numpy().T)[0, 1:])
        step = moved - (moved @ unit) * unit
        assert float(torch.nn.functional.cosine_similarity(step, covariance, dim=0)) == pytest.approx(1.0, abs=1e-4)


def test_leaves_missed_trials_out() -> None:
    problem = natural_problem(noisy=True)
    assert problem.bank is not None
    optimizer = SphereCMA(problem, SphereCMA.Options(population=4))
    latents = optimizer.ask()
    optimizer.tell(Evaluations(latents, torch.tensor([torch.nan, 2.0, torch.nan, torch.nan]).double()))
    assert torch.allclose(optimizer.recommend(), latents[1], atol=1e-4)
    before = optimizer.angle
    optimizer.tell(Evaluations(optimizer.ask(), torch.full((5,), torch.nan).double()))
    assert torch.allclose(optimizer.recommend(), latents[1], atol=1e-4)
    assert optimizer.angle == before


def test_blind_starts_at_the_norm_of_uniform_draws() -> None:
    box = Box((SIZE,), 1.0, 5.0)
    asked = SphereCMA(Problem(box, 0, 3000), SphereCMA.Options()).ask()
    box.check(asked)
    norm = float((box.sample(500, torch.Generator().manual_seed(0)) - 3.0).norm(dim=1).mean())
    # a coordinate may pass the box's face on the way to the sphere, and is clipped then
    assert float((asked - 3.0).norm(dim=1).mean()) == pytest.approx(norm, rel=0.01)


def test_refuses_what_has_no_sphere() -> None:
    for space in (Box((1,), 0.0, 1.0), Categorical((3,), 4)):
        with pytest.raises(Unsuitable, match=r"cma|patch-evolution"):
            SphereCMA(Problem(space, 0), SphereCMA.Options())
    with pytest.raises(ValidationError, match="more than the population"):
        SphereCMA.Options(population=4, parents=5)
