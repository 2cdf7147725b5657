"""The field's packages, as they come: at their own defaults, blind, or from the normal prior where latents have one.

Codes are given to evolution strategies as bounded integers, which is what both packages offer for them; to tensor trains as they are.
A box is given to tensor trains as 16 levels: equal steps where nothing is known, quantiles of the normal where latents are normal, so that
a uniform start of theirs is a start from the prior. Evolution strategies start at the middle of such a box with a step of one standard
deviation.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import io
import os
import random
import warnings
from collections.abc import Callable
from contextlib import redirect_stdout
from typing import Any

import numpy as np
import torch
from torch import Tensor

from actmax.models.spaces import Box

from .problems import Missing, SearchProblem
from .trace import Spent, Trace

LEVELS = 16
LARGEST_COVARIANCE = 1024
"""Coordinates beyond which a full covariance is not tried: one update would take minutes."""

Peer = Callable[[Trace, int], Tensor | None]
"""(trace, seed) -> its recommendation where it has one of its own; runs until Spent or its own end."""


class NotTried(Exception):
    """A peer that makes no sense for a problem; the message says why."""


def package(name: str) -> Any:
    """Import a peer; Missing where it isn't installed."""
    if name == "protes":  # one core, as everything here
        os.environ.setdefault("JAX_PLATFORMS", "cpu")
        os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise Missing(f"{name} is not installed ({error}); make build/bench-venv has it") from error


def version(method: str) -> str:
    """Package and version, with numpy's."""
    name = method.split("-")[0]
    try:
        return f"{name} {importlib.metadata.version(name)}, numpy {np.__version__}"
    except importlib.metadata.PackageNotFoundError:
        return ""


def levels_of(problem: SearchProblem) -> tuple[int, Callable[[Any], Tensor]]:
    """Number of levels a coordinate, and multi-indices (n, size) to latents."""
    space = problem.latent
    if not isinstance(space, Box):
        return space.cardinality, lambda indices: torch.from_numpy(np.array(indices, dtype=np.int64)).view(-1, *space.shape)
    shares = (torch.arange(LEVELS).double() + 0.5) / LEVELS
    values = torch.special.ndtri(shares) if problem.normal else space.low + (space.high - space.low) * shares
    return LEVELS, lambda indices: values[torch.from_numpy(np.array(indices, dtype=np.int64))].float().view(-1, *space.shape)


def to_latents(problem: SearchProblem, rows: Any) -> Tensor:
    """Real vectors, (n, size), to latents: clipped, for codes rounded."""
    space, values = problem.latent, torch.from_numpy(np.array(rows, dtype=np.float64)).view(-1, *problem.latent.shape)
    if isinstance(space, Box):
        return values.float().clamp(space.low, space.high)
    return values.round().long().clamp(0, space.cardinality - 1)


def bounds_of(problem: SearchProblem) -> tuple[float, float]:
    """Lowest and highest value of a coordinate."""
    space = problem.latent
    return (space.low, space.high) if isinstance(space, Box) else (0.0, space.cardinality - 1.0)


def middle_and_step(problem: SearchProblem, seed: int) -> tuple[np.ndarray[Any, Any], float]:
    """Where an evolution strategy starts: the prior's mean and deviation, a uniform draw for codes, or the middle."""
    low, high = bounds_of(problem)
    size = problem.latent.size
    if problem.normal:
        return np.zeros(size), 1.0
    if isinstance(problem.latent, Box):
        return np.full(size, (low + high) / 2), 0.3 * (high - low)
    return np.random.default_rng(seed).uniform(low, high, size).round(), 0.3 * (high - low)


