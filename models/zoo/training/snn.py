"""Trains the spiking network: ``python -m actmax.models.zoo.training snn``.

Most epochs run 4 time steps, the last two 10: rates learned over few steps generalise to the 20 of a presentation, in a
fraction of the time.
"""

from __future__ import annotations

from functools import partial

import snntorch as snn
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...targets.leaky import leaky_scan
from ..architectures.snn import STEPS, spiking_cnn
from ..targets import SNNTarget
from .cifar10 import shuffled_batches
from .finish import ShippedTarget, accuracy, write_target
from .fitting import Recipe, fit
from .loop import one_cycle, split_decay
from .task import Task, Trained

BATCH = 200
LOGITS_PER_RATE = 10.0
"""Factor from firing rates, times the output threshold, to the logits of the cross-entropy."""

HEADROOM = 2.0
"""Threshold of the output units in the last epoch and in the shipped network. At 1 the best natural images drive them to a spike at
nearly every step (19 of 20), which leaves a search no room above; at 2 they respond with 7 to 12, at the same accuracy."""


def steps_of(epoch: int, epochs: int) -> int:
    """Return the time steps of an epoch: 4, but 10 in the last two."""
    return 10 if epoch >= epochs - 2 else 4


def rates(model: nn.Sequential, pixels: Tensor, steps: int) -> Tensor:
    """Return the firing rates of the output units, computed layer by layer over all steps at once.

    Parameters
    ----------
    model : nn.Sequential
        A network of ``spiking_cnn``.
    pixels : Tensor
        (n, 3, 32, 32) in [0, 1].
    steps : int
        Time steps.

    Returns
    -------
    Tensor
        (n, 10), in [0, 1].
    """
    n = pixels.shape[0]
    x, constant = pixels, True  # constant over time up to the first spikes
    for layer in model:
        if isinstance(layer, snn.Leaky):
            current = x.expand(steps, *x.shape) if constant else x.unflatten(0, (steps, n))
            spikes, _ = leaky_scan(current, beta=layer.beta.item(), threshold=layer.threshold.item())
            x, constant = spikes.flatten(0, 1), False
        else:
            x = layer(x)
    return x.unflatten(0, (steps, n)).float().mean(0)


def train(task: Task) -> Trained:
    """Train by AdamW on a one-cycle schedule, with cross-entropy over firing rates."""
    torch.manual_seed(task.seed)
    model = spiking_cnn().to(task.device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    epochs = task.epochs or 10
    per_epoch = len(task.train) // BATCH

    def loss(number: int, pixels: Tensor, labels: Tensor) -> tuple[Tensor, dict[str, float]]:
        epoch = number // per_epoch
        threshold = HEADROOM if epoch == epochs - 1 else 1.0
        model.get_submodule("lif_out").threshold.fill_(threshold)
        with torch.autocast(task.device, torch.bfloat16):
            rate = rates(model, pixels.contiguous(memory_format=torch.channels_last), steps_of(epoch, epochs))
        loss = F.cross_entropy(LOGITS_PER_RATE * threshold * rate, labels, label_smoothing=0.1)
        return loss, {"rate": rate.mean().item()}

    def evaluate(epoch: int) -> dict[str, float]:
        return accuracy(lambda x: rates(model, x.to(task.device), STEPS if epoch == epochs else 4), task.test, 250)

    recipe = Recipe(
        name="cifar10-snn",
        model=model,
        optimizer=torch.optim.AdamW(split_decay(model, 0.02), lr=3e-3),
        rate=one_cycle(epochs * per_epoch),
        epochs=epochs,
        batches=lambda order: shuffled_batches(task.train, BATCH, order, crop=True),
        loss=loss,
        evaluate=evaluate,
    )
    return fit(recipe, task)


publish = partial(
    write_target,
    ShippedTarget(
        summary="Convolutional spiking network (snntorch): three convolutions, leaky integrate-and-fire neurons, "
        f"{STEPS} steps, direct coding",
        layer="lif_out",
        readout=f"spike count over {STEPS} steps",
        load=lambda path: SNNTarget.from_options(SNNTarget.Options(weights=str(path), steps=STEPS, readout="count")),
    ),
)
"""Write weights, card and sample sheet."""
