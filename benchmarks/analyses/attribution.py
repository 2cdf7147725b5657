"""What attribution costs beside the library's own call, on the zoo's CNN: ``python -m benchmarks.analyses.attribution``

Both sides attribute the same class on the same 100 pictures in the same batches, in one thread. Times are of the processor, the least of
several turns;
actmax's hold everything that the analysis does without scores: reading the pictures, the maps, the section; the library's reading too.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from captum import attr
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from actmax.engine.analyses.analysis import AnalysisContext
from actmax.engine.analyses.attribution.grad_cam import GradCam
from actmax.engine.analyses.attribution.gradient import Gradient
from actmax.engine.analyses.attribution.integrated_gradients import IntegratedGradients
from actmax.engine.analyses.attribution.library import zennit
from actmax.engine.analyses.attribution.lrp import LRP
from actmax.engine.analyses.attribution.method import Attribution
from actmax.models.generators.pixel import PixelGenerator
from actmax.models.pictures.decoding import decode
from actmax.models.units import resolve
from actmax.models.zoo.architectures.cnn import BasicBlock
from actmax.models.zoo.targets import CNNTarget

PICTURES, BATCH, STEPS, TURNS, CLASS = 100, 25, 8, 2, 3
RESULTS = Path(__file__).with_name("attribution.json")


def batches(folder: Path) -> Iterator[Tensor]:
    """The pictures, which require gradients."""
    pixels = np.stack([np.array(decode(path).image) for path in sorted(folder.iterdir())])
    for part in (torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255).split(BATCH):
        yield part.contiguous().requires_grad_()


def zennits(net: nn.Module) -> Callable[[Tensor], Tensor]:
    """Zennit's own call, with canonizers for the network's blocks."""
    zennit()
    from zennit import canonizers, composites, layer

    def summed(name: str, module: nn.Module) -> dict[str, Any] | None:
        if not isinstance(module, BasicBlock):
            return None

        def forward(x: Tensor) -> Tensor:
            y = module.bn2(module.conv2(F.relu(module.bn1(module.conv1(x)))))
            return F.relu(module.get_submodule("total")(torch.stack([y, module.shortcut(x)], -1)))

        return {"forward": forward, "total": layer.Sum()}

    simplified = [canonizers.SequentialMergeBatchNorm(), canonizers.AttributeCanonizer(summed)]
    composite = composites.EpsilonPlusFlat(zero_params="bias", canonizers=simplified)

    def call(x: Tensor) -> Tensor:
        with composite.context(net) as ruled:
            out = ruled(x)
            return torch.autograd.grad(out, x, out * F.one_hot(torch.tensor(CLASS), out.shape[1]))[0]

    return call


def libraries(net: nn.Module) -> dict[str, tuple[Attribution, Callable[[Tensor], Any]]]:
    """Each method as an analysis, and the library's call of one batch."""
    saliency, path = attr.Saliency(net), attr.IntegratedGradients(net)
    cam = attr.LayerGradCam(net, net.get_submodule("layer4"))

    def integrated(x: Tensor) -> Any:
        return path.attribute(x, baselines=torch.full_like(x, 0.5), target=CLASS, n_steps=STEPS, internal_batch_size=BATCH)

    def enlarged(x: Tensor) -> Any:
        maps: Any = cam.attribute(x, target=CLASS, relu_attributions=True)
        return F.interpolate(maps, x.shape[2:], mode="bilinear")

    return {
        "gradient": (Gradient(Gradient.Options(scores=[], most=PICTURES)), lambda x: saliency.attribute(x, target=CLASS, abs=False)),
        "integrated-gradients": (IntegratedGradients(IntegratedGradients.Options(scores=[], most=PICTURES, steps=STEPS)), integrated),
        "grad-cam": (GradCam(GradCam.Options(scores=[], most=PICTURES)), enlarged),
        "lrp": (LRP(LRP.Options(scores=[], most=PICTURES)), zennits(net)),
    }


def seconds(call: Callable[[], Any]) -> float:
    """The processor's time for one call."""
    begun = time.process_time()
    call()
    return time.process_time() - begun


def measured(only: list[str]) -> dict[str, dict[str, float]]:
    """Return seconds of both sides by method, their turns taken alternately."""
    target = CNNTarget.from_options(CNNTarget.Options())
    pixels = np.random.default_rng(0).integers(0, 256, (PICTURES, 32, 32, 3)).astype(np.uint8)
    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for number, picture in enumerate(pixels):
            Image.fromarray(picture).save(Path(folder) / f"{number:03}.png")
        units = resolve(f"fc[{CLASS}]", target.layers())
        context = AnalysisContext(target, PixelGenerator(target.stimulus, PixelGenerator.Options()), units, [], batch=BATCH)
        for name, (analysis, library) in libraries(target.module).items():
            if only and name not in only:
                continue
            analysis.options.images = folder
            sides: list[list[float]] = [[], []]
            for _ in range(TURNS):
                context.state.clear()
                sides[0].append(seconds(lambda analysis=analysis: analysis.run(context)))
                sides[1].append(seconds(lambda library=library: [library(x) for x in batches(Path(folder))]))
            ours, theirs = map(min, sides)
            found[name] = {"actmax_s": round(ours, 3), "library_s": round(theirs, 3), "ratio": round(ours / theirs, 3)}
            print(f"{name:22} {ours:7.2f} s, library {theirs:7.2f} s, {ours / theirs:.2f} times", flush=True)
    return found


if __name__ == "__main__":
    torch.set_num_threads(1)
    RESULTS.write_text(json.dumps(measured(sys.argv[1:]), indent=2) + "\n", encoding="utf-8")
