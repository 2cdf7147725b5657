"""One step of gradient ascent under each preset of transformations, against the bare forward and backward pass of the same stimuli.

    python -m benchmarks.seeing.step --repeats 9
    python -m benchmarks.seeing.step --generators fourier maco --presets "" lucid maco --candidates 1 --out FILE.json

The network is of ResNet-18's size at 224 px. The floor shows it as many stimuli as the preset does and takes the gradient at them.
"pipeline" puts the transformations before it and takes the gradient at the untransformed stimuli; "engine" is a whole step of a search:
the generator, the loop, the objective, Adam's ask and tell. Runs alternate, so that what else the machine does falls on all; a figure is
the median over the ratios of neighbouring runs. Times are CPU time, on one thread, where others share the machine.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

from actmax.engine.build import check
from actmax.engine.loop import Loop
from actmax.engine.run import searches_of
from actmax.engine.spec import JobSpec
from actmax.models.spaces import StimulusSpec
from actmax.models.targets.module import ModuleTarget
from actmax.models.transformations.presets import PRESETS
from benchmarks.seeing.resnet import resnet18

WIDE = StimulusSpec((3, 224, 224))


def timed(run: Callable[[], object]) -> float:
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    began = clock()
    run()
    return clock() - began


def measure(generator: str, preset: str, candidates: int, repeats: int) -> dict[str, float]:
    network = resnet18()
    spec = JobSpec.parse(
        {
            "generator": {"name": generator},
            "target": {"name": "net"},
            "units": ["fc[3]"],
            "optimizer": {"name": "adam", "options": {"batch": candidates, "restart": "never"}},
            "budget": {"evaluations": 10**6},
            "transformations": {"preset": preset} if preset else None,
            "device": "cpu",
        }
    )
    job = check(spec, given={"net": ModuleTarget(network, WIDE)})
    pipeline = job.scoring.transformations()
    searches = searches_of(job)
    loop = Loop(job.generator, job.target, searches, transformations=pipeline)
    shown = candidates * (1 if pipeline is None else pipeline.samples)
    stimuli = torch.rand(candidates, *WIDE.shape, generator=torch.Generator().manual_seed(0))
    floor_stimuli = torch.rand(shown, *WIDE.shape, generator=torch.Generator().manual_seed(0))
    progress = torch.zeros(candidates, dtype=torch.float64)

    def floor() -> None:
        leaf = floor_stimuli.clone().requires_grad_()
        torch.autograd.grad(network(leaf)[:, 3].sum(), leaf)

    def piped() -> None:
        leaf = stimuli.clone().requires_grad_()
        changed = leaf if pipeline is None else pipeline(leaf, 0, progress)
        torch.autograd.grad(network(changed)[:, 3].sum(), leaf)

    def engine() -> None:
        loop.step(searches)

    for run in (floor, piped, engine):
        run()
    rows = [(timed(floor), timed(piped), timed(engine)) for _ in range(repeats)]
    return {
        "floor": statistics.median(row[0] for row in rows),
        "pipeline": statistics.median(row[1] / row[0] for row in rows),
        "engine": statistics.median(row[2] / row[0] for row in rows),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--generators", nargs="*", default=["pixel"])
    parser.add_argument("--presets", nargs="*", default=["", *sorted(PRESETS)])
    parser.add_argument("--candidates", type=int, nargs="*", default=[1, 4])
    parser.add_argument("--out", type=Path, help="JSON file for the results")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    print(f"torch {torch.__version__}, {given.threads} thread(s), median of {given.repeats}")
    print(f"{'generator':<10}{'preset':<8}{'candidates':>11}{'floor, ms':>11}{'pipeline ÷ floor':>18}{'engine ÷ floor':>16}")
    rows: list[dict[str, object]] = []
    for generator in given.generators:
        for preset in given.presets:
            for candidates in given.candidates:
                found = measure(generator, preset, candidates, given.repeats)
                name = preset or "none"
                rows.append({"generator": generator, "preset": name, "candidates": candidates, **found})
                print(
                    f"{generator:<10}{name:<8}{candidates:>11}{1e3 * found['floor']:>11.1f}"
                    f"{found['pipeline']:>18.3f}{found['engine']:>16.3f}",
                    flush=True,
                )
    if given.out:
        given.out.parent.mkdir(parents=True, exist_ok=True)
        settings = {"torch": torch.__version__, "threads": given.threads, "repeats": given.repeats}
        given.out.write_text(json.dumps({**settings, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
