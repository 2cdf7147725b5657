"""Runs the grid of problems, units, methods and seeds; what is in the results already is left alone, so that evidence accumulates.

    python -m benchmarks.search.run                                   # the first, reduced grid
    python -m benchmarks.search.run --problem vqvae-snn --units all --seeds 10 --method peers ours:auto ours:protes:blind
    python -m benchmarks.search.run --problem 'bump*' 'relu*' --method ours --seeds 10 --stale

``--method`` takes names of peers, ``ours:name``, and the groups ``peers``, ``blind`` (peers without the natural bar) and ``ours``. Results
are lines of JSON, one a run, under ``results/``; the last line of a key counts.
"""

from __future__ import annotations

import argparse
import fcntl
import fnmatch
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from actmax.engine.errors import InvalidJob
from actmax.optimizers.optimizer import Unsuitable

from . import ours, peers
from .problems import Missing, SearchProblem, families
from .together import run_together
from .trace import Trace

RESULTS = Path(__file__).with_name("results")


@dataclass(frozen=True)
class Task:
    """One run."""

    problem: str
    unit: str
    method: str
    seed: int
    budget: int

    @property
    def key(self) -> tuple[str, str, str, int, int]:
        """What it is known by in the results."""
        return self.problem, self.unit, self.method, self.seed, self.budget


def perform(task: Task, adapt: Callable[[SearchProblem], SearchProblem] | None = None) -> dict[str, Any]:
    """Run one task, its problem adapted where ``adapt`` is given and no gradients are taken: its record.

    Raises
    ------
    Missing
        A part is not installed or not trained yet.
    NotTried, Unsuitable
        The method can't search the problem.
    """
    torch.set_num_threads(1)
    problem = families()[task.problem].build(task.unit, task.seed)
    if adapt is not None and not (task.method.startswith(ours.PREFIX) and ours.takes_gradients(problem, task.method)):
        problem = adapt(problem)
    trace = Trace(problem, task.seed, task.budget)
    began = time.process_time()
    further: dict[str, Any] = {}
    if task.method.startswith(ours.PREFIX):
        recommendation, further = ours.run_ours(task.method, trace, task.seed)
        further["code"] = ours.code_of(problem, task.method)
    else:
        recommendation, failed = peers.run_peer(task.method, trace, task.seed)
        further["package"] = peers.version(task.method)
        if failed:
            further["failed"] = failed
    record = trace.finished(recommendation, time.process_time() - began)
    return {**task.__dict__, "digest": problem.digest, "peak": problem.peak, **record, **further}


def load(folder: Path = RESULTS) -> dict[tuple[str, str, str, int, int], dict[str, Any]]:
    """All records, the last of each key."""
    found: dict[tuple[str, str, str, int, int], dict[str, Any]] = {}
    for path in sorted(folder.glob("*.jsonl")):
        for line in path.read_text().splitlines():
            record = json.loads(line)
            found[record["problem"], record["unit"], record["method"], record["seed"], record["budget"]] = record
    return found


def store(record: dict[str, Any], folder: Path = RESULTS) -> None:
    """Append one record; several processes may do so at once."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{record['problem']}.jsonl").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(json.dumps(record) + "\n")


def compact(folder: Path = RESULTS) -> None:
    """Rewrite the results with the last record of each key alone, in order."""
    records = load(folder)
    for path in folder.glob("*.jsonl"):
        kept = [record for key, record in sorted(records.items()) if key[0] == path.stem]
        path.write_text("".join(json.dumps(record) + "\n" for record in kept))


def tasks(
    problems: Sequence[str], methods: Sequence[str], units: Sequence[str] | str, seeds: Iterable[int], budget: int | None
) -> list[Task]:
    """The grid; ``units`` is "first", "all" or addresses, ``budget`` None for each problem's own."""
    found: list[Task] = []
    every = families()
    for name in [name for name in every if any(fnmatch.fnmatch(name, pattern) for pattern in problems)]:
        family = every[name]
        chosen = family.first if units == "first" else family.units if units == "all" else tuple(units)
        try:
            example = family.build(chosen[0], 0)
        except Missing as error:
            print(f"{name}: left out, {error}", file=sys.stderr)
            continue
        named: list[str] = []
        for method in methods:
            named += {"peers": list(peers.PEERS), "blind": list(peers.BLIND)}.get(method) or (
                ours.registered(example) if method == "ours" else [method]
            )
        for seed in seeds:
            for unit in chosen:
                found += [Task(name, unit, method, seed, budget or family.budget) for method in dict.fromkeys(named)]
    return found


