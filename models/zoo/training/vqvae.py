"""Trains the VQ-VAE: ``python -m actmax.models.zoo.training vqvae``."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from ..architectures.vqvae import VQVAE
from .cifar10 import shuffled_batches
from .finish import sheet, write
from .fitting import Recipe, fit
from .loop import one_cycle
from .task import Task, Trained

BATCH = 250
BANK = 4000
"""Number of shipped natural latents: codes of training images, without their labels."""
COMMITMENT = 0.25


def multiscale_loss(decoded: Tensor, images: Tensor) -> Tensor:
    """Return the L1 distance at full, half and quarter resolution, plus that of neighbour differences, which keeps edges sharp.

    Parameters
    ----------
    decoded, images : Tensor
        (n, 3, h, w) in [0, 1].

    Returns
    -------
    Tensor
        A scalar, ≥ 0.
    """
    loss = (decoded - images).abs().mean()
    for size in (2, 4):
        loss = loss + (F.avg_pool2d(decoded, size) - F.avg_pool2d(images, size)).abs().mean()
    for axis in (2, 3):
        loss = loss + 0.5 * (decoded.diff(dim=axis) - images.diff(dim=axis)).abs().mean()
    return loss


def train(task: Task) -> Trained:
    """Train by Adam on a one-cycle schedule; the code book follows by moving averages."""
    torch.manual_seed(task.seed)
    model = VQVAE().to(task.device)
    model.encoder.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    model.decoder.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    epochs = task.epochs or 12

    def loss(number: int, pixels: Tensor, _: Tensor) -> tuple[Tensor, dict[str, float]]:
        images = pixels.contiguous(memory_format=torch.channels_last)
        with torch.autocast(task.device, torch.bfloat16):
            vectors = model.encoder(images)
        vectors = vectors.float()
        if number == 0:  # initialise the code book with the encoder's vectors
            flat = vectors.detach().movedim(1, -1).flatten(0, -2)
            model.quantizer.sums.copy_(flat[torch.randperm(flat.shape[0])[: model.quantizer.usage.shape[0]]])
            model.quantizer.codebook.copy_(model.quantizer.sums)
        codes = model.quantizer.nearest(vectors.detach())
        quantized = model.quantizer.embed(codes)
        model.quantizer.update(vectors.detach(), codes)
        with torch.autocast(task.device, torch.bfloat16):
            decoded = model.decoder(vectors + (quantized - vectors).detach())
        reconstruction = multiscale_loss(decoded.float(), images)
        commitment = F.mse_loss(vectors, quantized)
        figures = {"reconstruction": reconstruction.item(), "commitment": commitment.item()}
        return reconstruction + COMMITMENT * commitment, figures

    def evaluate(_: int) -> dict[str, float]:
        squared, used = 0.0, torch.zeros_like(model.quantizer.usage, dtype=torch.bool)
        for start in range(0, len(task.test), 500):
            images = task.test.unit_range(slice(start, start + 500)).to(task.device)
            codes = model.encode(images)
            used[codes.flatten()] = True
            squared += float((model.decode(codes) - images).square().mean()) * images.shape[0]
        mse = squared / len(task.test)
        return {"psnr_db": float(-10 * torch.log10(torch.tensor(mse))), "codes_used": float(used.sum())}

    recipe = Recipe(
        name="cifar10-vqvae",
        model=model,
        optimizer=torch.optim.Adam([*model.encoder.parameters(), *model.decoder.parameters()], lr=1.5e-3),
        rate=one_cycle(epochs * (len(task.train) // BATCH), warm=0.1),
        epochs=epochs,
        batches=lambda order: shuffled_batches(task.train, BATCH, order, crop=False),
        loss=loss,
        evaluate=evaluate,
    )
    return fit(recipe, task)


def publish(trained: Trained, task: Task, command: str, folder: Path) -> None:
    """Write code book, decoder, encoder and bank, the card, and a sheet of test images above their reconstructions."""
    model = trained.modules["model"]
    assert isinstance(model, VQVAE)
    model.eval()
    rows = torch.randperm(len(task.train), generator=torch.Generator().manual_seed(task.seed))[:BANK]
    with torch.inference_mode():
        bank = torch.cat([model.encode(task.train.unit_range(part)) for part in rows.split(500)])
        originals = task.test.unit_range(slice(0, 40))
        decoded = model.decode(model.encode(originals))
    tensors = {f"decoder.{key}": value for key, value in model.decoder.state_dict().items()}
    tensors |= {"codebook": model.quantizer.codebook, "bank": bank.to(torch.int16)}
    summary = "VQ-VAE: 8 × 8 map of codes, code book of 512 vectors of 64; decoder, code book and a bank of natural codes"
    path = write(trained, task, command, tensors, summary, folder)
    pairs = torch.stack([originals.view(4, 10, 3, 32, 32), decoded.view(4, 10, 3, 32, 32)], 1)
    sheet(pairs.flatten(0, 2), 10, path.with_suffix(".png"))
