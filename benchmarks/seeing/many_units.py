"""Many units in one job against as many jobs of one unit each: time, and how far the responses differ (starts do).

    OMP_NUM_THREADS=1 python -m benchmarks.seeing.many_units --units 64 --steps 32

The zoo's CNN, channels of layer2; Fourier coefficients, Adam. The time is the processor's, that of the searches and of measuring what they
recommend; building the network, which each single job does anew, and writing reports are left out of both. Single runs are timed for a part
of the units, spread evenly, and scaled up; batched and single runs take turns, so that a busy machine slows both.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import torch

from actmax.engine.build import CheckedJob, check
from actmax.engine.packing import pass_size
from actmax.engine.run import execute, searches_of
from actmax.engine.spec import JobSpec

LAYER = "layer2"


def prepared(units: list[str], steps: int, candidates: int) -> CheckedJob:
    return check(
        JobSpec.parse(
            {
                "generator": {"name": "fourier"},
                "target": {"name": "cifar10-cnn"},
                "units": units,
                "optimizer": {"name": "adam", "options": {"restart": "never", "batch": candidates, "screen": 0}},
                "budget": {"evaluations": steps * candidates},
                "device": "cpu",
                "seed": 1,
            }
        )
    )


def timed(job: CheckedJob) -> tuple[float, dict[str, float]]:
    began = time.process_time()
    result = execute(job, searches_of(job))
    return time.process_time() - began, {search.unit: search.response for search in result.searches}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--units", type=int, default=64)
    parser.add_argument("--steps", type=int, default=32)
    parser.add_argument("--candidates", type=int, default=1, help="Of one unit in a step.")
    parser.add_argument("--singles", type=int, default=16, help="How many single runs to time.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("many_units.json"))
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    units = [f"{LAYER}[{number}]" for number in range(asked.units)]
    chosen = units[:: max(1, asked.units // asked.singles)][: asked.singles]
    together = prepared(units, asked.steps, asked.candidates)
    alone = [prepared([unit], asked.steps, asked.candidates) for unit in chosen]
    timed(prepared(units[:1], 2, 1))
    ratios, differences = [], []
    for number in range(asked.rounds):
        batched, found = timed(together)
        runs = [timed(job) for job in alone]
        singles = sum(seconds for seconds, _ in runs) * len(units) / len(chosen)
        differences += [abs(found[unit] / response - 1) for _, one in runs for unit, response in one.items()]
        ratios.append(batched / singles)
        print(f"round {number + 1}: {batched:.2f} s together, {singles:.2f} s alone, {ratios[-1]:.2f} x")
    stated = {
        "layer": LAYER,
        "units": asked.units,
        "steps": asked.steps,
        "candidates": asked.candidates,
        "single_runs_timed": len(chosen),
        "threads": asked.threads,
        "stimuli_in_a_pass": pass_size(together.target, together.generator.stimulus, "cpu"),
        "ratios": [round(ratio, 3) for ratio in sorted(ratios)],
        "median_ratio": round(sorted(ratios)[len(ratios) // 2], 3),
        "median_difference_of_response": round(sorted(differences)[len(differences) // 2], 4),
    }
    asked.out.write_text(json.dumps(stated, indent=2) + "\n")
    print(json.dumps(stated, indent=2))


if __name__ == "__main__":
    main()
