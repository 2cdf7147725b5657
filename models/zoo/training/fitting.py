"""Training of a model by gradient descent on one loss, as in every script of the zoo but the SN-GAN's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .loop import Run, run_epochs
from .task import Task, Trained


@dataclass(frozen=True)
class Recipe:
    """The training of one model.

    Attributes
    ----------
    name : str
        Name of the model in the zoo.
    model : nn.Module
        The untrained model, on the task's device.
    optimizer : torch.optim.Optimizer
        The optimizer of the model's parameters.
    rate : callable
        Takes the number of a step; returns its learning rate as a share of the optimizer's.
    epochs : int
        Number of passes over the data.
    batches : callable
        Takes the generator of an epoch's order; returns the epoch's stimuli and labels, batch by batch.
    loss : callable
        Takes the number of a step, stimuli and labels; returns the loss and further figures to print.
    evaluate : callable
        Takes the number of finished epochs; returns figures over the test data. The model is in evaluation mode.
    clip : float or None
        Largest norm of a step's gradients.
    """

    name: str
    model: nn.Module
    optimizer: torch.optim.Optimizer
    rate: Callable[[int], float]
    epochs: int
    batches: Callable[[torch.Generator], Iterable[tuple[Tensor, Tensor]]]
    loss: Callable[[int, Tensor, Tensor], tuple[Tensor, Mapping[str, float]]]
    evaluate: Callable[[int], Mapping[str, float]]
    clip: float | None = None


def fit(recipe: Recipe, task: Task) -> Trained:
    """Train a model, or continue from the task's checkpoint; return it with its figures over the test data."""
    model, optimizer = recipe.model, recipe.optimizer
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, recipe.rate)

    def step(number: int, stimuli: Tensor, labels: Tensor) -> dict[str, float]:
        model.train()
        loss, figures = recipe.loss(number, stimuli.to(task.device), labels.to(task.device))
        optimizer.zero_grad()
        loss.backward()
        if recipe.clip is not None:
            nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
        optimizer.step()
        schedule.step()
        return {"loss": loss.item(), **figures}

    @torch.inference_mode()
    def evaluate() -> Mapping[str, float]:
        model.eval()
        return recipe.evaluate(run.epoch)

    run = Run(recipe.name, task.seed, task.checkpoint, {"model": model, "optimizer": optimizer, "schedule": schedule})
    run_epochs(run, recipe.epochs, lambda _, order: recipe.batches(order), step, evaluate=evaluate)
    return Trained(run, {"model": model}, evaluate())
