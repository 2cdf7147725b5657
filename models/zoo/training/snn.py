"""Trains the spiking network: ``python -m actmax.models.zoo.training snn``.

Most epochs run 4 time steps, the last two 10: rates learned over few steps carry over to the 20 of a presentation, at a
fraction of the time.
"""

from __future__ import annotations

from pathlib import Path

import snntorch as snn
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...targets.leaky import leaky_scan
from ..architectures.snn import STEPS, spiking_cnn
from ..targets import SNNTarget
from .cifar10 import shuffled_batches
from .finish import write_target
from .loop import Run, accuracy, one_cycle, run_epochs, split_decay
from .task import Task, Trained

BATCH = 200
LOGITS_PER_RATE = 10.0
"""Cross-entropy is taken over so many times the firing rates, times the output threshold."""

HEADROOM = 2.0
"""Threshold of the output units in the last epoch and ever after. At 1 the best natural images drive them to a spike at
nearly every step (19 of 20), which leaves a search no room above; at 2 they answer with 7 to 12, at the same accuracy."""


def steps_of(epoch: int, epochs: int) -> int:
    """Time steps of an epoch: 4, then 10 in the last two."""
    return 10 if epoch >= epochs - 2 else 4


def rates(model: nn.Sequential, pixels: Tensor, steps: int) -> Tensor:
    """Firing rates of the output units, (n, 10), layer by layer over all steps at once."""
    n = pixels.shape[0]
    x, constant = pixels, True  # up to the first spikes nothing changes over time
    for layer in model:
        if isinstance(layer, snn.Leaky):
            current = x.expand(steps, *x.shape) if constant else x.unflatten(0, (steps, n))
            spikes, _ = leaky_scan(current, beta=layer.beta.item(), threshold=layer.threshold.item())
            x, constant = spikes.flatten(0, 1), False
        else:
            x = layer(x)
    return x.unflatten(0, (steps, n)).float().mean(0)


def train(task: Task) -> Trained:
    """AdamW on a one-cycle schedule; cross-entropy over firing rates."""
    torch.manual_seed(task.seed)
    model = spiking_cnn().to(task.device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    epochs = task.epochs or 10
    total = epochs * (len(task.train) // BATCH)
    optimizer = torch.optim.AdamW(split_decay(model, 0.02), lr=3e-3)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, one_cycle(total))
    per_epoch = len(task.train) // BATCH

    def step(number: int, pixels: Tensor, labels: Tensor) -> dict[str, float]:
        model.train()
        epoch = number // per_epoch
        threshold = HEADROOM if epoch == epochs - 1 else 1.0
        model.get_submodule("lif_out").threshold.fill_(threshold)
        with torch.autocast(task.device, torch.bfloat16):
            rate = rates(model, pixels.to(task.device).contiguous(memory_format=torch.channels_last), steps_of(epoch, epochs))
        loss = F.cross_entropy(LOGITS_PER_RATE * threshold * rate, labels.to(task.device), label_smoothing=0.1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        return {"loss": loss.item(), "rate": rate.mean().item()}

    def evaluate() -> dict[str, float]:
        model.eval()
        steps = STEPS if run.epoch == epochs else 4
        return {"accuracy": accuracy(lambda x: rates(model, x.to(task.device), steps).cpu(), task.test.pixels, task.test.labels, 250)}

    run = Run("cifar10-snn", task.seed, task.checkpoint, {"model": model, "optimizer": optimizer, "schedule": schedule})
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
        summary="Convolutional spiking network (snntorch): three convolutions, leaky integrate-and-fire neurons, "
        f"{STEPS} steps, direct coding",
        layer="lif_out",
        readout=f"spike count over {STEPS} steps",
        load=lambda path: SNNTarget.from_options(SNNTarget.Options(weights=str(path), steps=STEPS, readout="count")),
    )
