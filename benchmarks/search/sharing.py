"""Twenty units searched together, each overhearing the others, against the same twenty searched apart.

    python -m benchmarks.search.sharing --method auto --seeds 3

Runs the engine's own loop over all units of a problem, once with sharing and once without, and notes the clean response of every search's
recommendation as evaluations grow. Evaluations are those that a search asked for itself.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from actmax.engine.evaluation.evaluator import EvaluationSetup
from actmax.engine.evaluation.loop import Loop
from actmax.engine.search.search import Search, SearchedUnit
from actmax.engine.spec import BudgetSpec
from actmax.models.objectives.unit import UnitObjective
from actmax.models.units import resolve

from . import ours, vision
from .problems import Missing, families
from .trace import SHARES

STORED = Path(__file__).with_name("sharing.jsonl")
PARTS = {
    "vqvae-snn": ("cifar10-vqvae", "cifar10-snn"),
    "sngan-snn": ("cifar10-sngan", "cifar10-snn"),
    "sngan-cnn": ("cifar10-sngan", "cifar10-cnn"),
}


class Recorder:
    """Notes the response to what each search recommends, whenever evaluations pass one of the counts."""

    def __init__(self, loop: Loop, budget: int) -> None:
        self.loop = loop
        self.counts = sorted({max(1, round(budget * share)) for share in SHARES})
        self.curves: dict[str, list[float]] = {}
        self._known: dict[str, tuple[Tensor, float]] = {}

    def generation_done(self, searches: Sequence[Search], seconds: float) -> None:
        """After every generation."""
        del seconds
        for search in searches:
            curve = self.curves.setdefault(search.unit, [])
            while len(curve) < len(self.counts) and self.counts[len(curve)] <= search.evaluations:
                latent = search.recommend()
                known = self._known.get(search.unit)
                if known is None or not torch.equal(known[0], latent):
                    known = self._known[search.unit] = (latent, float(self.loop.measure([(search, latent[None])])[0]))
                curve.append(known[1])


def record(problem: str, units: Sequence[str], method: str, seed: int, budget: int, together: bool, code: str) -> list[dict[str, object]]:
    """Curves of all units; ``code`` is the digest of what is run."""
    generator, target = (vision.component(kind, name) for kind, name in zip(("generator", "target"), PARTS[problem], strict=True))
    searches: list[Search] = []
    for unit in units:
        (address,) = resolve(unit, target.layers())
        optimizer = ours.built(families()[problem].build(unit, seed), ours.Method.parse(ours.PREFIX + method), seed, budget)
        searches.append(
            Search(SearchedUnit(unit), method, generator.latent, UnitObjective(address), optimizer, BudgetSpec(evaluations=budget))
        )
    loop = Loop(EvaluationSetup(generator, target), searches, sharing=together)
    recorder = Recorder(loop, budget)
    loop.observers = [recorder]
    loop.run()
    head = {"problem": problem, "method": method, "seed": seed, "budget": budget, "together": together, "units": len(units)}
    return [{**head, "code": code, "unit": unit, "counts": recorder.counts, "curve": recorder.curves[unit]} for unit in units]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for; what is stored is left alone unless its code has changed."""
    try:
        return _run(arguments)
    except Missing as error:
        print(error, file=sys.stderr)
        return 1


def _run(arguments: Sequence[str] | None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problem", nargs="+", default=["vqvae-snn"], choices=PARTS)
    parser.add_argument("--method", nargs="+", default=["auto"], help="optimizers, as in run.py without ours:")
    parser.add_argument("--units", nargs="+", default=["all"])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--budget", type=int, default=None)
    parser.add_argument("--stored", type=Path, default=STORED)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    lines = [json.loads(line) for line in options.stored.read_text().splitlines()] if options.stored.exists() else []
    for problem in options.problem:
        family = families()[problem]
        units = family.units if options.units == ["all"] else tuple(options.units)
        budget = options.budget or family.budget
        for method in options.method:
            code = ours.code_of(family.build(units[0], 0), ours.PREFIX + method, hears=True)
            for seed in range(options.seeds):
                for together in (True, False):
                    key = (problem, method, seed, budget, together, len(units))
                    old = [one for one in lines if tuple(one[part] for part in KEY) == key]
                    if old and old[0]["code"] == code:
                        continue
                    found = record(problem, units, method, seed, budget, together, code)
                    lines = [one for one in lines if one not in old] + found
                    options.stored.write_text("".join(json.dumps(line) + "\n" for line in lines))
                    last = sorted(one["curve"][-1] for one in found if isinstance(one["curve"], list))
                    print(problem, method, seed, "together" if together else "apart", "median", last[len(last) // 2], flush=True)
    return 0


KEY = ("problem", "method", "seed", "budget", "together", "units")

if __name__ == "__main__":
    raise SystemExit(main())
