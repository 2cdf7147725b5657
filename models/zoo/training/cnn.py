"""Trains the residual CNN: ``python -m actmax.models.zoo.training cnn``."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from ..architectures.cnn import ResidualCNN
from ..targets import CNNTarget
from .cifar10 import shuffled_batches
from .finish import ShippedTarget, accuracy, write_target
from .fitting import Recipe, fit
from .loop import one_cycle, split_decay
from .task import Task, Trained

BATCH = 250
CYCLES = ((14, 1.0), (8, 0.4), (6, 0.2), (8, 0.2))
"""Epochs of each learning-rate cycle, and its peak as a share of the first (Loshchilov and Hutter, "SGDR", 2017)."""


def cycles(per_epoch: int, epochs: int) -> Callable[[int], float]:
    """Return the learning-rate factor as a function of the step, over ``epochs`` epochs of ``per_epoch`` steps that the cycles share."""
    total = sum(length for length, _ in CYCLES)
    ends = [epochs * sum(length for length, _ in CYCLES[: number + 1]) // total * per_epoch for number in range(len(CYCLES))]
    starts = [0, *ends[:-1]]

    def factor(step: int) -> float:
        for start, end, (_, peak) in zip(starts, ends, CYCLES, strict=True):
            if step < end:
                return peak * one_cycle(end - start)(step - start)
        return 0.0

    return factor


def train(task: Task) -> Trained:
    """Train by SGD with Nesterov momentum on four cycles of the learning rate, label smoothing .1, bfloat16 where it is safe."""
    torch.manual_seed(task.seed)
    model = ResidualCNN().to(task.device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    epochs = task.epochs or sum(length for length, _ in CYCLES)

    def loss(_: int, pixels: Tensor, labels: Tensor) -> tuple[Tensor, dict[str, float]]:
        with torch.autocast(task.device, torch.bfloat16):
            logits = model(pixels.contiguous(memory_format=torch.channels_last))
        return F.cross_entropy(logits.float(), labels, label_smoothing=0.1), {}

    recipe = Recipe(
        name="cifar10-cnn",
        model=model,
        optimizer=torch.optim.SGD(split_decay(model, 5e-4), lr=0.25, momentum=0.9, nesterov=True),
        rate=cycles(len(task.train) // BATCH, epochs),
        epochs=epochs,
        batches=lambda order: shuffled_batches(task.train, BATCH, order, crop=True),
        loss=loss,
        evaluate=lambda _: accuracy(lambda x: model(x.to(task.device)), task.test),
    )
    return fit(recipe, task)


publish = partial(
    write_target,
    ShippedTarget(
        summary="Residual CNN: four stages of one basic block, 32 to 256 channels",
        layer="fc",
        readout="logit",
        load=lambda path: CNNTarget.from_options(CNNTarget.Options(weights=str(path))),
    ),
)
"""Write weights, card and sample sheet."""
