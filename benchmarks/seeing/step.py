"""One step of gradient ascent under each preset of transformations, against the bare forward and backward pass of the same stimuli.

    python -m benchmarks.seeing.step --repeats 9
    python -m benchmarks.seeing.step --generators fourier maco --presets "" lucid maco --candidates 1 --out FILE.json
    python -m benchmarks.seeing.step --network efficientnet-lite0 --device cuda

The network is of ResNet-18's size at 224 px, or EfficientNet-lite0 with its trained weights. The floor shows it as many stimuli as the
preset does and takes the gradient at them. "pipeline" puts the transformations before it and takes the gradient at the untransformed
stimuli; "engine" is a whole step of a search: the generator, the loop, the objective, Adam's ask and tell. Runs alternate, so that what
else the machine does falls on all; a figure is the median over the ratios of neighbouring runs. Times are CPU time, on one thread, where
others share the machine; on a CUDA device they are times on the wall, and what was started on it has ended.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from actmax.engine.build import check
from actmax.engine.evaluation.evaluator import EvaluationSetup
from actmax.engine.evaluation.loop import Loop
from actmax.engine.run import searches_of
from actmax.engine.spec import JobSpec
from actmax.models.spaces import StimulusSpec
from actmax.models.targets.module import ModuleTarget
from actmax.models.transformations.presets import PRESETS
from benchmarks.devices import described, forget_peak, peak_bytes, timed
from benchmarks.public_networks.trained_networks import efficientnet_lite0
from benchmarks.seeing.resnet import resnet18

WIDE = StimulusSpec((3, 224, 224))
NETWORKS: dict[str, tuple[Callable[[], nn.Module], str]] = {"resnet18": (resnet18, "fc"), "efficientnet-lite0": (efficientnet_lite0, "_fc")}
"""Networks, and the layer of their classes."""


def measure(
    generator: str, preset: str, candidates: int, repeats: int, device: str = "cpu", network_name: str = "resnet18"
) -> dict[str, float]:
    make, layer = NETWORKS[network_name]
    network = make().to(device)
    spec = JobSpec.parse(
        {
            "generator": {"name": generator},
            "target": {"name": "net"},
            "units": [f"{layer}[3]"],
            "optimizer": {"name": "adam", "options": {"batch": candidates, "restart": "never"}},
            "budget": {"evaluations": 10**6},
            "transformations": {"preset": preset} if preset else None,
            "device": device,
        }
    )
    job = check(spec, given={"net": ModuleTarget(network, WIDE)})
    pipeline = job.scoring.transformations()
    searches = searches_of(job)
    loop = Loop(EvaluationSetup(job.generator.to(device), job.target, device, transformations=pipeline), searches)
    shown = candidates * (1 if pipeline is None else pipeline.samples)
    stimuli = torch.rand(candidates, *WIDE.shape, generator=torch.Generator().manual_seed(0)).to(device)
    floor_stimuli = torch.rand(shown, *WIDE.shape, generator=torch.Generator().manual_seed(0)).to(device)
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

    forget_peak(device)
    for run in (floor, piped, engine):
        run()
    rows = [(timed(floor, device), timed(piped, device), timed(engine, device)) for _ in range(repeats)]
    return {
        "floor": statistics.median(row[0] for row in rows),
        "pipeline": statistics.median(row[1] / row[0] for row in rows),
        "engine": statistics.median(row[2] / row[0] for row in rows),
        "peak_bytes": peak_bytes(device),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--network", choices=NETWORKS, default="resnet18")
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
                found = measure(generator, preset, candidates, given.repeats, given.device, given.network)
                name = preset or "none"
                rows.append({"generator": generator, "preset": name, "candidates": candidates, **found})
                print(
                    f"{generator:<10}{name:<8}{candidates:>11}{1e3 * found['floor']:>11.1f}"
                    f"{found['pipeline']:>18.3f}{found['engine']:>16.3f}",
                    flush=True,
                )
    if given.out:
        given.out.parent.mkdir(parents=True, exist_ok=True)
        settings = {**described(given.device), "network": given.network, "threads": given.threads, "repeats": given.repeats}
        given.out.write_text(json.dumps({**settings, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
