"""Trains the series classifier: ``python -m actmax.models.zoo.training series``; it draws its own data."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from ..architectures.series import SeriesCNN
from ..targets import SeriesTarget
from .finish import write_target
from .loop import Run, one_cycle, run_epochs, split_decay
from .signals import Signals, draw, sheet, shuffled
from .task import Task, Trained

BATCH = 120
TRAINING, TEST = 12_000, 6_000


def data(seed: int) -> tuple[Signals, Signals]:
    """Training and test signals; the test's are the same for every seed."""
    return draw(TRAINING, 1000 + seed), draw(TEST, 0)


def train(task: Task[Signals]) -> Trained:
    """AdamW on a one-cycle schedule, label smoothing .05, signals flipped upside down."""
    train, test = task.train, task.test
    torch.manual_seed(task.seed)
    model = SeriesCNN().to(task.device)
    epochs = task.epochs or 20
    optimizer = torch.optim.AdamW(split_decay(model, 0.05), lr=3e-3)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, one_cycle(epochs * (len(train) // BATCH)))

    def step(_: int, values: Tensor, labels: Tensor) -> dict[str, float]:
        model.train()
        loss = F.cross_entropy(model(values.to(task.device)), labels.to(task.device), label_smoothing=0.05)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        return {"loss": loss.item()}

    @torch.inference_mode()
    def evaluate() -> dict[str, float]:
        model.eval()
        return {"accuracy": float((model(test.values.to(task.device)).argmax(1).cpu() == test.labels).float().mean())}

    run = Run("series-classifier", task.seed, task.checkpoint, {"model": model, "optimizer": optimizer, "schedule": schedule})
    run_epochs(run, epochs, lambda _, order: shuffled(train, BATCH, order), step, evaluate=evaluate)
    model.eval()
    return Trained(run, {"model": model}, evaluate())


def publish(trained: Trained, task: Task[Signals], command: str, folder: Path) -> None:
    """Write weights, card and sample sheet."""
    write_target(
        trained,
        task,
        command,
        folder,
        summary="Convolutional network over time: three strided convolutions, 16 to 48 channels",
        layer="fc",
        readout="logit",
        load=lambda path: SeriesTarget.from_options(SeriesTarget.Options(weights=str(path))),
        draw=sheet,
    )
