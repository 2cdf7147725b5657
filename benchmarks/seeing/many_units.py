"""Many units in one job against as many jobs of one unit each: time, and how far the responses differ (starts do).

    OMP_NUM_THREADS=1 python -m benchmarks.seeing.many_units --units 64 --steps 32
    python -m benchmarks.seeing.many_units --network efficientnet-lite0 --device cuda --out FILE.json

The zoo's CNN, channels of layer2, or EfficientNet-lite0 at 224 px, channels of its head; Fourier coefficients, Adam. The time is the
processor's, that of the searches and of measuring what they recommend; building the network, which each single job does anew, and writing
reports are left out of both. Single runs are timed for a part of the units, spread evenly, and scaled up; batched and single runs take
turns, so that a busy machine slows both. On a CUDA device it is the time on the wall.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch

from actmax.engine.build import check
from actmax.engine.evaluation.packing import pass_size
from actmax.engine.resolved_job import ResolvedJob
from actmax.engine.run import execute, searches_of
from actmax.engine.spec import JobSpec
from benchmarks.devices import described, forget_peak, peak_bytes
from benchmarks.devices import timed as seconds_of
from benchmarks.public_networks.trained_networks import NORMALISED, efficientnet_lite0

LAYERS = {"cifar10-cnn": "layer2", "efficientnet-lite0": "_conv_head"}
"""Networks, and the layer whose channels are searched."""


def prepared(units: list[str], steps: int, candidates: int, device: str = "cpu", given: dict[str, Any] | None = None) -> ResolvedJob:
    target = {"name": "efficientnet-lite0", "options": {"shape": [3, 224, 224], **NORMALISED}} if given else {"name": "cifar10-cnn"}
    return check(
        JobSpec.parse(
            {
                "generator": {"name": "fourier"},
                "target": target,
                "units": units,
                "optimizer": {"name": "adam", "options": {"restart": "never", "batch": candidates, "screen": 0}},
                "budget": {"evaluations": steps * candidates},
                "device": device,
                "seed": 1,
            }
        ),
        given=given,
    )


def timed(job: ResolvedJob) -> tuple[float, dict[str, float]]:
    found: dict[str, float] = {}

    def run() -> None:
        found.update({search.unit: search.response for search in execute(job, searches_of(job)).searches})

    return seconds_of(run, job.device), found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--units", type=int, default=64)
    parser.add_argument("--steps", type=int, default=32)
    parser.add_argument("--candidates", type=int, default=1, help="Of one unit in a step.")
    parser.add_argument("--singles", type=int, default=16, help="How many single runs to time.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--network", choices=LAYERS, default="cifar10-cnn")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("many_units.json"))
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    layer, given = LAYERS[asked.network], {asked.network: efficientnet_lite0()} if asked.network == "efficientnet-lite0" else None
    units = [f"{layer}[{number}]" for number in range(asked.units)]
    chosen = units[:: max(1, asked.units // asked.singles)][: asked.singles]
    together = prepared(units, asked.steps, asked.candidates, asked.device, given)
    alone = [prepared([unit], asked.steps, asked.candidates, asked.device, given) for unit in chosen]
    timed(prepared(units[:1], 2, 1, asked.device, given))
    forget_peak(asked.device)
    seconds = []
    ratios, differences = [], []
    for number in range(asked.rounds):
        batched, found = timed(together)
        runs = [timed(job) for job in alone]
        singles = sum(took for took, _ in runs) * len(units) / len(chosen)
        seconds.append(batched)
        differences += [abs(found[unit] / response - 1) for _, one in runs for unit, response in one.items()]
        ratios.append(batched / singles)
        print(f"round {number + 1}: {batched:.2f} s together, {singles:.2f} s alone, {ratios[-1]:.2f} x")
    stated = {
        **described(asked.device),
        "network": asked.network,
        "layer": layer,
        "units": asked.units,
        "steps": asked.steps,
        "candidates": asked.candidates,
        "single_runs_timed": len(chosen),
        "threads": asked.threads,
        "stimuli_in_a_pass": pass_size(together.target, together.generator.stimulus, asked.device),
        "seconds_together": round(sorted(seconds)[len(seconds) // 2], 3),
        "peak_bytes": peak_bytes(asked.device),
        "ratios": [round(ratio, 3) for ratio in sorted(ratios)],
        "median_ratio": round(sorted(ratios)[len(ratios) // 2], 3),
        "median_difference_of_response": round(sorted(differences)[len(differences) // 2], 4),
    }
    asked.out.write_text(json.dumps(stated, indent=2) + "\n")
    print(json.dumps(stated, indent=2))


if __name__ == "__main__":
    main()
