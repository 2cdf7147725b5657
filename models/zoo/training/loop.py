"""The epochs of every training script: resumable, seeded, timed."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

Step = Callable[[int, Tensor, Tensor], Mapping[str, float]]
"""Takes the number of the step, images and labels; updates the weights; returns figures to print."""


@dataclass
class Run:
    """The state of a training run, which its checkpoint keeps.

    ``parts`` are the modules, optimizers and schedules whose ``state_dict`` makes up the checkpoint.
    """

    name: str
    seed: int
    checkpoint: Path
    parts: Mapping[str, Any]
    epoch: int = 0
    steps: int = 0
    seconds: float = 0.0
    log: list[dict[str, float]] = field(default_factory=list)

    def resume(self) -> bool:
        """Load the checkpoint if there is one, and return whether there is.

        Raises
        ------
        ValueError
            The checkpoint belongs to another run.
        """
        if not self.checkpoint.exists():
            return False
        saved = torch.load(self.checkpoint, weights_only=True)
        if saved["name"] != self.name or saved["seed"] != self.seed:
            raise ValueError(f"{self.checkpoint} belongs to {saved['name']} with seed {saved['seed']}; remove it or name another")
        for key, part in self.parts.items():
            part.load_state_dict(saved["parts"][key])
        self.epoch, self.steps, self.seconds, self.log = saved["epoch"], saved["steps"], saved["seconds"], saved["log"]
        return True

    def save(self) -> None:
        """Write the checkpoint under a temporary name, then rename it over the old one."""
        self.checkpoint.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.checkpoint.with_suffix(".writing")
        state = {
            "name": self.name,
            "seed": self.seed,
            "epoch": self.epoch,
            "steps": self.steps,
            "seconds": self.seconds,
            "log": self.log,
            "parts": {key: part.state_dict() for key, part in self.parts.items()},
        }
        torch.save(state, temporary)
        temporary.replace(self.checkpoint)


def run_epochs(
    run: Run,
    epochs: int,
    batches: Callable[[int, torch.Generator], Iterable[tuple[Tensor, Tensor]]],
    step: Step,
    *,
    evaluate: Callable[[], Mapping[str, float]] | None = None,
) -> None:
    """Train up to ``epochs``, saving after each; an interrupted run continues from its last complete epoch.

    Every epoch draws from generators seeded by the run's seed and the epoch's number alone, so a resumed run gets the same batches as an
    uninterrupted one.

    Parameters
    ----------
    run : Run
        The run; updated in place.
    epochs : int
        Number of the last epoch.
    batches : callable
        Returns the batches of an epoch from its number and a generator.
    step : Step
        Trains on one batch.
    evaluate : callable, optional
        Returns figures after each epoch.
    """
    run.resume()
    for epoch in range(run.epoch, epochs):
        began = time.monotonic()
        torch.manual_seed(run.seed * 1000 + epoch)  # dropout and latents drawn inside the step
        order = torch.Generator().manual_seed(run.seed * 1000 + epoch)
        sums: dict[str, float] = {}
        count = 0
        for pixels, labels in batches(epoch, order):
            for key, value in step(run.steps, pixels, labels).items():
                sums[key] = sums.get(key, 0.0) + value
            run.steps += 1
            count += 1
            if count % 50 == 0:
                rate = (time.monotonic() - began) / count
                shown = " ".join(f"{key} {value / count:.4f}" for key, value in sums.items())
                print(f"{run.name} epoch {epoch} step {count} {rate:.3f} s/step {shown}", file=sys.stderr, flush=True)
        figures = {key: value / max(count, 1) for key, value in sums.items()}
        run.epoch = epoch + 1
        run.seconds += time.monotonic() - began
        if evaluate is not None:
            figures.update(evaluate())
        run.log.append({"epoch": epoch, "seconds": round(run.seconds, 1), **figures})
        print(json.dumps({"name": run.name, **run.log[-1]}), flush=True)
        run.save()


def one_cycle(total: int, warm: float = 0.2, final: float = 0.0) -> Callable[[int], float]:
    """Return a learning-rate factor as a function of the step, which rises linearly to 1 and then falls linearly.

    Parameters
    ----------
    total : int
        Number of steps.
    warm : float
        Share of the steps in which the factor rises, from .05.
    final : float
        The factor at the last step.
    """

    def factor(step: int) -> float:
        position = min(step / total, 1.0)
        if position < warm:
            return 0.05 + 0.95 * position / warm
        return final + (1 - final) * (1 - position) / (1 - warm)

    return factor


def split_decay(model: nn.Module, decay: float) -> list[dict[str, Any]]:
    """Return parameter groups with weight decay on matrices and kernels only, as is usual."""
    heavy = [p for p in model.parameters() if p.ndim > 1]
    light = [p for p in model.parameters() if p.ndim <= 1]
    return [{"params": heavy, "weight_decay": decay}, {"params": light, "weight_decay": 0.0}]
