"""A torch decoder whose state is restored after every call, with one deterministic stimulus for each latent."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..networks.accept import require_ready, unwrapped
from ..networks.preserve_state import Habits, preserve_state
from ..networks.random_state import seed_all

SEED = 0
"""Seed of a decoder's random numbers."""
_CLOSE = 1e-3
"""Largest difference of two stimuli from one latent that counts as rounding, as a share of their largest value."""


class KeptDecoder:
    """A decoder that runs in evaluation mode and whose state is restored to the bit.

    Its random numbers are the same in every call. Latents are decoded one by one where a stimulus depends on the rest of its batch, or
    where the decoder takes a single latent only.

    Parameters
    ----------
    decoder : nn.Module
        Takes (n, *latent) floats and makes a stimulus of each.
    latents : Tensor
        (2, *latent), for a trial at construction.

    Attributes
    ----------
    module : nn.Module
        The decoder, without wrappers.
    shape : tuple of int
        Shape of one stimulus.

    Raises
    ------
    ValueError
        The decoder refuses such latents, or doesn't make one stimulus of each.
    """

    def __init__(self, decoder: nn.Module, latents: Tensor) -> None:
        self.module = unwrapped(decoder)
        self._habits = Habits()
        self._alone = False
        require_ready(self.module)
        with torch.inference_mode(False), torch.no_grad():
            alone = self._tried(latents[:1], thorough=True)
            if self._habits.sources:  # again, from the seed that all further calls begin at
                alone = self._tried(latents[:1])
            try:
                first = self._tried(latents)[:1]
            except ValueError:
                first = torch.full_like(alone, torch.nan)
            spread = max(float(alone.abs().max()), 1e-12)
            self._alone = not torch.allclose(first, alone, rtol=0.0, atol=_CLOSE * spread)
        self.shape = tuple(alone.shape[1:])

    @property
    def notices(self) -> list[str]:
        """Notices about the decoder for the user."""
        said = ["The decoder's stimuli depend on the other latents of a batch, or it takes one alone; each is decoded alone."] * self._alone
        if self._habits.sources:
            said.append("The decoder draws random numbers; they are the same in every call.")
        return said

    def preserved(self) -> preserve_state:
        """Return a context that restores the decoder's state at its end."""
        return preserve_state(self.module, self._habits)

    def __call__(self, latents: Tensor) -> Tensor:
        """Decode (n, *latent) to (n, *stimulus), float32.

        Raises
        ------
        RuntimeError
            The decoder made another number of stimuli, or stimuli of another shape.
        """
        if not len(latents):
            return latents.new_zeros(0, *self.shape)
        recording = torch.is_grad_enabled() and not torch.is_inference_mode_enabled()
        # never in inference mode: autograd refuses tensors that a network caches there
        with torch.inference_mode(False), torch.set_grad_enabled(recording):
            made = torch.cat([self._decoded(part) for part in latents.split(1)]) if self._alone else self._decoded(latents)
        if tuple(made.shape) != (len(latents), *self.shape):
            raise RuntimeError(
                f"{type(self.module).__name__} made {tuple(made.shape)} of {len(latents)} latents, not a {self.shape} of each"
            )
        return made

    def _decoded(self, latents: Tensor, *, thorough: bool = False) -> Tensor:
        anchor = next((tensor for tensor in self.module.parameters() if tensor.is_floating_point()), latents)
        with preserve_state(self.module, self._habits, thorough=thorough):
            if self._habits.sources:
                seed_all(SEED)
            # a copy: the decoder may write into it
            return self.module(latents.to(anchor.device, anchor.dtype, copy=True)).float()

    def _tried(self, latents: Tensor, *, thorough: bool = False) -> Tensor:
        name, shape = type(self.module).__name__, tuple(latents.shape)
        try:
            made = self._decoded(latents, thorough=thorough)
        except Exception as error:  # modules raise any class for inputs that they refuse
            reason = str(error).strip().split("\n", 1)[0]
            raise ValueError(f"{name} does not take latents of shape {shape}: {reason}") from error
        if not made.ndim or made.shape[0] != len(latents):
            raise ValueError(f"{name} makes {tuple(made.shape)} of {len(latents)} latents; one stimulus of each was expected")
        return made
