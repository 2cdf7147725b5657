"""The zoo's generators, as components."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import torch
from pydantic import AfterValidator, Field

from ..generators.codebook import CodebookGenerator
from ..generators.decoder import DecoderGenerator
from ..networks.weights import load_into, read_tensors
from ..options import InvalidOption, OptionsModel
from ..permissions import permitted_model
from ..spaces import Box
from .architectures.sngan import LATENT, Generator
from .architectures.vqvae import CODES, MAP, WIDTH, Decoder
from .weights import FOLDER

_PREFIX = "decoder."


class WeightOptions(OptionsModel):
    """Option of the weights to load."""

    weights: Annotated[str, AfterValidator(permitted_model)] | None = Field(
        default=None, description="Path of a safetensors file of the same architecture; the shipped weights by default."
    )

    def path(self, name: str) -> Path:
        """Return the path of the weights to load; ``name`` is that of the shipped ones."""
        return FOLDER / f"{name}.safetensors" if self.weights is None else Path(self.weights)


class VQVAEGenerator:
    """Decoder of a VQ-VAE trained on CIFAR-10: maps of 8 × 8 codes out of 512, to 32 × 32 images."""

    class Options(WeightOptions):
        """Options of the generator."""

    @classmethod
    def from_options(cls, options: Options) -> CodebookGenerator:
        """Return the generator with code book, decoder and the bank of natural codes.

        Raises
        ------
        InvalidOption
            The weights can't be read, or belong to another architecture.
        """
        path = options.path("cifar10-vqvae")
        tensors = read_tensors(path)
        codebook, bank = tensors.pop("codebook", None), tensors.pop("bank", None)
        if codebook is None or codebook.shape != (CODES, WIDTH):
            raise InvalidOption("weights", f"{path.name} holds weights of another architecture: it has no codebook of {CODES} × {WIDTH}")
        decoder = Decoder()
        load_into(decoder, {key.removeprefix(_PREFIX): value for key, value in tensors.items()}, path.name)
        try:
            return CodebookGenerator(codebook, decoder, (MAP, MAP), bank=None if bank is None else bank.long())
        except ValueError as error:
            raise InvalidOption("weights", f"{path.name}: {error}") from error


class SNGANGenerator:
    """Generator of an SN-GAN trained on CIFAR-10: 128 normal latents, to 32 × 32 images."""

    class Options(WeightOptions):
        """Options of the generator."""

    BANK = 2000
    BOUND = 3.0

    @classmethod
    def from_options(cls, options: Options) -> DecoderGenerator:
        """Return the generator; its natural latents are draws from the normal distribution of its training.

        Raises
        ------
        InvalidOption
            The weights can't be read, or belong to another architecture.
        """
        path = options.path("cifar10-sngan")
        generator = Generator()
        load_into(generator, read_tensors(path), path.name)
        bank = torch.randn(cls.BANK, LATENT, generator=torch.Generator().manual_seed(0)).clamp(-cls.BOUND, cls.BOUND)
        return DecoderGenerator(generator, Box((LATENT,), -cls.BOUND, cls.BOUND), bank=bank)
