"""Weights from safetensors files, with the reason why a file can't be used."""

from __future__ import annotations

from pathlib import Path

import safetensors
import safetensors.torch
from torch import Tensor, nn

from ..options import InvalidOption

MAX_BYTES = 1 << 30


def read_tensors(path: Path, option: str = "weights") -> dict[str, Tensor]:
    """Return every tensor of a safetensors file, by name.

    Parameters
    ----------
    path : Path
        The file.
    option : str
        The option with the file; errors name it.

    Raises
    ------
    InvalidOption
        The file is missing, too large, truncated, or no safetensors file (pickled weights are refused: loading them
        would run their code).
    """
    if not path.is_file():
        raise InvalidOption(option, f"there is no file {str(path)!r}")
    if path.stat().st_size > MAX_BYTES:
        raise InvalidOption(option, f"{path.name} is larger than {MAX_BYTES >> 20} MiB")
    try:
        return safetensors.torch.load_file(path)
    except (safetensors.SafetensorError, OSError, ValueError, KeyError) as error:
        raise InvalidOption(
            option, f"{path.name} is no whole safetensors file ({error}); convert pickled weights with safetensors.torch.save_file"
        ) from error


def load_into(module: nn.Module, tensors: dict[str, Tensor], source: str, option: str = "weights") -> None:
    """Load ``tensors`` into ``module``, which has to have the same names and shapes.

    Parameters
    ----------
    module : nn.Module
        Changed in place.
    tensors : dict of str to Tensor
        The weights, finite.
    source : str
        Where the weights come from, for messages.
    option : str
        The option with the weights; errors name it.

    Raises
    ------
    InvalidOption
        Names or shapes differ (the message lists the first three differences), or a weight is not finite.
    """
    own = module.state_dict()
    problems = [f"{name} is missing" for name in own if name not in tensors]
    problems += [f"{name} is not part of it" for name in tensors if name not in own]
    problems += [
        f"{name} has shape {tuple(tensors[name].shape)}, not {tuple(value.shape)}"
        for name, value in own.items()
        if name in tensors and tensors[name].shape != value.shape
    ]
    if problems:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise InvalidOption(option, f"{source} holds weights of another architecture: {'; '.join(problems[:3])}{more}")
    if any(value.is_floating_point() and not bool(value.isfinite().all()) for value in tensors.values()):
        raise InvalidOption(option, f"{source} holds weights that are not finite")
    module.load_state_dict(tensors)
