"""Trains the vision transformer: ``python -m actmax.models.zoo.training vit``."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from ..architectures.vit import SmallViT
from ..targets import ViTTarget
from .cifar10 import shuffled_batches
from .finish import ShippedTarget, accuracy, write_target
from .fitting import Recipe, fit
from .loop import one_cycle, split_decay
from .task import Task, Trained

BATCH = 200


def train(task: Task) -> Trained:
    """Train by AdamW on a one-cycle schedule, with label smoothing .1 and gradients clipped to norm 1."""
    torch.manual_seed(task.seed)
    model = SmallViT().to(task.device)
    epochs = task.epochs or 12

    def loss(_: int, pixels: Tensor, labels: Tensor) -> tuple[Tensor, dict[str, float]]:
        with torch.autocast(task.device, torch.bfloat16):
            logits = model(pixels)
        return F.cross_entropy(logits.float(), labels, label_smoothing=0.1), {}

    recipe = Recipe(
        name="cifar10-vit",
        model=model,
        optimizer=torch.optim.AdamW(split_decay(model, 0.05), lr=1.2e-3, betas=(0.9, 0.99)),
        rate=one_cycle(epochs * (len(task.train) // BATCH)),
        epochs=epochs,
        batches=lambda order: shuffled_batches(task.train, BATCH, order, crop=True),
        loss=loss,
        evaluate=lambda _: accuracy(lambda x: model(x.to(task.device)), task.test),
        clip=1.0,
    )
    return fit(recipe, task)


publish = partial(
    write_target,
    ShippedTarget(
        summary="Vision transformer: 64 tokens, 5 blocks of 128 features, 4 heads, convolutional patch embedding",
        layer="head",
        readout="logit",
        load=lambda path: ViTTarget.from_options(ViTTarget.Options(weights=str(path))),
    ),
)
"""Write weights, card and sample sheet."""
