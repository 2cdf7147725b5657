"""``python -m actmax.models.zoo.training NAME --train TRAIN.parquet --test TEST.parquet``: trains one model of the zoo.

``series`` draws its own data, ``diabetes`` uses scikit-learn's; both need no files.
"""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path

import torch

from ..weights import FOLDER
from .cifar10 import read_parquet
from .task import Task

NAMES = ("cnn", "snn", "vqvae", "vit", "sngan", "series", "diabetes")


def main(arguments: list[str] | None = None) -> None:
    """Train a model of the zoo, or continue from the checkpoint; then write weights, card and sample sheet."""
    parser = argparse.ArgumentParser(prog="python -m actmax.models.zoo.training", description=main.__doc__)
    parser.add_argument("name", choices=NAMES)
    parser.add_argument(
        "--train", type=Path, help="CIFAR-10 training parquet (columns image or img, label); series and diabetes have their own"
    )
    parser.add_argument("--test", type=Path, help="CIFAR-10 test parquet")
    parser.add_argument("--checkpoints", type=Path, default=Path(".zoo"), help="folder of checkpoints to resume from")
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder that weights, card and sample sheet are written to")
    parser.add_argument("--epochs", type=int, default=None, help="other than the script's own number")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=None, help="CPU threads")
    options = parser.parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    script = importlib.import_module(f".{options.name}", __package__)
    own = hasattr(script, "data")
    if not own and None in (options.train, options.test):
        parser.error(f"{options.name} needs --train and --test")
    train, test = script.data(options.seed) if own else (read_parquet(options.train), read_parquet(options.test))
    task = Task(
        train=train,
        test=test,
        seed=options.seed,
        device=options.device,
        checkpoint=options.checkpoints / f"{options.name}-{options.seed}.pt",
        epochs=options.epochs,
    )
    trained = script.train(task)
    files = "" if own else " --train TRAIN.parquet --test TEST.parquet"
    command = f"python -m actmax.models.zoo.training {options.name}{files} --seed {options.seed}"
    script.publish(trained, task, command, options.out)
    print(trained.figures)


if __name__ == "__main__":
    main()
