"""The optimizer contract as checks, which run over the built-in optimizers and over any other.

Call :func:`check_optimizer`, or derive a test class for pytest::

    class TestMine(OptimizerContract):
        optimizer = Mine
        problems = contract_problems()
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import BaseModel
from torch import Tensor
from torch.nn.functional import one_hot

from ..models.spaces import Box, Categorical, LatentSpace, StimulusSpec
from .optimizer import Evaluations, Optimizer, Problem, StimulusMap, Unsuitable

OptimizerClass = Callable[[Problem, Any], Any]


class Landscape:
    """An easy differentiable score over a space: a quadratic bump in a box, a table of each position's codes otherwise.

    Parameters
    ----------
    space : Box or Categorical
        The space of the latents.
    seed : int
        Seed of the bump's place or of the table.
    """

    def __init__(self, space: LatentSpace, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(1_000_003 + seed)  # another stream than an optimizer's with the same seed
        self.space = space
        if isinstance(space, Box):
            self._peak = space.sample(1, generator)[0].double()
        else:
            self._table = torch.randn(*space.shape, space.cardinality, generator=generator).double()

    def score(self, latents: Tensor) -> Tensor:
        """Return the scores of latents, codes or relaxed weights: float64, (n,); the greatest score is 0 in a box."""
        if isinstance(self.space, Box):
            width = self.space.high - self.space.low
            return -((latents.double() - self._peak) / width).square().flatten(1).mean(1)
        if latents.is_floating_point():
            return (latents.double() * self._table).flatten(1).sum(1) / self.space.size
        return self._table.expand(len(latents), *self._table.shape).gather(-1, latents[..., None]).flatten(1).mean(1)

    def evaluate(self, latents: Tensor, gradient: bool, missed: Sequence[int] | slice = ()) -> Evaluations:
        """Return the evaluations of a batch.

        Parameters
        ----------
        latents : Tensor
            (n, *latent), or relaxed weights, (n, *latent, cardinality).
        gradient : bool
            Whether to compute gradients.
        missed : sequence of int or slice
            Rows of missed trials: their scores and gradients are NaN.
        """
        latents = latents.detach().cpu()
        gradients = None
        if gradient:
            variable = latents.clone().requires_grad_()
            scores = self.score(variable)
            (gradients,) = torch.autograd.grad(scores.sum(), variable)
            scores = scores.detach()
        else:
            scores = self.score(latents)
        rows = missed if isinstance(missed, slice) else list(missed)
        scores[rows] = torch.nan
        if gradients is not None:
            gradients[rows] = torch.nan
        return Evaluations(latents, scores, None, gradients)


def contract_problems(evaluations: int | None = 600, seed: int = 3) -> list[Problem]:
    """Return small problems of every kind: codes and boxes, maps and lists, blind and from a bank, and codes that stand for vectors.

    Parameters
    ----------
    evaluations : int or None
        Number of evaluations that the optimizers expect.
    seed : int
        Seed of banks, vectors and optimizers.
    """
    generator = torch.Generator().manual_seed(seed)
    spaces: list[LatentSpace] = [Categorical((3, 3), 8), Categorical((7,), 3), Box((2, 3), -1.0, 0.3), Box((6,), -3.0, 3.0)]
    problems = [Problem(space, seed, evaluations, bank) for space in spaces for bank in (None, space.sample(40, generator))]
    problems.append(Problem(spaces[0], seed, evaluations, code_vectors=torch.randn(8, 2, generator=generator)))
    return [replace(problem, stimuli=easy_map(problem.latent, seed)) for problem in problems]


def easy_map(space: LatentSpace, seed: int = 0) -> StimulusMap:
    """Return a differentiable map from latents to images, (1, 4, 4): a random linear map, squashed into [0, 1].

    Parameters
    ----------
    space : Box or Categorical
        The space of the latents.
    seed : int
        Seed of the map.
    """
    width = space.size * (space.cardinality if isinstance(space, Categorical) else 1)
    weights = torch.randn(width, 16, generator=torch.Generator().manual_seed(seed))

    def make(latents: Tensor) -> Tensor:
        if isinstance(space, Categorical) and not latents.is_floating_point():
            latents = one_hot(latents, space.cardinality)
        return (latents.float().flatten(1) @ weights).sigmoid().view(-1, 1, 4, 4)

    return StimulusMap(make, StimulusSpec((1, 4, 4)), differentiable=True)


def run(optimizer: Any, landscape: Landscape, rounds: int, missing: float = 0.0, seed: int = 0) -> list[Evaluations]:
    """Run rounds of ask and tell, and return the evaluations of each.

    Parameters
    ----------
    optimizer : Optimizer
        The optimizer to drive.
    landscape : Landscape
        Scores its candidates.
    rounds : int
        Number of rounds.
    missing : float
        Probability that a trial is missed, in [0, 1].
    seed : int
        Seed of the missed trials.

    Returns
    -------
    list of Evaluations
        One a round.
    """
    generator = torch.Generator().manual_seed(seed)
    told: list[Evaluations] = []
    for _ in range(rounds):
        latents = optimizer.ask()
        missed = (torch.rand(len(latents), generator=generator) < missing).nonzero()[:, 0].tolist()
        told.append(landscape.evaluate(latents, optimizer.needs_gradient, missed))
        optimizer.tell(told[-1])
    return told


def check_options(optimizer: Any) -> None:
    """Check that an optimizer's options have defaults, descriptions and a schema, and refuse unknown fields.

    Raises
    ------
    AssertionError
        An option breaks the contract.
    """
    options = optimizer.Options
    assert issubclass(options, BaseModel)
    assert options.model_config.get("extra") == "forbid", "unknown options must be refused"
    for name, field in options.model_fields.items():
        assert field.description, f"option {name} has no description"
    options.model_json_schema()
    options()


def check_candidates(optimizer: OptimizerClass, options: Any, problem: Problem, rounds: int = 5) -> None:
    """Check that every ask is a batch of latents in the space, relaxed weights exactly where gradients are needed on codes.

    Parameters
    ----------
    optimizer : class
        The optimizer, built as ``optimizer(problem, options)``.
    options : Options
        An instance of its options.
    problem : Problem
        A problem that it can search.
    rounds : int
        Rounds of ask and tell.
    """
    built = optimizer(problem, options)
    assert isinstance(built, Optimizer)
    landscape = Landscape(problem.latent)
    for _ in range(rounds):
        latents = built.ask()
        assert len(latents) > 0
        problem.latent.check(latents.cpu())
        if isinstance(problem.latent, Categorical):
            assert latents.is_floating_point() == built.needs_gradient
        built.tell(landscape.evaluate(latents, built.needs_gradient))


def check_deterministic(optimizer: OptimizerClass, options: Any, problem: Problem, rounds: int = 5) -> None:
    """Check that two optimizers with one seed ask the same bits; the global random generators are neither read nor advanced.

    Parameters are those of :func:`check_candidates`.
    """
    before = _global_random()
    first = run(optimizer(problem, options), Landscape(problem.latent), rounds, 0.2)
    assert _global_random() == before, "a global random generator was moved"
    state = torch.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002
    try:
        torch.manual_seed(99)
        np.random.seed(99)  # noqa: NPY002
        random.seed(99)
        second = run(optimizer(problem, options), Landscape(problem.latent), rounds, 0.2)
    finally:
        torch.set_rng_state(state[0])
        np.random.set_state(state[1])  # noqa: NPY002
        random.setstate(state[2])
    _assert_same(first, second)


def check_resume(optimizer: OptimizerClass, options: Any, problem: Problem, rounds: int = 4, after: int = 3) -> None:
    """Check that a fresh twin with a saved state continues with the same bits, also from the start; the state is independent plain data.

    Parameters are those of :func:`check_candidates`; ``after`` is the number of rounds after the state is saved.
    """
    landscape = Landscape(problem.latent)
    for stop in sorted({0, 1, rounds}):
        original = optimizer(problem, options)
        run(original, landscape, stop, 0.2)
        state = original.state_dict()
        _assert_plain(state, "state")
        kept = _copy(state)
        expected = run(original, landscape, after, 0.2, seed=1)
        _assert_same_state(state, kept, "state")  # running on must not change a saved state
        twin = optimizer(problem, options)
        twin.load_state_dict(state)
        _assert_same(expected, run(twin, landscape, after, 0.2, seed=1))
        assert torch.equal(twin.recommend(), original.recommend())
        again = optimizer(problem, options)
        again.load_state_dict(kept)
        _assert_same(expected, run(again, landscape, after, 0.2, seed=1))


def check_missed(optimizer: OptimizerClass, options: Any, problem: Problem, rounds: int = 6) -> None:
    """Check that an optimizer continues after batches in which every trial, or the second half, is missed.

    Parameters are those of :func:`check_candidates`.
    """
    landscape = Landscape(problem.latent)
    built = optimizer(problem, options)
    for round_ in range(rounds):
        latents = built.ask()
        problem.latent.check(latents.cpu())
        missed = slice(None) if round_ % 3 == 0 else slice(len(latents) // 2, None) if round_ % 3 == 1 else []
        built.tell(landscape.evaluate(latents, built.needs_gradient, missed))
    problem.latent.check(built.recommend()[None].cpu())


def check_recommendation(optimizer: OptimizerClass, options: Any, problem: Problem, rounds: int = 5) -> None:
    """Check that the recommendation is an evaluated latent, codes where the space has them; without a score there is none.

    Parameters are those of :func:`check_candidates`; AssertionError for a wrong recommendation.
    """
    built = optimizer(problem, options)
    for _ in range(2):
        try:
            built.recommend()
        except RuntimeError:
            pass
        else:
            raise AssertionError("a recommendation before any score must raise RuntimeError")
        missed = built.ask()
        built.tell(Landscape(problem.latent).evaluate(missed, built.needs_gradient, slice(None)))
    told = run(built, Landscape(problem.latent), rounds, 0.2)
    recommended = built.recommend().cpu()
    assert tuple(recommended.shape) == problem.latent.shape
    latents = torch.cat([one.latents for one in told])
    if isinstance(problem.latent, Categorical):
        assert not recommended.is_floating_point()
        latents = problem.latent.harden(latents)
    assert bool((latents == recommended).flatten(1).all(1).any()), "the recommendation was never evaluated"


CHECKS = (check_candidates, check_deterministic, check_resume, check_missed, check_recommendation)


def check_optimizer(optimizer: OptimizerClass, options: Any, problem: Problem) -> None:
    """Run every check on one problem.

    Parameters
    ----------
    optimizer : class
        The optimizer, built as ``optimizer(problem, options)``.
    options : Options
        An instance of its options.
    problem : Problem
        A problem that it can search.

    Raises
    ------
    AssertionError
        The optimizer breaks the contract.
    """
    check_options(optimizer)
    for check in CHECKS:
        check(optimizer, options, problem)


class OptimizerContract:
    """The checks as a test class: set ``optimizer``, and ``options`` and ``problems`` where the defaults don't fit.

    A problem that the optimizer refuses with ``Unsuitable`` passes when the message has at least 20 characters.
    """

    optimizer: ClassVar[Any]
    options: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    problems: ClassVar[Sequence[Problem]] = contract_problems()

    @classmethod
    def pytest_generate_tests(cls, metafunc: Any) -> None:
        """Run every check on every problem."""
        if "problem" in metafunc.fixturenames:
            owner = metafunc.cls
            metafunc.parametrize("problem", owner.problems, ids=[_name(problem) for problem in owner.problems])
        if "check" in metafunc.fixturenames:
            metafunc.parametrize("check", CHECKS, ids=[check.__name__ for check in CHECKS])

    def test_options(self) -> None:
        """Check the optimizer's options."""
        check_options(self.optimizer)

    def test_contract(self, check: Callable[[OptimizerClass, Any, Problem], None], problem: Problem) -> None:
        """Run one check on one problem."""
        options = self.optimizer.Options(**self.options)
        try:
            self.optimizer(problem, options)
        except Unsuitable as refusal:
            if len(str(refusal)) < 20:
                raise AssertionError("a refusal says why and what would work") from refusal
            return
        check(self.optimizer, options, problem)


