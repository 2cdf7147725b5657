"""Libraries that analyses call: whether they are there, and what they would otherwise take from their surroundings."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from ...models.options import InvalidOption


def require_libraries(*packages: str) -> None:
    """Raise InvalidOption where one of ``packages``, which ``actmax[analyses]`` brings, is not installed."""
    for package in packages:
        if importlib.util.find_spec(package) is None:
            raise InvalidOption("", f"{package} is not installed here; pip install 'actmax[analyses]'")


@contextmanager
def seeded_library(seed: int) -> Iterator[None]:
    """Return a context for calls of SALib and scikit-learn, in which equal calls give equal results.

    NumPy's global random state, which some of them draw from whatever seed they are given, is seeded, and put back at the end. Sums over
    threads, whose order changes, are made on one. Warnings of libraries, such as of iterations that end early, are not shown.

    Parameters
    ----------
    seed : int
        0 to 2³² − 1.
    """
    from threadpoolctl import threadpool_limits

    before = np.random.get_state(legacy=True)  # noqa: NPY002 - it is the libraries'
    np.random.seed(seed)  # noqa: NPY002
    try:
        with threadpool_limits(1), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        np.random.set_state(before)  # noqa: NPY002
