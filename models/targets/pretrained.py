"""The common part of targets that are networks by name: their options, weights from files, and helpful errors."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Literal, TypeVar

import safetensors.torch
import torch
from pydantic import Field, ValidationInfo, field_validator
from torch import Tensor, nn

from ...wire.near_names import hint
from ..networks.torchvision_import import import_torchvision
from ..options import InvalidOption, OptionsModel
from ..permissions import permitted_model
from ..spaces import StimulusSpec
from .module import ModuleTarget, Redirect
from .normalise import IMAGENET, Normalise, for_channels

Made = TypeVar("Made")

Dtype = Literal["float32", "float64", "bfloat16", "float16"]
Size = Annotated[int, Field(ge=1, le=8192)]

RANDOM = "random"
"""Value of ``weights`` for random ones, drawn from ``seed``."""

SUFFIXES = (".safetensors", ".pt", ".pth", ".bin")
"""Endings of weight files' names."""
MAX_BYTES = 16 << 30


class PretrainedOptions(OptionsModel):
    """Options of every target that is a network by name."""

    weights: str | None = Field(
        default=None,
        max_length=4096,
        description="A name of known weights, the path of a .safetensors, .pt or .pth file of the same architecture, or random.",
    )
    seed: int = Field(default=0, ge=0, lt=2**63, description="Of random weights.")
    size: Size | tuple[Size, Size] | None = Field(default=None, description="Height and width of a stimulus, or both as one number.")
    mean: list[float] | None = Field(default=None, description="Subtracted from each channel (or all); the weights' own by default.")
    std: list[float] | None = Field(default=None, description="Divides each channel (or all); the weights' own by default.")
    dtype: Dtype = Field(default="float32", description="Precision that the network is run in.")
    redirect: Redirect = "dead"

    @field_validator("weights")
    @classmethod
    def _permitted(cls, value: str | None, info: ValidationInfo) -> str | None:
        return permitted_model(value, info) if value is not None and is_file_name(value) else value

    @property
    def weight_file(self) -> Path | None:
        """The weight file in ``weights``, or None."""
        return Path(self.weights).expanduser() if self.weights is not None and is_file_name(self.weights) else None

    @property
    def weight_name(self) -> str | None:
        """The name of known weights in ``weights``, or None."""
        return None if self.weights in (None, RANDOM) or self.weight_file is not None else self.weights

    def shape(self, channels: int, default: tuple[int, int]) -> StimulusSpec:
        """Return the specification of images in the option ``size``, or in the ``default`` height and width."""
        height, width = default if self.size is None else (self.size, self.size) if isinstance(self.size, int) else self.size
        return StimulusSpec((channels, height, width))


def is_file_name(weights: str) -> bool:
    """Return whether ``weights`` is the name of a file."""
    return weights.endswith(SUFFIXES) or "/" in weights or "\\" in weights


def needs(package: str, extra: str, *, option: str = "model") -> ModuleType:
    """Import and return an optional package.

    Parameters
    ----------
    package : str
        Name of the module.
    extra : str
        The extra of actmax that installs it.
    option : str
        The option that needs it; errors name it.

    Raises
    ------
    InvalidOption
        The package is not installed or can't be imported; the message says how to install it.
    """
    try:
        if package.partition(".")[0] in ("torchvision", "timm") and importlib.util.find_spec("torchvision"):
            import_torchvision()
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != package.partition(".")[0]:
            raise
        raise InvalidOption(option, f"{package} is not installed here; pip install 'actmax[{extra}]'") from error
    except (ImportError, RuntimeError) as error:  # torchvision built for another torch raises RuntimeError
        raise InvalidOption(option, f"{package} can't be imported here: {error}; pip install 'actmax[{extra}]'") from error


def known(option: str, name: str, names: Collection[str], what: str) -> str:
    """Return ``name`` if it is one of ``names``.

    Parameters
    ----------
    option : str
        The option with the name; errors name it.
    name : str
        The name to check.
    names : collection of str
        The known names.
    what : str
        Description of a name, for messages, such as "model of timm".

    Raises
    ------
    InvalidOption
        The name is unknown; the message suggests near names.
    """
    if name in names:
        return name
    listed = ", ".join(sorted(names)[:8]) + (", …" if len(names) > 8 else "")
    near = hint(name, names, f"there are {listed or 'none'}")
    raise InvalidOption(option, f"there is no {what} {name!r}; {near}")


