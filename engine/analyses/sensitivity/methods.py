"""Global sensitivity by SALib: which rows of factors each method asks for, and the indices that it computes of the responses."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..library_state import seeded_library
from .factors import Factors

Name = Literal["sobol", "morris", "fast", "pawn"]
"""Sobol's indices by Saltelli's scheme, Morris' elementary effects, the extended Fourier amplitude test, PAWN's distances."""
Rows = NDArray[np.float64]
Problem = dict[str, Any]

_HARMONICS = 4
"""Of FAST."""
_LEVELS = 4
"""Of Morris' grid."""


@dataclass(frozen=True)
class Design:
    """How many rows are asked for, and of what they are drawn.

    Attributes
    ----------
    samples : int
        Rows of Sobol's base design; the others are sized by it.
    second_order : bool
        Whether Sobol's indices of pairs are asked for, which costs about as many rows again.
    seed : int
        Not 0, which SALib takes for none.
    """

    samples: int
    second_order: bool
    seed: int


@dataclass(frozen=True)
class Method:
    """One method.

    Attributes
    ----------
    sample : callable
        SALib's problem and a design -> rows, (n, factors).
    indices : callable
        The same, rows and responses (n,) -> columns, (factors,) each, and matrices of pairs, (factors, factors).
    ranks_by : str
        The column by which factors are ranked.
    """

    sample: Callable[[Problem, Design], Rows]
    indices: Callable[[Problem, Design, Rows, NDArray[np.float64]], Mapping[str, NDArray[np.float64]]]
    ranks_by: str


def problem_of(factors: Factors) -> dict[str, Any]:
    """Return factors as SALib describes them."""
    return {"num_vars": len(factors.names), "names": list(factors.names), "bounds": [[factors.low, factors.high]] * len(factors.names)}


def seed_of(seed: int, text: str) -> int:
    """Return a seed for one purpose, 1 to 2³² − 1."""
    return int(np.random.SeedSequence((seed, zlib.crc32(text.encode()))).generate_state(1)[0]) or 1


def indices_of(
    method: Method, factors: Factors, design: Design, rows: Rows, responses: NDArray[np.float64]
) -> Mapping[str, NDArray[np.float64]] | str:
    """Return a method's indices, or why there are none."""
    missed = int((~np.isfinite(responses)).sum())
    if missed:
        return f"{missed:,} of {responses.size:,} stimuli were not answered, and every response is needed"
    if float(np.ptp(responses)) <= 1e-6 * float(np.abs(responses).max()):
        return "the unit answers all stimuli alike"
    with seeded_library(design.seed):
        found = method.indices(problem_of(factors), design, rows, responses)
    return {name: np.asarray(values, np.float64) for name, values in found.items()}


def _sobol_rows(problem: Problem, design: Design) -> Rows:
    from SALib.sample import sobol

    return sobol.sample(problem, design.samples, calc_second_order=_pairs(problem, design), seed=design.seed)


def _sobol(problem: Problem, design: Design, rows: Rows, responses: NDArray[np.float64]) -> Mapping[str, NDArray[np.float64]]:
    from SALib.analyze import sobol

    pairs = _pairs(problem, design)
    found = sobol.analyze(problem, responses, calc_second_order=pairs, seed=design.seed)
    columns = {"S1": found["S1"], "S1 ±": found["S1_conf"], "ST": found["ST"], "ST ±": found["ST_conf"]}
    return columns | ({"S2": found["S2"], "S2 ±": found["S2_conf"]} if pairs else {})


def _pairs(problem: Problem, design: Design) -> bool:
    return design.second_order and problem["num_vars"] > 1


def _morris_rows(problem: Problem, design: Design) -> Rows:
    from SALib.sample import morris

    return morris.sample(problem, max(4, design.samples // 8), num_levels=_LEVELS, seed=design.seed)


def _morris(problem: Problem, design: Design, rows: Rows, responses: NDArray[np.float64]) -> Mapping[str, NDArray[np.float64]]:
    from SALib.analyze import morris

    found = morris.analyze(problem, rows, responses, num_levels=_LEVELS, seed=design.seed)
    return {"Morris μ*": found["mu_star"], "Morris μ* ±": found["mu_star_conf"], "Morris σ": found["sigma"]}


def _fast_rows(problem: Problem, design: Design) -> Rows:
    from SALib.sample import fast_sampler

    apart = 4 * _HARMONICS**2 * max(1, problem["num_vars"] - 1) + 1  # with fewer rows, factors share frequencies
    return fast_sampler.sample(problem, max(apart, design.samples), M=_HARMONICS, seed=design.seed)


def _fast(problem: Problem, design: Design, rows: Rows, responses: NDArray[np.float64]) -> Mapping[str, NDArray[np.float64]]:
    from SALib.analyze import fast

    found = fast.analyze(problem, responses, M=_HARMONICS, seed=design.seed)
    return {"FAST S1": found["S1"], "FAST ST": found["ST"]}


def _pawn_rows(problem: Problem, design: Design) -> Rows:
    from SALib.sample import latin

    return latin.sample(problem, 8 * design.samples, seed=design.seed)


def _pawn(problem: Problem, design: Design, rows: Rows, responses: NDArray[np.float64]) -> Mapping[str, NDArray[np.float64]]:
    from SALib.analyze import pawn

    return {"PAWN": pawn.analyze(problem, rows, responses, S=10, seed=design.seed)["median"]}


METHODS: dict[Name, Method] = {
    "sobol": Method(_sobol_rows, _sobol, "ST"),
    "morris": Method(_morris_rows, _morris, "Morris μ*"),
    "fast": Method(_fast_rows, _fast, "FAST ST"),
    "pawn": Method(_pawn_rows, _pawn, "PAWN"),
}
