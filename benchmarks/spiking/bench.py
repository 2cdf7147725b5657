"""Layer-by-layer evaluation of spiking networks against the plain snntorch loop.

    python benchmarks/spiking/bench.py --threads 1
    python -m benchmarks.spiking.bench --device cuda --out FILE.json

Both answer the same stimuli with the spike counts of the output layer. Runs of the two alternate, so that what else the
machine does falls on both; a row gives the median time a stimulus and the median of the ratios of neighbouring runs.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import snntorch as snn
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from actmax.models.spaces import StimulusSpec
from actmax.models.targets.spiking import SpikingTarget
from actmax.models.zoo.architectures.snn import STEPS, spiking_cnn
from actmax.models.zoo.weights import FOLDER

IMAGE = StimulusSpec((3, 32, 32))


def zoo() -> nn.Sequential:
    """The zoo's network with the shipped weights."""
    model = spiking_cnn()
    model.load_state_dict(load_file(FOLDER / "cifar10-snn.safetensors"))
    return model.eval()


def large(pool: type[nn.Module]) -> nn.Sequential:
    """200 and 64 channels of 5 × 5, random weights."""
    return nn.Sequential(
        nn.Conv2d(3, 200, 5),
        pool(2),
        snn.Leaky(beta=0.9),
        nn.Conv2d(200, 64, 5),
        pool(2),
        snn.Leaky(beta=0.9),
        nn.Flatten(),
        nn.Linear(1600, 10),
        snn.Leaky(beta=0.9),
    ).eval()


NETWORKS: dict[str, tuple[Callable[[], nn.Sequential], int, str]] = {
    "zoo": (zoo, STEPS, "lif_out"),
    "large-max": (lambda: large(nn.MaxPool2d), 128, "8"),
    "large-avg": (lambda: large(nn.AvgPool2d), 128, "8"),
}


def stimuli(n: int, device: str) -> Tensor:
    """Smooth random images, nearer to natural ones than noise is."""
    coarse = torch.rand(n, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    return nn.functional.interpolate(coarse, size=32, mode="bicubic").clamp(0, 1).to(device)


def infer(target: SpikingTarget, x: Tensor, layer: str) -> None:
    with torch.inference_mode():
        target.respond(x, [layer])


def differentiate(target: SpikingTarget, x: Tensor, layer: str) -> None:
    x = x.clone().requires_grad_()
    target.respond(x, [layer])[layer].sum().backward()


def seconds(run: Callable[[SpikingTarget, Tensor, str], None], target: SpikingTarget, x: Tensor, layer: str) -> float:
    """Processor time where one thread works, so that other programs count little; else time on the wall."""
    cuda = x.is_cuda
    clock = time.process_time if not cuda and torch.get_num_threads() == 1 else time.perf_counter
    if cuda:
        torch.cuda.synchronize()
    start = clock()
    run(target, x, layer)
    if cuda:
        torch.cuda.synchronize()
    return clock() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 16, 64])
    parser.add_argument("--modes", nargs="+", choices=("inference", "gradient"), default=["inference", "gradient"])
    parser.add_argument("--seconds", type=float, default=15.0, help="time for a row")
    parser.add_argument("--pairs", type=int, default=3, help="pairs of runs for a row, whatever time they take")
    parser.add_argument("--memory", type=float, default=4.0, help="GB above which the gradient of the plain loop is left out")
    parser.add_argument("--out", type=Path, help="JSON file for the results")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rows: list[dict[str, object]] = []
    print("| network | steps | mode | batch | plain, ms a stimulus | layer by layer | ratio (range) | pairs |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for name in options.networks:
        make, steps, output = NETWORKS[name]
        with torch.random.fork_rng():
            torch.manual_seed(0)
            network = make().to(options.device)
        fast, plain = (SpikingTarget(network, IMAGE, steps=steps, plain=plain) for plain in (False, True))
        spiking = [layer for layer in fast.layers() if layer.kind == "spike count"]
        with torch.inference_mode():
            counts = fast.respond(stimuli(16, options.device), [layer.name for layer in spiking])
        print(f"| {name}: rates " + ", ".join(f"{float(counts[layer.name].mean()) / steps:.3f}" for layer in spiking) + " | | | | | | | |")
        for mode in options.modes:
            run = infer if mode == "inference" else differentiate
            for batch in options.batches:
                # what autograd keeps of the plain loop, roughly four tensors of each layer's size a step
                kept = 4 * 4e-9 * steps * batch * sum(torch.Size(layer.shape).numel() for layer in fast.layers())
                if mode == "gradient" and kept > options.memory:
                    continue
                x = stimuli(batch, options.device)
                pairs: list[tuple[float, float]] = []
                run(fast, x, output)
                began = time.perf_counter()
                while len(pairs) < options.pairs or (time.perf_counter() - began < options.seconds and len(pairs) < 50):
                    pairs.append((seconds(run, plain, x, output), seconds(run, fast, x, output)))
                slow, quick = (1e3 * statistics.median(pair[i] for pair in pairs) / batch for i in (0, 1))
                ratios = [a / b for a, b in pairs]
                spread = f"{statistics.median(ratios):.1f} ({min(ratios):.1f}–{max(ratios):.1f})"
                row = {"network": name, "mode": mode, "batch": batch, "plain_ms": slow, "layer_by_layer_ms": quick}
                rows.append({**row, "ratio": statistics.median(ratios), "pairs": len(pairs)})
                print(f"| {name} | {steps} | {mode} | {batch} | {slow:.2f} | {quick:.2f} | {spread} | {len(pairs)} |", flush=True)
    cuda = options.device.startswith("cuda")
    peak = torch.cuda.max_memory_allocated(options.device) if cuda else 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"\npeak memory {peak / 1e9:.1f} GB")
    if options.out:
        device = torch.cuda.get_device_name(options.device) if cuda else f"CPU, {options.threads} thread(s)"
        stated = {"device": device, "torch": torch.__version__, "python": platform.python_version(), "peak_bytes": peak, "rows": rows}
        options.out.write_text(json.dumps(stated, indent=1) + "\n")


if __name__ == "__main__":
    main()
