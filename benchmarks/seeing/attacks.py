"""How many predictions an attack turns within 8/255 (L-infinity) of correctly classified test images, by gradients and by queries.

    python -m benchmarks.seeing.attacks --test cifar10_test.parquet --out benchmarks/seeing/results/attacks.json

Each image is a search of the product of its own: generator `perturbation`, objective `margin` away from the image's class, an optimizer of
the catalog. The searches advance together, one forward pass a round, since each alone would show one image at a time; one ends once the
target takes what it recommends, rounded to 8 bits a value, for another class.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import math
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from actmax.engine.build import check
from actmax.engine.run import searches_of
from actmax.engine.search.search import Search
from actmax.engine.spec import JobSpec
from actmax.models.generators.generator import Generator
from actmax.models.targets.target import Target
from actmax.models.zoo.targets import CNNTarget, SNNTarget, ViTTarget
from actmax.models.zoo.training.cifar10 import read_parquet

EPSILON = 8 / 255
MAX_BATCH = 250
"""Stimuli in one forward pass."""
NETWORKS = {"cifar10-cnn": (CNNTarget, "fc"), "cifar10-vit": (ViTTarget, "head"), "cifar10-snn": (SNNTarget, "lif_out")}
ATTACKS: dict[str, tuple[int, dict[str, Any], dict[str, Any]]] = {
    # evaluations, optimizer, further options of the generator
    "gradient": (100, {"name": "adam"}, {}),
    "square": (1000, {"name": "square"}, {}),
    "sphere-cma": (1000, {"name": "sphere-cma"}, {"size": 8}),
    "random": (1000, {"name": "random", "options": {"batch": 25}}, {"size": 8}),
}
PLAN = [
    ("cifar10-cnn", "gradient", 200),
    ("cifar10-cnn", "square", 200),
    ("cifar10-snn", "gradient", 100),
    ("cifar10-snn", "square", 100),
    ("cifar10-vit", "gradient", 100),
    ("cifar10-vit", "square", 100),
    ("cifar10-cnn", "sphere-cma", 30),
    ("cifar10-cnn", "random", 30),
]


@dataclass(frozen=True)
class Attack:
    """One image under attack."""

    pixels: Tensor
    label: int
    generator: Generator
    search: Search


def prepared(pixels: Tensor, label: int, target: Target, layer: str, kind: str, share: float | None = None) -> Attack:
    evaluations, optimizer, options = ATTACKS[kind]
    if share is not None:
        optimizer = {**optimizer, "options": {"share": share}}
    spec = JobSpec.parse(
        {
            "generator": {"name": "perturbation", "options": {"image": uri(pixels), "epsilon": EPSILON, **options}},
            "target": {"name": "net"},
            "units": [f"{layer}[{label}]"],
            "objective": {"name": "margin", "options": {"direction": "down"}},
            "optimizer": optimizer,
            "budget": {"evaluations": evaluations},
            "device": "cpu",
        }
    )
    job = check(spec, given={"net": target})
    return Attack(pixels, label, job.generator, searches_of(job)[0])


def uri(pixels: Tensor) -> str:
    """(3, h, w) uint8 as a data URI, without loss."""
    file = io.BytesIO()
    Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def advance(attacks: Sequence[Attack], target: Target, layer: str) -> None:
    """One generation of each search, in as few passes as may be."""
    asked = [attack.search.ask() for attack in attacks]
    graded = attacks[0].search.needs_gradient
    group: list[int] = []
    for number, latents in enumerate(asked):
        group.append(number)
        following = len(asked[number + 1]) if number + 1 < len(asked) else MAX_BATCH
        if sum(len(asked[member]) for member in group) + following <= MAX_BATCH and number + 1 < len(asked):
            continue
        with torch.set_grad_enabled(graded):
            leaves = [asked[member].requires_grad_(graded) for member in group]
            stimuli = torch.cat([attacks[member].generator(leaf) for member, leaf in zip(group, leaves, strict=True)])
            rows = target.respond(stimuli, {layer})[layer].split([len(leaf) for leaf in leaves])
            scores = [attacks[member].search.objective({layer: row}) for member, row in zip(group, rows, strict=True)]
            slopes = torch.autograd.grad(torch.cat(scores).sum(), leaves) if graded else [None] * len(leaves)
        for member, score, slope in zip(group, scores, slopes, strict=True):
            attacks[member].search.tell(score.detach(), slope)
        group = []
        del latents


def rounded(attack: Attack) -> Tensor:
    """What its search recommends, to 8 bits a value: (3, h, w)."""
    with torch.inference_mode():
        return (attack.generator(attack.search.recommend()[None])[0] * 255).round() / 255


def turned_at_last(attacks: Sequence[Attack], target: Target, layer: str) -> list[bool]:
    """Whether the target takes the recommended images, rounded, for another class."""
    with torch.inference_mode():
        shown = [rounded(attack) for attack in attacks]
        predicted = [
            target.respond(torch.stack(shown[start : start + MAX_BATCH]), {layer})[layer].argmax(1)
            for start in range(0, len(shown), MAX_BATCH)
        ]
    labels = torch.tensor([attack.label for attack in attacks])
    return (torch.cat(predicted) != labels).tolist() if shown else []


def run(kind: str, network: str, images: Tensor, labels: Tensor, target: Target, share: float | None = None) -> dict[str, Any]:
    layer = NETWORKS[network][1]
    attacks = [prepared(pixels, int(label), target, layer, kind, share) for pixels, label in zip(images, labels, strict=True)]
    began = time.perf_counter()
    while active := [attack for attack in attacks if not attack.search.stopped_by]:
        advance(active, target, layer)
        over = [attack for attack in active if attack.search.best > 0]
        for attack, no_longer in zip(over, turned_at_last(over, target, layer), strict=True):
            if no_longer:
                attack.search.end("turned")
    seconds = time.perf_counter() - began
    ends = turned_at_last(attacks, target, layer)
    turned = [attack.search.evaluations for attack, no_longer in zip(attacks, ends, strict=True) if no_longer]
    furthest = max(float((rounded(attack) - attack.pixels / 255).abs().max()) for attack in attacks)
    low, high = wilson(len(turned), len(attacks))
    return {
        "network": network,
        "attack": kind,
        "images": len(attacks),
        "evaluations": ATTACKS[kind][0],
        "turned": len(turned),
        "share": len(turned) / len(attacks),
        "interval": [round(low, 3), round(high, 3)],
        "median_queries": statistics.median(turned) if turned else None,
        "furthest": furthest,
        "seconds": round(seconds, 1),
    }


def wilson(hits: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """95 % interval of a share."""
    share, square = hits / n, z * z / n
    middle, half = share + square / 2, z * math.sqrt(share * (1 - share) / n + square / (4 * n))
    return (middle - half) / (1 + square), (middle + half) / (1 + square)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--test", type=Path, required=True, help="CIFAR-10 test parquet")
    parser.add_argument("--out", type=Path, help="JSON file for the results; rows that it has are kept")
    parser.add_argument("--images", type=int, help="at most so many images an attack")
    parser.add_argument("--only", nargs="*", default=[], help="NETWORK/ATTACK, such as cifar10-cnn/square")
    parser.add_argument("--share", type=float, help="of the first squares, instead of the optimizer's own")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    test = read_parquet(given.test)
    rows: list[dict[str, Any]] = json.loads(given.out.read_text())["rows"] if given.out and given.out.exists() else []
    targets: dict[str, Target] = {}
    for network, kind, count in PLAN:
        if given.only and f"{network}/{kind}" not in given.only:
            continue
        if any((row["network"], row["attack"]) == (network, kind) for row in rows):
            continue
        kinds, layer = NETWORKS[network]
        target = targets.setdefault(network, kinds.from_options(kinds.Options()))
        count = min(count, given.images or count)
        with torch.inference_mode():
            shown = slice(0, 2 * count + 20)
            predicted = torch.cat([target.respond(part, {layer})[layer].argmax(1) for part in test.unit_range(shown).split(100)])
        right = (predicted == test.labels[shown]).nonzero()[:count, 0]
        rows.append(run(kind, network, test.pixels[right], test.labels[right], target, given.share))
        print(json.dumps(rows[-1]), flush=True)
        if given.out:
            given.out.parent.mkdir(parents=True, exist_ok=True)
            settings = {"epsilon": "8/255", "torch": torch.__version__, "threads": given.threads}
            given.out.write_text(json.dumps({**settings, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