def seeded(make: Callable[[], Made], seed: int) -> Made:
    """Return the result of ``make``, called with torch's random state at ``seed``; the state is restored afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make()


def read_weights(path: Path, option: str = "weights") -> dict[str, Tensor]:
    """Return every tensor of a safetensors file, or of a torch file that holds only tensors and plain data.

    A dictionary ``state_dict`` or ``model`` inside such a file is opened, and the prefix ``module.`` of parallel training removed.

    Parameters
    ----------
    path : Path
        The file.
    option : str
        The option with the file; errors name it.

    Raises
    ------
    InvalidOption
        The file is missing, too large, damaged, or of another kind; no code in it is ever run.
    """
    if not path.is_file():
        raise InvalidOption(option, f"there is no file {str(path)!r}")
    if path.stat().st_size > MAX_BYTES:
        raise InvalidOption(option, f"{path.name} is larger than {MAX_BYTES >> 30} GiB")
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        held = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises zip, pickle, key and runtime errors for a damaged file
        shown = str(error).strip().split("\n", 1)[0]
        raise InvalidOption(option, f"{path.name} holds no weights that can be read safely ({type(error).__name__}: {shown})") from error
    for key in ("state_dict", "model"):
        if isinstance(held, Mapping) and isinstance(held.get(key), Mapping):
            held = held[key]
    if not isinstance(held, Mapping) or not all(isinstance(value, Tensor) for value in held.values()):
        raise InvalidOption(option, f"{path.name} holds no state dictionary of tensors")
    return {str(key).removeprefix("module."): value for key, value in held.items()}


def fetched(fetch: Callable[[], Made], what: str, option: str = "weights") -> Made:
    """Return the result of ``fetch``, a download or a look-up in its cache.

    Parameters
    ----------
    fetch : callable
        Downloads, or reads the cache.
    what : str
        Description of the result, for messages.
    option : str
        The option that needs it; errors name it.

    Raises
    ------
    InvalidOption
        The download fails, for example without a network.
    """
    try:
        return fetch()
    except InvalidOption:
        raise
    except Exception as error:  # urllib, httpx, huggingface_hub and the file system raise many classes
        shown = str(error).strip().split("\n", 1)[0] or type(error).__name__
        raise InvalidOption(
            option, f"{what} can neither be read on this machine nor downloaded ({shown}); give the path of a file that is here"
        ) from error


def as_target(
    module: nn.Module,
    options: PretrainedOptions,
    stimulus: StimulusSpec,
    *,
    default: Normalise = IMAGENET,
    names: Collection[str] = (),
) -> ModuleTarget:
    """Return a network with its weights as a target.

    Parameters
    ----------
    module : nn.Module
        The network; changed in place.
    options : PretrainedOptions
        Have normalisation, precision and redirection.
    stimulus : StimulusSpec
        The images that it takes.
    default : Normalise
        The normalisation of its training.
    names : collection of str
        Names of the units of its output.

    Raises
    ------
    InvalidOption
        The network refuses such images, or the normalisation does not fit them.
    """
    try:
        prepare = for_channels(options.mean, options.std, default, stimulus.shape[0])
    except ValueError as error:
        raise InvalidOption("mean" if options.mean is not None else "std", str(error)) from error
    module.requires_grad_(False).eval().to(getattr(torch, options.dtype))
    try:
        return ModuleTarget(
            module, stimulus, prepare=prepare, unit_names=list(names), redirect=options.redirect, output_unit="logit" if names else ""
        )
    except ValueError as error:
        raise InvalidOption("size", str(error)) from error


def labels(table: Mapping[Any, Any], count: int) -> list[str]:
    """Return the names of units 0 … ``count`` - 1 from a table of names by number; none where the table holds only numbers."""
    names = [str(table.get(number, table.get(str(number), ""))) for number in range(count)]
    return [] if all(name in ("", f"LABEL_{number}") for number, name in enumerate(names)) else names
