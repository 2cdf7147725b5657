"""Trains the SN-GAN: ``python -m actmax.models.zoo.training sngan``."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..architectures.sngan import LATENT, Discriminator, Generator
from .cifar10 import shuffled_batches
from .finish import sheet, write
from .loop import Run, run_epochs
from .task import Task, Trained

BATCH = 64
RATE = 2e-4
AVERAGE = 0.999
"""Decay of the running mean of the generator's weights, the shipped ones (Yazici et al., 2019)."""


class _Average:
    """A running mean of a generator's weights, as a part of the checkpoint."""

    def __init__(self, model: Generator) -> None:
        self.model = copy.deepcopy(model).eval()

    @torch.no_grad()
    def follow(self, model: Generator) -> None:
        for mean, value in zip(self.model.parameters(), model.parameters(), strict=True):
            mean.lerp_(value, 1 - AVERAGE)

    @torch.no_grad()
    def settle(self, seed: int, batches: int = 100) -> None:
        """Measure batch normalisation's statistics under the averaged weights; the running ones don't fit them (Brock et al., 2019)."""
        latents = torch.Generator().manual_seed(seed)
        device = next(self.model.parameters()).device
        for part in self.model.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.reset_running_stats()
                part.momentum = None
        self.model.train()
        for _ in range(batches):
            self.model(torch.randn(BATCH, LATENT, generator=latents).to(device))
        self.model.eval()

    def state_dict(self) -> dict[str, Any]:
        return self.model.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state)


def train(task: Task) -> Trained:
    """Train by the hinge loss, one discriminator step a generator step; the discriminator's weights are normalised in float32."""
    torch.manual_seed(task.seed)
    generator = Generator().to(task.device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    discriminator = Discriminator().to(task.device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    average = _Average(generator)
    epochs = task.epochs or 34
    slow = torch.optim.Adam(generator.parameters(), lr=RATE, betas=(0.5, 0.999))
    fast = torch.optim.Adam(discriminator.parameters(), lr=RATE, betas=(0.5, 0.999))

    per_epoch = len(task.train) // BATCH

    def set_rates(number: int) -> None:
        """Set the learning rates: 2e-4, twice that for the discriminator after two epochs, falling linearly to 0 over the last third."""
        left = min(1.0, 3 * (1 - number / (epochs * per_epoch)))
        slow.param_groups[0]["lr"] = RATE * left
        fast.param_groups[0]["lr"] = RATE * left * (1 if number < 2 * per_epoch else 2)

    def latents() -> Tensor:
        return torch.randn(BATCH, LATENT, device=task.device)

    def step(number: int, pixels: Tensor, _: Tensor) -> dict[str, float]:
        set_rates(number)
        real = pixels.to(task.device).contiguous(memory_format=torch.channels_last)
        with discriminator.normalised():
            with torch.autocast(task.device, torch.bfloat16):
                with torch.no_grad():
                    fake = generator(latents())
                both = discriminator(torch.cat([real, fake.float()])).float()
            loss = F.relu(1 - both[:BATCH]).mean() + F.relu(1 + both[BATCH:]).mean()
            fast.zero_grad()
            loss.backward()
        fast.step()

        discriminator.requires_grad_(False)
        with discriminator.normalised():
            with torch.autocast(task.device, torch.bfloat16):
                fooled = -discriminator(generator(latents())).float().mean()
            slow.zero_grad()
            fooled.backward()
        slow.step()
        discriminator.requires_grad_(True)
        average.follow(generator)
        return {"discriminator": loss.item(), "generator": fooled.item()}

    parts = {"generator": generator, "discriminator": discriminator, "average": average, "slow": slow, "fast": fast}
    run = Run("cifar10-sngan", task.seed, task.checkpoint, parts)
    run_epochs(run, epochs, lambda _, order: shuffled_batches(task.train, BATCH, order, crop=False), step)
    average.settle(task.seed)
    return Trained(run, {"model": average.model}, {})


def publish(trained: Trained, task: Task, command: str, folder: Path) -> None:
    """Write the averaged generator, its card and a sheet of 100 samples."""
    model = trained.modules["model"].eval()
    with torch.inference_mode():
        samples = model(torch.randn(100, LATENT, generator=torch.Generator().manual_seed(task.seed)))
    summary = "SN-GAN: 128 normal latents to 32 × 32 images; running mean of the generator's weights"
    path = write(trained, task, command, dict(model.state_dict()), summary, folder)
    sheet(samples, 10, path.with_suffix(".png"))
