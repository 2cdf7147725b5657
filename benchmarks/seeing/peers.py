"""A step of Lucent and of Horama against ours and the bare forward and backward pass, at equal settings.

    python -m venv build/seeing-venv --system-site-packages && build/seeing-venv/bin/pip install -e '.[server]' torch-lucent horama einops
    build/seeing-venv/bin/python -m benchmarks.seeing.peers --out FILE.json

One image of 224 px for one class of a network of ResNet-18's size. Lucent: Fourier coefficients, Adam, its standard transforms, against our
`fourier` under the recipe `lucid`. Horama: MACO, six crops a step, NAdam, against ours under the recipe `maco`; its spectrum file
is written from ours, since it would be downloaded. What a step takes is half the difference of runs of three steps and of one. Runs
alternate; times are CPU time on one thread; figures are medians of the ratios to the floor of the same round.

Horama's crops are made by torchvision's `roi_align`. Where torchvision has no compiled operators, as beside a torch without CUDA, its
fallback asks for hundreds of gigabytes; there torch's `grid_sample` stands in for it, sampling as often.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import json
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from actmax.engine.build import check
from actmax.engine.evaluation.evaluator import EvaluationSetup
from actmax.engine.evaluation.loop import Loop
from actmax.engine.run import searches_of
from actmax.engine.spec import JobSpec
from actmax.models.generators.maco import MacoGenerator
from actmax.models.spaces import StimulusSpec
from actmax.models.targets.module import ModuleTarget
from benchmarks.seeing.resnet import resnet18

WIDE = StimulusSpec((3, 224, 224))
CROPS = 6


def spent(run: Callable[[], object]) -> float:
    began = time.process_time()
    with contextlib.redirect_stderr(io.StringIO()):  # progress bars
        run()
    return time.process_time() - began


def step_of(run: Callable[[int], object]) -> float:
    """Seconds a step of ``run(steps)``, without what comes before and after."""
    return (spent(lambda: run(3)) - spent(lambda: run(1))) / 2


def ours(network: torch.nn.Module, generator: str, preset: str, rule: str) -> Callable[[int], None]:
    spec = JobSpec.parse(
        {
            "generator": {"name": generator},
            "target": {"name": "net"},
            "units": ["fc[3]"],
            "optimizer": {"name": "adam", "options": {"rule": rule, "restart": "never"}},
            "budget": {"evaluations": 10**6},
            "transformations": {"preset": preset},
            "device": "cpu",
        }
    )
    job = check(spec, given={"net": ModuleTarget(network, WIDE)})
    searches = searches_of(job)
    loop = Loop(EvaluationSetup(job.generator, job.target, transformations=job.scoring.transformations()), searches)

    def run(steps: int) -> None:
        for _ in range(steps):
            loop.step(searches)

    return run


def floor(network: torch.nn.Module, shown: int) -> Callable[[int], None]:
    stimuli = torch.rand(shown, *WIDE.shape, generator=torch.Generator().manual_seed(0))

    def run(steps: int) -> None:
        for _ in range(steps):
            leaf = stimuli.clone().requires_grad_()
            torch.autograd.grad(network(leaf)[:, 3].sum(), leaf)

    return run


def lucent(network: torch.nn.Module) -> Callable[[int], None]:
    from lucent.optvis import param, render  # pyright: ignore[reportMissingImports]

    def run(steps: int) -> None:
        render.render_vis(
            network, "fc:3", lambda: param.image(224), thresholds=(steps,), preprocess=False, progress=False, show_image=False
        )

    return run


def horama(network: torch.nn.Module, grid: bool) -> Callable[[int], None]:
    library = importlib.import_module("horama")
    common = importlib.import_module("horama.common")
    aligned = common.roi_align

    def run(steps: int) -> None:
        setattr(common, "roi_align", by_grid if grid else aligned)  # noqa: B010 - a module that types don't know
        try:
            library.maco(
                lambda images: network(images)[:, 3].mean(),
                total_steps=steps,
                image_size=224,
                values_range=(0.0, 1.0),
                crops_per_iteration=CROPS,
                device="cpu",
            )
        finally:
            setattr(common, "roi_align", aligned)  # noqa: B010

    return run


def by_grid(image: Tensor, boxes: Tensor, output_size: tuple[int, int]) -> Tensor:
    """Crops of one image, (1, channels, h, w), boxes (n, 5): (n, channels, *output_size)."""
    side = image.shape[-1]
    low, high = 2 * boxes[:, 1:3] / side - 1, 2 * boxes[:, 3:5] / side - 1
    theta = torch.diag_embed((high - low) / 2)
    theta = torch.cat([theta, ((low + high) / 2)[..., None]], 2)
    grid = F.affine_grid(theta, [len(boxes), image.shape[1], *output_size], align_corners=False)
    return F.grid_sample(image.expand(len(boxes), -1, -1, -1), grid, align_corners=False)


def without_operators() -> bool:
    """Let torchvision import beside a torch without CUDA; whether that was needed."""
    try:
        importlib.import_module("torchvision")
    except RuntimeError:
        library = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        globals()["_kept"] = library
        return True
    return False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    lacking = without_operators()
    network = resnet18()
    one = {
        "floor": floor(network, 1),
        "actmax fourier, lucid": ours(network, "fourier", "lucid", "adam"),
        "lucent fourier": lucent(network),
    }
    six = {
        "floor": floor(network, CROPS),
        "actmax maco, maco": ours(network, "maco", "maco", "nadam"),
        "horama maco": horama(network, lacking),
    }
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        back = Path.cwd()
        os.chdir(folder)
        generator = MacoGenerator.for_stimulus(MacoGenerator.Options(), WIDE)
        np.save("spectrum_decorrelated.npy", generator.magnitude.numpy())
        try:
            for shown, runs in ((1, one), (CROPS, six)):
                for run in runs.values():
                    spent(lambda run=run: run(1))
                rounds = [{name: step_of(run) for name, run in runs.items()} for _ in range(given.repeats)]
                for name in runs:
                    ratio = statistics.median(round_[name] / round_["floor"] for round_ in rounds)
                    seconds = statistics.median(round_[name] for round_ in rounds)
                    rows.append({"shown": shown, "what": name, "milliseconds": round(1e3 * seconds, 1), "floor": round(ratio, 3)})
                    print(json.dumps(rows[-1]), flush=True)
        finally:
            os.chdir(back)
    if given.out:
        settings = {"torch": torch.__version__, "repeats": given.repeats, "torchvision_operators": not lacking}
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text(json.dumps({**settings, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