def is_stored(task: Task, records: dict[tuple[str, str, str, int, int], dict[str, Any]], stale: bool) -> bool:
    """Whether its result is there, of the same problem and, where ``stale`` ones are to be run again, of the same code."""
    record = records.get(task.key)
    if record is None:
        return False
    problem = families()[task.problem].build(task.unit, task.seed)
    if record["digest"] != problem.digest:
        return False
    return not (stale and "code" in record and record["code"] != ours.code_of(problem, task.method))


def attempt(task: Task, adapt: Callable[[SearchProblem], SearchProblem] | None = None) -> dict[str, Any] | str:
    """Its record, or why there is none."""
    try:
        return perform(task, adapt)
    except (Missing, peers.NotTried, Unsuitable) as error:
        return str(error)
    except InvalidJob as error:
        return "; ".join(violation.description for violation in error.violations)
    except Exception as error:  # an optimizer under work must not end the whole grid
        if not task.method.startswith(ours.PREFIX):
            raise
        return f"failed: {type(error).__name__}: {error}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problem", nargs="+", default=["vqvae-snn", "bump*", "relu*"], help="names, with * and ?")
    parser.add_argument("--method", nargs="+", default=["peers"])
    parser.add_argument("--units", nargs="+", default=["first"], help="first, all, or addresses")
    parser.add_argument("--seeds", type=int, default=2, help="how many, from --first-seed")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--budget", type=int, default=None, help="evaluations; each problem's own by default")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--together", type=int, default=0, help="so many runs at once, scored in common batches by one core")
    parser.add_argument("--stale", action="store_true", help="run ours again where their code has changed since")
    parser.add_argument("--again", action="store_true", help="run all again")
    parser.add_argument("--seconds", type=float, default=None, help="start nothing new after so long")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    units = options.units[0] if options.units in (["first"], ["all"]) else options.units
    grid = tasks(options.problem, options.method, units, range(options.first_seed, options.first_seed + options.seeds), options.budget)
    records = load(options.results)
    left = [task for task in grid if options.again or not is_stored(task, records, options.stale)]
    print(f"{len(grid)} runs, {len(grid) - len(left)} of them there already", file=sys.stderr)
    began = time.monotonic()

    def note(task: Task, record: dict[str, Any] | str) -> None:
        spent = f"{time.monotonic() - began:6.0f} s  {task.problem} {task.unit} {task.method} seed {task.seed}: "
        if isinstance(record, str):
            print(spent + record, file=sys.stderr)
            return
        store(record, options.results)
        seconds = f"scoring {record['scoring_seconds']:.1f} s, overhead {record['overhead_seconds']:.1f} s"
        failed = f", {record['failed']}" if record.get("failed") else ""
        print(f"{spent}{record['final']} after {record['evaluations']} ({seconds}){failed}", file=sys.stderr)

    def due() -> bool:
        return options.seconds is None or time.monotonic() - began < options.seconds

    if options.together:
        for name in dict.fromkeys(task.problem for task in left):
            run_together([task for task in left if task.problem == name], attempt, options.together, due, note)
        return 0
    if options.jobs == 1:
        for task in left:
            if due():
                note(task, attempt(task))
        return 0
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with ProcessPoolExecutor(options.jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        for task, record in zip(left, pool.map(attempt, left), strict=True):
            note(task, record)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
