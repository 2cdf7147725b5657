"""Trains the series classifier: ``python -m actmax.models.zoo.training series``; it draws its own data."""

from __future__ import annotations

from functools import partial

import torch
from torch.nn import functional as F

from ..architectures.series import SeriesCNN
from ..targets import SeriesTarget
from .finish import ShippedTarget, accuracy, write_target
from .fitting import Recipe, fit
from .loop import one_cycle, split_decay
from .signals import Signals, draw, sheet, shuffled
from .task import Task, Trained

BATCH = 120
TRAINING, TEST = 12_000, 6_000


def data(seed: int) -> tuple[Signals, Signals]:
    """Return training and test signals; the test's are the same for every seed."""
    return draw(TRAINING, 1000 + seed), draw(TEST, 0)


def train(task: Task[Signals]) -> Trained:
    """Train by AdamW on a one-cycle schedule, with label smoothing .05 and signals flipped upside down."""
    torch.manual_seed(task.seed)
    model = SeriesCNN().to(task.device)
    epochs = task.epochs or 20
    recipe = Recipe(
        name="series-classifier",
        model=model,
        optimizer=torch.optim.AdamW(split_decay(model, 0.05), lr=3e-3),
        rate=one_cycle(epochs * (len(task.train) // BATCH)),
        epochs=epochs,
        batches=lambda order: shuffled(task.train, BATCH, order),
        loss=lambda _, values, labels: (F.cross_entropy(model(values), labels, label_smoothing=0.05), {}),
        evaluate=lambda _: accuracy(lambda x: model(x.to(task.device)), task.test),
    )
    return fit(recipe, task)


publish = partial(
    write_target,
    ShippedTarget(
        summary="Convolutional network over time: three strided convolutions, 16 to 48 channels",
        layer="fc",
        readout="logit",
        load=lambda path: SeriesTarget.from_options(SeriesTarget.Options(weights=str(path))),
        draw=sheet,
    ),
)
"""Write weights, card and sample sheet."""
