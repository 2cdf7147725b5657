"""Do images found for a unit of one network drive others, and do they look natural to them? Every generator, over the classes of the zoo.

    python -m benchmarks.seeing.plausibility --test cifar10_test.parquet --out benchmarks/seeing/results/plausibility.json

The questions are those of MACO's evaluation (Fel et al., 2023, section 4): transferability, how strongly a found image drives *other*
networks, and plausibility, how far it is from natural images in their features. For each of the ten classes of a network, every generator
makes one image by Adam (128 evaluations, recipe `lucid`, cosine schedule; the same for all). Of the networks that the image was not made
on, the mean over units and networks is taken of

drive        the class's logit: 0 is the mean over natural images, 1 the mean over those of the class;
top-1        share of images that are taken for the class;
distance     to the 10th nearest of 1,000 natural images in the penultimate features, normalised (deep k-NN, Sun et al., 2022), ÷ the
             median over 500 other natural images.

`own` is the drive of the network that the image was made on. Anchors: of 50 natural images of each class, the mean and the one that
drives the network the most; and uniform noise. `image` and `perturbation` begin at a natural image of another class.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from actmax.engine.build import check
from actmax.engine.run import execute, searches_of
from actmax.engine.spec import JobSpec
from actmax.models.targets.target import Target
from actmax.models.zoo.targets import CNNTarget, SNNTarget, ViTTarget
from actmax.models.zoo.training.cifar10 import Images, read_parquet
from benchmarks.seeing.attacks import uri

NETWORKS = {
    # target, layer of the classes, layer before it
    "cifar10-cnn": (CNNTarget, "fc", "pool"),
    "cifar10-vit": (ViTTarget, "head", "norm"),
    "cifar10-snn": (SNNTarget, "lif_out", "lif3"),
}
GENERATORS = ["pixel", "fourier", "maco", "laplacian", "cppn", "image", "perturbation", "cifar10-sngan", "cifar10-vqvae"]
REFERENCE, PER_CLASS, NEIGHBOUR, CLASSES = 1000, 50, 10, 10


@dataclass(frozen=True)
class Eye:
    """A network, and what natural images do to it."""

    target: Target
    classes: str
    features: str
    reference: Tensor
    """(1000, width) normalised features."""
    everyday: Tensor
    """Mean logit of each class over natural images."""
    of_class: Tensor
    """The same over those of the class."""
    distance: float
    """Median distance of natural images."""

    def see(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return seen(self.target, self.classes, self.features, images)

    def drive(self, logits: Tensor, units: Tensor) -> Tensor:
        """(n, 10) and (n,) -> (n,)."""
        rows = torch.arange(len(units))
        return (logits[rows, units] - self.everyday[units]) / (self.of_class - self.everyday)[units]


def seen(target: Target, classes: str, features: str, images: Tensor) -> tuple[Tensor, Tensor]:
    """Logits, (n, 10), and normalised features, (n, width): means over tokens or places."""
    logits, found = [], []
    with torch.inference_mode():
        for part in images.split(100):
            answers = target.respond(part, {classes, features})
            layer = answers[features]
            found.append(F.normalize(layer.mean(1) if layer.ndim == 3 else layer.flatten(2).mean(2), dim=1))
            logits.append(answers[classes])
    return torch.cat(logits), torch.cat(found)


def kth(features: Tensor, reference: Tensor) -> Tensor:
    return torch.cdist(features, reference).kthvalue(NEIGHBOUR, 1).values


def eye(name: str, reference: Tensor, natural: Tensor) -> Eye:
    """``natural``: 50 images of each class, class by class."""
    kinds, classes, features = NETWORKS[name]
    target = kinds.from_options(kinds.Options())
    _, known = seen(target, classes, features, reference)
    logits, others = seen(target, classes, features, natural)
    by_class = logits.view(CLASSES, PER_CLASS, CLASSES).mean(1).diagonal()
    return Eye(target, classes, features, known, logits.mean(0), by_class, float(kth(others, known).median()))


def judged(images: Tensor, units: Tensor, eyes: Mapping[str, Eye], source: str) -> dict[str, float]:
    """``images``, (n, 3, 32, 32), found for the classes ``units`` of ``source``."""
    drives, hits, distances = [], [], []
    own = float("nan")
    for name, one in eyes.items():
        logits, features = one.see(images)
        drive = one.drive(logits, units)
        if name == source:
            own = float(drive.mean())
            continue
        drives.append(drive)
        hits.append((logits.argmax(1) == units).float())
        distances.append(kth(features, one.reference) / one.distance)
    return {
        "own": own,
        "drive": float(torch.cat(drives).mean()),
        "top1": float(torch.cat(hits).mean()),
        "distance": float(torch.cat(distances).mean()),
    }


def found(generator: Mapping[str, Any], source: Eye, units: Sequence[int], steps: int, preset: str) -> Tensor:
    """One image for each of the classes ``units``."""
    spec = JobSpec.parse(
        {
            "generator": generator,
            "target": {"name": "net"},
            "units": [f"{source.classes}[{unit}]" for unit in units],
            "optimizer": {"name": "adam", "options": {"schedule": "cosine", "restart": "never"}},
            "budget": {"evaluations": steps},
            "transformations": {"preset": preset} if preset else None,
            "device": "cpu",
        }
    )
    job = check(spec, given={"net": source.target})
    result = execute(job, searches_of(job))
    return torch.stack([torch.from_numpy(search.stimulus) for search in result.searches])


def images_of(name: str, source: Eye, test: Images, steps: int, preset: str) -> Tensor:
    if name not in ("image", "perturbation"):
        return found({"name": name}, source, range(CLASSES), steps, preset)
    first = int(test.labels[0])
    second = int((test.labels != first).nonzero()[0])
    made = torch.empty(CLASSES, 3, 32, 32)
    for row, units in ((0, [unit for unit in range(CLASSES) if unit != first]), (second, [first])):
        options = {"image": uri(test.pixels[row])}
        made[units] = found({"name": name, "options": options}, source, units, steps, preset)
    return made


def natural_rows(test: Images) -> Tensor:
    """Rows of 50 images of each class, none of the reference, class by class."""
    rows = [(test.labels[REFERENCE:] == label).nonzero()[:PER_CLASS, 0] + REFERENCE for label in range(CLASSES)]
    return torch.cat(rows)


def anchors(source: str, natural: Tensor, eyes: Mapping[str, Eye]) -> dict[str, dict[str, float]]:
    labels = torch.arange(CLASSES).repeat_interleave(PER_CLASS)
    logits, _ = eyes[source].see(natural)
    strongest = torch.stack([rows[logits[rows, unit].argmax()] for unit, rows in enumerate(torch.arange(len(natural)).split(PER_CLASS))])
    noise = torch.rand(100, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    return {
        "natural": judged(natural, labels, eyes, source),
        "natural, strongest": judged(natural[strongest], labels[strongest], eyes, source),
        "noise": judged(noise, torch.arange(CLASSES).repeat(10), eyes, source),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--test", type=Path, required=True, help="CIFAR-10 test parquet")
    parser.add_argument("--out", type=Path, required=True, help="JSON file for the results; rows that it has are kept")
    parser.add_argument("--generators", nargs="*", default=GENERATORS)
    parser.add_argument("--sources", nargs="*", default=["cifar10-cnn", "cifar10-vit"])
    parser.add_argument("--steps", type=int, default=128)
    parser.add_argument("--preset", default="lucid")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    test = read_parquet(given.test)
    natural = test.unit_range(natural_rows(test))
    eyes = {name: eye(name, test.unit_range(slice(0, REFERENCE)), natural) for name in NETWORKS}
    rows: list[dict[str, Any]] = json.loads(given.out.read_text())["rows"] if given.out.exists() else []

    def keep(source: str, generator: str, judgement: Mapping[str, float], seconds: float) -> None:
        rows.append(
            {"source": source, "generator": generator, **{k: round(v, 4) for k, v in judgement.items()}, "seconds": round(seconds, 1)}
        )
        print(json.dumps(rows[-1]), flush=True)
        given.out.parent.mkdir(parents=True, exist_ok=True)
        settings = {"steps": given.steps, "preset": given.preset, "torch": torch.__version__}
        given.out.write_text(json.dumps({**settings, "rows": rows}, indent=1) + "\n")

    for source in given.sources:
        done = {row["generator"] for row in rows if row["source"] == source}
        if "noise" not in done:
            for name, judgement in anchors(source, natural, eyes).items():
                keep(source, name, judgement, 0.0)
    for generator in given.generators:
        for source in given.sources:
            if any((row["source"], row["generator"]) == (source, generator) for row in rows):
                continue
            began = time.perf_counter()
            made = images_of(generator, eyes[source], test, given.steps, given.preset)
            keep(source, generator, judged(made, torch.arange(CLASSES), eyes, source), time.perf_counter() - began)


if __name__ == "__main__":
    main()
