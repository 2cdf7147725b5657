"""Trains the vision transformer: ``python -m actmax.models.zoo.training vit``."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..architectures.vit import SmallViT
from ..targets import ViTTarget
from .cifar10 import shuffled_batches
from .finish import write_target
from .loop import Run, accuracy, one_cycle, run_epochs, split_decay
from .task import Task, Trained

BATCH = 200


def train(task: Task) -> Trained:
    """AdamW on a one-cycle schedule, label smoothing .1, gradients clipped to norm 1."""
    torch.manual_seed(task.seed)
    model = SmallViT().to(task.device)
    epochs = task.epochs or 12
    optimizer = torch.optim.AdamW(split_decay(model, 0.05), lr=1.2e-3, betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, one_cycle(epochs * (len(task.train) // BATCH)))

    def step(_: int, pixels: Tensor, labels: Tensor) -> dict[str, float]:
        model.train()
        with torch.autocast(task.device, torch.bfloat16):
            logits = model(pixels.to(task.device))
        loss = F.cross_entropy(logits.float(), labels.to(task.device), label_smoothing=0.1)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        return {"loss": loss.item()}

    def evaluate() -> dict[str, float]:
        model.eval()
        return {"accuracy": accuracy(lambda x: model(x.to(task.device)).cpu(), task.test.pixels, task.test.labels)}

    run = Run("cifar10-vit", task.seed, task.checkpoint, {"model": model, "optimizer": optimizer, "schedule": schedule})
    run_epochs(run, epochs, lambda _, order: shuffled_batches(task.train, BATCH, order, crop=True), step, evaluate=evaluate)
    model.eval()
    return Trained(run, {"model": model}, evaluate())


def publish(trained: Trained, task: Task, command: str, folder: Path) -> None:
    """Write weights, card and sample sheet."""
    write_target(
        trained,
        task,
        command,
        folder,
        summary="Vision transformer: 64 tokens, 5 blocks of 128 features, 4 heads, convolutional patch embedding",
        layer="head",
        readout="logit",
        load=lambda path: ViTTarget.from_options(ViTTarget.Options(weights=str(path))),
    )