def _name(problem: Problem) -> str:
    space = problem.latent
    kind = f"box{space.shape}" if isinstance(space, Box) else f"codes{space.shape}x{space.cardinality}"
    kind += "" if problem.code_vectors is None else "-vectors"
    return kind.replace(" ", "") + ("-blind" if problem.bank is None else "-bank")


def _global_random() -> tuple[Any, ...]:
    name, keys, *rest = np.random.get_state()  # noqa: NPY002
    return (torch.get_rng_state().numpy().tobytes(), name, np.asarray(keys).tobytes(), *rest, random.getstate())


def _assert_same(first: Sequence[Evaluations], second: Sequence[Evaluations]) -> None:
    for round_, (a, b) in enumerate(zip(first, second, strict=True)):
        assert torch.equal(a.latents, b.latents), f"round {round_} differs"


def _assert_plain(value: Any, path: str) -> None:
    if isinstance(value, Mapping):
        for key, item in value.items():
            assert isinstance(key, str), f"{path} has the key {key!r}, which is no string"
            _assert_plain(item, f"{path}.{key}")
    elif isinstance(value, list):
        for number, item in enumerate(value):
            _assert_plain(item, f"{path}[{number}]")
    else:
        assert value is None or type(value) in (Tensor, str, bool, int, float), f"{path} is a {type(value).__name__}"


def _assert_same_state(first: Any, second: Any, path: str) -> None:
    if isinstance(first, Mapping):
        for key in first:
            _assert_same_state(first[key], second[key], f"{path}.{key}")
    elif isinstance(first, list):
        for number, (a, b) in enumerate(zip(first, second, strict=True)):
            _assert_same_state(a, b, f"{path}[{number}]")
    elif isinstance(first, Tensor):
        assert torch.equal(first.nan_to_num(), second.nan_to_num()), f"{path} changed after it was saved"
    else:
        assert first == second, f"{path} changed after it was saved"


def _copy(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copy(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_copy(item) for item in value]
    return value.clone() if isinstance(value, Tensor) else value
