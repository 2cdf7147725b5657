"""``python -m actmax.models.zoo.training.statistics --train TRAIN.parquet``: colours and spectrum of CIFAR-10, for the generators."""

from __future__ import annotations

import argparse
from pathlib import Path

from ...generators.natural import FOLDER, NaturalStatistics
from ...image_source import LUMA
from .cifar10 import read_parquet


def main(arguments: list[str] | None = None) -> None:
    """Write ``cifar10-colour.safetensors`` and ``cifar10-grey.safetensors`` (ITU-R 601 luma)."""
    parser = argparse.ArgumentParser(prog="python -m actmax.models.zoo.training.statistics", description=main.__doc__)
    parser.add_argument("--train", required=True, type=Path, help="CIFAR-10 training parquet (columns image or img, label)")
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder to write to")
    options = parser.parse_args(arguments)
    images = read_parquet(options.train)
    colour = images.unit_range(slice(None))
    grey = (colour * colour.new_tensor(LUMA).view(3, 1, 1)).sum(1, keepdim=True)
    options.out.mkdir(parents=True, exist_ok=True)
    for name, planes in (("colour", colour), ("grey", grey)):
        found = NaturalStatistics.of(planes)
        path = options.out / f"cifar10-{name}.safetensors"
        found.save(path)
        path.chmod(0o644)
        print(f"{path.name}: {len(images)} images, mean {found.mean.tolist()}")


if __name__ == "__main__":
    main()
