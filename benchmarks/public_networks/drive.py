"""Drives one network: list its layers, maximise three units, write the report, compare with the bare network."""

from __future__ import annotations

import shutil
import tempfile
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from actmax.engine.components.adapt import adapt
from actmax.engine.errors import InvalidJob
from actmax.engine.maximize import maximize
from actmax.engine.results.result import JobResult, SearchResult
from actmax.models.targets.target import LayerInfo

from .bare import bare_response
from .entry import PublicNetwork

Status = Literal["works", "refused", "wrong", "fails", "missing"]

TOLERANCE = 1e-3
"""Largest difference from the bare network's response, of its size, that counts as rounding."""


@dataclass(frozen=True)
class Driven:
    """The result for one unit; ``bare`` is its response computed without actmax, None where no forward hook can read it."""

    unit: str
    response: float
    bare: float | None
    lowest_score: float
    optimizer_note: str

    @property
    def agrees(self) -> bool:
        """Whether the response is the bare network's."""
        return self.bare is None or abs(self.response - self.bare) <= TOLERANCE * max(1.0, abs(self.bare))


@dataclass(frozen=True)
class Outcome:
    """The result for one network; ``reason`` says why it was refused, or what failed."""

    name: str
    source: str
    family: str
    around: str
    expected: str
    status: Status
    reason: str = ""
    layers: int = 0
    seconds: float = 0.0
    units: tuple[Driven, ...] = ()
    warnings: tuple[str, ...] = field(default_factory=tuple)

    def plain(self) -> dict[str, Any]:
        """Return the outcome as JSON takes it."""
        return asdict(self)


def drive(network: PublicNetwork, figures: Path | None = None, evaluations: int = 32, seed: int = 0) -> Outcome:
    """Return the result of listing layers, maximising three units and writing the report of ``network``.

    Parameters
    ----------
    network : PublicNetwork
        What to drive.
    figures : Path or None
        Folder that gets the montage of the three units, as ``<name>.png``.
    evaluations : int
        Budget of each unit.
    seed : int
        Of the network's weights and of the search.
    """
    began = time.perf_counter()

    def outcome(status: Status, reason: str = "", **further: Any) -> Outcome:
        seconds = round(time.perf_counter() - began, 2)
        return Outcome(
            network.name, network.source, network.family, network.around, network.expected, status, reason, seconds=seconds, **further
        )

    try:
        module = network.build(seed)
    except ImportError as error:
        return outcome("missing", str(error))
    listed: list[LayerInfo] = []
    try:
        _called_once(module, network.shape)
        before = _contents(module)
        listed = list(adapt("target", module, network.target_options(), "target").layers())
        result, units = _maximised(network, module, listed, figures, evaluations, seed)
    except InvalidJob as error:
        return outcome("refused", str(error), layers=len(listed))
    except Exception as error:  # the benchmark is about what else can be raised
        return outcome("fails", f"{type(error).__name__}: {error}", layers=len(listed))
    driven = tuple(_driven(network, search, unit, seed) for search, unit in zip(result.searches, units, strict=True))
    told = {"layers": len(listed), "units": driven, "warnings": tuple(getattr(result, "warnings", ()))}
    if _contents(module) != before:
        return outcome("wrong", "the network was changed", **told)
    apart = [one for one in driven if not one.agrees]
    if apart:
        return outcome("wrong", f"{apart[0].unit} is {apart[0].response:.6g}, the bare network says {apart[0].bare:.6g}", **told)
    return outcome("works", **told)


Unit = tuple[str, tuple[int | None, ...]]
"""A layer, and an index of which None stands for all positions."""


def three_units(layers: list[LayerInfo]) -> list[Unit]:
    """Return one unit of the first layer, of the one in the middle, and of the last."""
    chosen = dict.fromkeys([0, len(layers) // 2, len(layers) - 1])
    return [(layers[number].name, _index(layers[number].shape)) for number in chosen]


def address(unit: Unit) -> str:
    """Return ``unit`` as a job writes it."""
    layer, index = unit
    return f"{layer}[{', '.join(':' if place is None else str(place) for place in index)}]"


def _index(shape: tuple[int, ...]) -> tuple[int | None, ...]:
    """A feature over all tokens of (tokens, features), else the second of the first dimension, where there is one."""
    if len(shape) == 2:
        return None, min(1, shape[1] - 1)
    return (min(1, shape[0] - 1),)


def _maximised(
    network: PublicNetwork, module: nn.Module, layers: list[LayerInfo], figures: Path | None, evaluations: int, seed: int
) -> tuple[JobResult, list[Unit]]:
    units = three_units(layers)
    series = len(network.shape) == 2
    with tempfile.TemporaryDirectory() as folder:
        result = maximize(
            "series" if series else "pixel",
            module,
            [address(unit) for unit in units],
            target_options=network.target_options(),
            evaluations=evaluations,
            prior="none",
            seed=seed,
            device="cpu",
            folder=folder,
        )
        artifacts = Path(folder) / "artifacts"
        if not (artifacts / "report.html").is_file():
            raise FileNotFoundError("no report was written")
        if figures is not None:
            figures.mkdir(parents=True, exist_ok=True)
            shutil.copy(artifacts / "montage.png", figures / f"{file_name(network.name)}.png")
    return result, units


def _driven(network: PublicNetwork, search: SearchResult, unit: Unit, seed: int) -> Driven:
    bare = None if network.random else bare_response(network, torch.from_numpy(search.stimulus), unit[0], unit[1], seed)
    return Driven(address(unit), search.response, bare, float(min(search.scores)), search.note)


def file_name(name: str) -> str:
    """Return ``name`` with every run of other characters than letters and digits as one hyphen."""
    return "-".join("".join(letter if letter.isalnum() else " " for letter in name).split())


def _called_once(module: nn.Module, shape: tuple[int, ...]) -> None:
    """Let ``module`` set itself up: some networks put hooks of their own on themselves at their first call."""
    with torch.no_grad(), suppress(Exception):  # one that does not take the stimulus is refused below
        module(torch.zeros(2, *shape))


def _contents(module: nn.Module) -> list[Any]:
    """Parameters, buffers, flags and hooks of a network, to see whether a search has changed any."""
    tensors = [(name, tensor.detach().clone().numpy().tobytes()) for name, tensor in module.state_dict().items()]
    flags = [(part.training, len(part._forward_hooks), len(part._forward_pre_hooks)) for part in module.modules()]
    graded = [(name, tensor.requires_grad, tensor.grad is None) for name, tensor in module.named_parameters()]
    return [tensors, flags, graded]
