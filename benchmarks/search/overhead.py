"""Processor time of ask + tell of 40 candidates for every registered optimizer, on one core.

    python -m benchmarks.search.overhead [--method cma protes]

Scoring costs nothing here: a fixed random direction, or a table of each position's codes. Every optimizer starts from a bank. Where it asks
more or fewer than 40 at a time (a batch of 40 is set where it has the option), asks are added up until there are 40 and the time is scaled.
`auto` gets no gradients here and keeps the batch of what it chooses: 5 over codes, so that 40 candidates are 8 asks. What counts is the
least of three medians, since other work on the machine only adds to them.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from actmax.engine.components.registry import components, find, options_of
from actmax.engine.errors import InvalidJob
from actmax.models.densities import fit_density
from actmax.models.spaces import Box, Categorical, LatentSpace
from actmax.optimizers.optimizer import Evaluations, Problem, Unsuitable
from actmax.optimizers.testing import Landscape

STORED = Path(__file__).with_name("overhead.json")
CANDIDATES, ROUNDS, BANK = 40, 30, 500
REPEATS = 3
SPACES: dict[str, LatentSpace] = {
    "64": Box((64,), -3.0, 3.0),
    "4096": Box((4096,), -3.0, 3.0),
    "64x512": Categorical((8, 8), 512),
}
BARS = {"64": 2.0, "4096": 6.0, "64x512": 5.0}
"""Milliseconds; that of codes is for tensor trains."""


def bank_of(space: LatentSpace) -> Tensor:
    """Standard normal in a box, uniform codes else."""
    generator = torch.Generator().manual_seed(0)
    return (
        torch.randn(BANK, *space.shape, generator=generator).clamp(-3.0, 3.0) if isinstance(space, Box) else space.sample(BANK, generator)
    )


def measure(name: str, space: LatentSpace, seconds: float = 20.0) -> float | str:
    """The least of the median milliseconds of 40 candidates in three runs, or why there are none."""
    found = [_measured(name, space, seconds / REPEATS) for _ in range(REPEATS)]
    numbers = [one for one in found if not isinstance(one, str)]
    return min(numbers) if numbers else found[0]


def _measured(name: str, space: LatentSpace, seconds: float) -> float | str:
    found: Any = find("optimizer", name, "optimizer")
    given = {"batch": CANDIDATES} if "batch" in found.Options.model_fields else {}
    bank = bank_of(space)
    vectors = torch.randn(512, 32, generator=torch.Generator().manual_seed(1)) if isinstance(space, Categorical) else None
    problem = Problem(
        space,
        0,
        CANDIDATES * ROUNDS,
        bank=bank,
        density=lambda: fit_density(space, bank),
        code_vectors=vectors,
        differentiable=found.needs_gradient is True,
    )
    try:
        optimizer = found(problem, options_of(found, given, "options"))
    except Unsuitable:
        return "unsuitable"
    except InvalidJob as error:
        return "; ".join(violation.description for violation in error.violations)
    landscape = Landscape(space)
    began = time.process_time()
    blocks: list[float] = []
    while len(blocks) < ROUNDS and (len(blocks) < 3 or time.process_time() - began < seconds):
        spent, candidates = 0.0, 0
        while candidates < CANDIDATES:
            start = time.process_time()
            graded = optimizer.needs_gradient is True
            asked = optimizer.ask()
            spent += time.process_time() - start
            told: Evaluations = landscape.evaluate(asked, graded)
            start = time.process_time()
            optimizer.tell(told)
            spent += time.process_time() - start
            candidates += len(asked)
        blocks.append(1e3 * spent * CANDIDATES / candidates)
    # the first block pays once for what is built at the first ask
    return round(statistics.median(blocks[1:]), 3)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and store beside what was stored."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--method", nargs="+", default=[entry.name for entry in components("optimizer") if not entry.unavailable])
    parser.add_argument("--spaces", nargs="+", default=list(SPACES), choices=SPACES)
    parser.add_argument("--stored", type=Path, default=STORED)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    stored: dict[str, dict[str, float | str]] = json.loads(options.stored.read_text()) if options.stored.exists() else {}
    for name in options.method:
        for space in options.spaces:
            try:
                stored.setdefault(name, {})[space] = measure(name, SPACES[space])
            except Exception as error:  # one optimizer's failure must not hide the others
                stored.setdefault(name, {})[space] = f"{type(error).__name__}: {error}"[:120]
            print(name, space, stored[name][space], flush=True)
    options.stored.write_text(json.dumps(stored, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
