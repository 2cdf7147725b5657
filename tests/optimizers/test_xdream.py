from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from actmax.models.spaces import Box, Categorical
from actmax.optimizers.optimizer import Evaluations, Problem, Unsuitable
from actmax.optimizers.xdream import XDream, fitness

Array = np.ndarray[Any, np.dtype[Any]]
SPACE = Box((2, 3), -1.0, 1.0)


def told(optimizer: XDream, scores: list[float]) -> tuple[torch.Tensor, torch.Tensor]:
    """What was asked, and what is asked next."""
    asked = optimizer.ask()
    optimizer.tell(Evaluations(asked, torch.tensor(scores).double()))
    return asked, optimizer.ask()


def stepped(population: Array, scores: Array, options: XDream.Options, spread: Array, generator: torch.Generator) -> Array:
    """One generation, child by child and coordinate by coordinate."""
    order = np.argsort(-scores, kind="stable")
    population, scores = population[order], scores[order]
    capped = np.minimum(scores, np.percentile(scores, 95))
    weights = np.exp((capped - capped.max()) / (scores.std() / options.selectivity))
    count = len(population) - options.keep
    first, second = (torch.multinomial(torch.from_numpy(weights), count, replacement=True, generator=generator) for _ in range(2))
    inherited = torch.rand(count, population.shape[1], generator=generator)
    mutated = torch.rand(count, population.shape[1], generator=generator)
    noise = torch.randn(count, population.shape[1], generator=generator)
    result = list(population[: options.keep])
    for child in range(count):
        genes = []
        for gene in range(population.shape[1]):
            parent = first[child] if inherited[child, gene] < options.heritability else second[child]
            value = population[parent, gene]
            if mutated[child, gene] < options.mutation_rate:
                value += options.mutation_size * spread[gene] * float(noise[child, gene])
            genes.append(min(max(value, -1.0), 1.0))
        result.append(np.array(genes))
    return np.stack(result)


def test_a_generation_matches_one_made_by_loops() -> None:
    bank = 0.4 * torch.randn(50, 2, 3, generator=torch.Generator().manual_seed(3)).clamp(-2, 2)
    options = XDream.Options(population=12, heritability=0.7, mutation_rate=0.3, mutation_size=0.9, selectivity=1.5, keep=2)
    optimizer = XDream(Problem(SPACE, 5, None, bank), options)
    random = np.random.default_rng(0)
    reference = torch.Generator()
    for _ in range(5):
        asked = optimizer.ask().flatten(1)
        scores = random.normal(size=12)
        reference.set_state(optimizer.generator.get_state())
        expected = stepped(asked.double().numpy(), scores, options, bank.flatten(1).double().std(0).numpy(), reference)
        _, following = told(optimizer, scores.tolist())
        assert np.allclose(following.flatten(1).numpy(), expected, atol=1e-5)


def test_fitness_is_a_softmax_without_outliers() -> None:
    scores = torch.tensor([1.0, 2.0, 3.0, 50.0]).double()
    cap = 3 + 0.85 * 47  # the 95th percentile lies 2.85 steps along
    expected = np.exp((np.array([1, 2, 3, cap]) - cap) / (scores.numpy().std() / 2))
    assert np.allclose(fitness(scores, 2.0).numpy(), expected)
    assert torch.equal(fitness(torch.full((3,), 7.0).double(), 2.0), torch.ones(3).double())


def test_starts_from_the_bank_or_uniformly() -> None:
    bank = SPACE.sample(30, torch.Generator().manual_seed(0))
    for row in XDream(Problem(SPACE, 0, None, bank), XDream.Options()).ask():
        assert (bank == row).flatten(1).all(1).any()
    asked = XDream(Problem(SPACE, 0), XDream.Options(population=2000)).ask()
    SPACE.check(asked)
    assert float(asked.std()) == pytest.approx(2 / 12**0.5, rel=0.05)


def test_keeps_the_best_and_asks_missed_ones_again() -> None:
    optimizer = XDream(Problem(SPACE, 0), XDream.Options(population=5, keep=2))
    asked, following = told(optimizer, [1.0, float("nan"), 3.0, 2.0, 0.0])
    assert torch.equal(following[:2], asked[[2, 3]])
    assert torch.equal(following[4], asked[1])
    again, after = told(optimizer, [float("nan")] * 5)
    assert torch.equal(again, after)
    _, after = told(optimizer, [float("nan"), 1.0, *[float("nan")] * 3])
    assert torch.equal(after, again[[1, 0, 2, 3, 4]])


def test_refuses_codes_and_a_population_without_children() -> None:
    with pytest.raises(Unsuitable, match="patch-evolution"):
        XDream(Problem(Categorical((3,), 4), 0), XDream.Options())
    with pytest.raises(ValidationError, match="no room for children"):
        XDream.Options(population=4, keep=4)
