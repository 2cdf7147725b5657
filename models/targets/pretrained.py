"""What targets of well-known networks by name have in common: their options, weights from files, and errors that help."""

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
"""Weights drawn from ``seed``."""

SUFFIXES = (".safetensors", ".pt", ".pth", ".bin")
"""How names of weight files end."""
MAX_BYTES = 16 << 30


class PretrainedOptions(OptionsModel):
    """Options that all of them take."""

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
        """The file that ``weights`` names, if it names one."""
        return Path(self.weights).expanduser() if self.weights is not None and is_file_name(self.weights) else None

    @property
    def weight_name(self) -> str | None:
        """The known weights that ``weights`` names, if it names any."""
        return None if self.weights in (None, RANDOM) or self.weight_file is not None else self.weights

    def shape(self, channels: int, default: tuple[int, int]) -> StimulusSpec:
        """Images of ``size``, or of the ``default`` height and width."""
        height, width = default if self.size is None else (self.size, self.size) if isinstance(self.size, int) else self.size
        return StimulusSpec((channels, height, width))


def is_file_name(weights: str) -> bool:
    """Whether ``weights`` names a file rather than known weights."""
    return weights.endswith(SUFFIXES) or "/" in weights or "\\" in weights


def needs(package: str, extra: str, *, option: str = "model") -> ModuleType:
    """Import ``package``, which only some installations have.

    Raises
    ------
    InvalidOption
        It is not here; the message says how to install it.
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
    """``name`` if it is one of ``names``.

    Raises
    ------
    InvalidOption
        It is not; near names are told.
    """
    if name in names:
        return name
    listed = ", ".join(sorted(names)[:8]) + (", …" if len(names) > 8 else "")
    near = hint(name, names, f"there are {listed or 'none'}")
    raise InvalidOption(option, f"there is no {what} {name!r}; {near}")


def seeded(make: Callable[[], Made], seed: int) -> Made:
    """What ``make`` makes with torch's random state at ``seed``, which is put back after."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make()


def read_weights(path: Path, option: str = "weights") -> dict[str, Tensor]:
    """Every tensor of a safetensors file, or of a torch file that holds nothing but tensors and plain data.

    A dictionary inside such a file, ``state_dict`` or ``model``, is opened, and the prefix ``module.`` of parallel training removed.

    Raises
    ------
    InvalidOption
        The file is missing, too large, damaged, or of another kind; nothing in it is ever run.
    """
    if not path.is_file():
        raise InvalidOption(option, f"there is no file {str(path)!r}")
    if path.stat().st_size > MAX_BYTES:
        raise InvalidOption(option, f"{path.name} is larger than {MAX_BYTES >> 30} GiB")
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        held = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises what it meets in a damaged file: zip, pickle, key and runtime errors
        shown = str(error).strip().split("\n", 1)[0]
        raise InvalidOption(option, f"{path.name} holds no weights that can be read safely ({type(error).__name__}: {shown})") from error
    for key in ("state_dict", "model"):
        if isinstance(held, Mapping) and isinstance(held.get(key), Mapping):
            held = held[key]
    if not isinstance(held, Mapping) or not all(isinstance(value, Tensor) for value in held.values()):
        raise InvalidOption(option, f"{path.name} holds no state dictionary of tensors")
    return {str(key).removeprefix("module."): value for key, value in held.items()}


def fetched(fetch: Callable[[], Made], what: str, option: str = "weights") -> Made:
    """What ``fetch`` brings from the net or from its cache.

    Raises
    ------
    InvalidOption
        It can't, as without a network.
    """
    try:
        return fetch()
    except InvalidOption:
        raise
    except Exception as error:  # a dozen kinds, between urllib, httpx, huggingface_hub and the disk
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
    """The finished network as a target.

    Parameters
    ----------
    module : nn.Module
        With its weights.
    options : PretrainedOptions
        Normalisation, precision and redirection are theirs.
    stimulus : StimulusSpec
        What it takes.
    default : Normalise
        What its weights were trained with.
    names : collection of str
        What the units of its output stand for.

    Raises
    ------
    InvalidOption
        The network does not take such images, or the normalisation does not fit them.
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
    """Names of units 0 … ``count`` - 1 of a table from number to name; none where it has only the numbers themselves."""
    names = [str(table.get(number, table.get(str(number), ""))) for number in range(count)]
    return [] if all(name in ("", f"LABEL_{number}") for number, name in enumerate(names)) else names