def blind(trace: Trace, seed: int) -> Tensor | None:
    """Uniform draws."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        trace.scores(trace.problem.latent.sample(min(250, trace.left) or 1, generator))


def natural(trace: Trace, seed: int) -> Tensor | None:
    """The best of n natural latents: of a normal prior fresh draws, else rows of the bank, which may be used up."""
    problem, generator = trace.problem, torch.Generator().manual_seed(seed)
    if problem.bank is None:
        raise NotTried("nothing natural is known")
    rows = torch.randperm(len(problem.bank), generator=generator)
    while True:
        n = min(250, trace.left) or 1
        if problem.normal:
            trace.scores(to_latents(problem, torch.randn(n, problem.latent.size, generator=generator).numpy()))
        elif len(rows):
            trace.scores(problem.bank[rows[:n]])
            rows = rows[n:]
        else:
            return None


def protes(trace: Trace, seed: int) -> Tensor | None:
    """PROTES at its defaults: k 100, k_top 10, k_gd 1, lr .05, rank 5."""
    search = package("protes").protes
    levels, latents = levels_of(trace.problem)
    search(
        lambda indices: trace.scores(latents(indices)).numpy(), trace.problem.latent.size, levels, m=trace.budget, seed=seed, is_max=True
    )
    return None


def ttopt(trace: Trace, seed: int) -> Tensor | None:
    """TTOpt at its defaults, rank 4, on quantised modes (p = 2)."""
    levels, latents = levels_of(trace.problem)
    bits = int(np.log2(levels))
    search = package("ttopt").TTOpt(
        lambda indices: -trace.scores(latents(indices)).numpy(), trace.problem.latent.size, p=2, q=bits, evals=trace.budget, is_func=False
    )
    search.optimize(seed=seed)
    return None


def nevergrad(name: str) -> Peer:
    """One of nevergrad's optimizers, one candidate at a time, with nevergrad's own recommendation."""

    def run(trace: Trace, seed: int) -> Tensor | None:
        ng = package("nevergrad")
        problem = trace.problem
        low, high = bounds_of(problem)
        start, step = middle_and_step(problem, seed)
        array = ng.p.Array(init=start, lower=low, upper=high)
        if isinstance(problem.latent, Box):
            array.set_mutation(sigma=step)
        else:
            array.set_integer_casting()
        array.random_state = np.random.RandomState(seed)
        search = ng.optimizers.registry[name](array, budget=trace.budget, num_workers=1)

        def recommended() -> Tensor:
            return to_latents(problem, search.provide_recommendation().value[None])[0]

        while trace.left:
            candidate = search.ask()
            search.tell(candidate, -float(trace.scores(to_latents(problem, candidate.value[None]))[0]))
            if trace.problem.noise is not None and trace.evaluations in trace.counts:
                trace.recommend(recommended)
        return recommended() if problem.noise is not None else None

    return run


def cma(diagonal: bool) -> Peer:
    """Pycma, restarted with twice the population where it stops; under noise it recommends the mean of its distribution."""

    def run(trace: Trace, seed: int) -> Tensor | None:
        strategy, problem = package("cma").CMAEvolutionStrategy, trace.problem
        if not diagonal and problem.latent.size > LARGEST_COVARIANCE:
            raise NotTried(f"a full covariance of {problem.latent.size} coordinates")
        low, high = bounds_of(problem)
        population: int | None = None
        mean: Tensor | None = None
        restart = 0
        try:
            while trace.left:
                start, step = middle_and_step(problem, seed + restart)
                options: dict[str, Any] = {"bounds": [low, high], "seed": seed + 1 + restart, "verbose": -9, "CMA_diagonal": diagonal}
                if not isinstance(problem.latent, Box):
                    options["integer_variables"] = list(range(problem.latent.size))
                if population:
                    options["popsize"] = population
                search = strategy(start, step, options)
                while trace.left and not search.stop():
                    candidates = search.ask()
                    search.tell(candidates, (-trace.scores(to_latents(problem, candidates))).tolist())
                    if problem.noise is not None:
                        mean = to_latents(problem, search.result.xfavorite[None])[0]
                        favourite = mean
                        trace.recommend(lambda favourite=favourite: favourite)
                population = 2 * search.popsize
                restart += 1
        except Spent:
            pass
        return mean

    return run


PEERS: dict[str, Peer] = {
    "random": blind,
    "natural": natural,
    "protes": protes,
    "ttopt": ttopt,
    "nevergrad-Portfolio": nevergrad("Portfolio"),
    "nevergrad-DiagonalCMA": nevergrad("DiagonalCMA"),
    "nevergrad-TwoPointsDE": nevergrad("TwoPointsDE"),
    "nevergrad-NGOpt": nevergrad("NGOpt"),
    "cma-full": cma(diagonal=False),
    "cma-diagonal": cma(diagonal=True),
}

BLIND = tuple(name for name in PEERS if name != "natural")
"""Those that ours are measured against; the best of n natural images is a bar of its own."""


def run_peer(name: str, trace: Trace, seed: int) -> tuple[Tensor | None, str]:
    """Run one to the end: its own recommendation, and what it failed with, both where there is one."""
    numpy_before, python_before = np.random.get_state(), random.getstate()  # noqa: NPY002
    np.random.seed(seed % 2**32)  # noqa: NPY002
    random.seed(seed)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            return PEERS[name](trace, seed % 2**31), ""
    except Spent:
        return None, ""
    except (Missing, NotTried):
        raise
    except Exception as error:  # a third party's: what it found until then counts, and the table says that it failed
        return None, f"{type(error).__name__}: {error}"[:200]
    finally:
        np.random.set_state(numpy_before)  # noqa: NPY002
        random.setstate(python_before)
