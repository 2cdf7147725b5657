"""The zoo's generators in front of its networks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from actmax.engine.components.registry import components, find
from actmax.models.objectives.unit import UnitObjective
from actmax.models.units import UnitAddress, resolve
from actmax.models.zoo.weights import FOLDER

from .problems import Family, Missing, SearchProblem

BATCH = 250
CEILINGS = {"cifar10-snn": (19.0, 20.0)}
"""Most spikes of an output and of a hidden unit in the spiking network's 20 steps: no search has made an output fire at the first."""
UNITS = Path(__file__).with_name("units.json")


@lru_cache(maxsize=8)
def component(kind: Any, name: str) -> Any:
    """A component of the zoo with its shipped weights.

    Raises
    ------
    Missing
        It is not registered here, or its weights are not there.
    """
    if name not in {entry.name for entry in components(kind)}:
        raise Missing(f"there is no {kind} {name} here yet")
    found = find(kind, name, kind)
    try:
        return found.from_options(found.Options())
    except FileNotFoundError as error:
        raise Missing(f"the weights of {name} are not here yet") from error


@lru_cache(maxsize=8)
def weights_digest(name: str) -> str:
    """Of the shipped weights."""
    return hashlib.sha256((FOLDER / f"{name}.safetensors").read_bytes()).hexdigest()[:8]


def all_responses(generator: Callable[[Tensor], Tensor], target: Any, latents: Tensor, units: list[UnitAddress]) -> Tensor:
    """(n, *latent) -> (n, units): every unit's response to each stimulus, in one pass."""
    objectives = [UnitObjective(unit) for unit in units]
    layers = {unit.layer for unit in units}
    parts: list[Tensor] = []
    with torch.inference_mode():
        for part in latents.split(BATCH):
            responses = target.respond(generator(part), layers)
            parts.append(torch.stack([objective(responses).double() for objective in objectives], 1))
    return torch.cat(parts)


def responder(generator: Callable[[Tensor], Tensor], target_name: str, unit: str) -> tuple[Callable[[Tensor], Tensor], str]:
    """The clean response of ``unit`` to latents, and the digest of the target."""
    target = component("target", target_name)
    (address,) = resolve(unit, target.layers())
    objective = UnitObjective(address)

    def one(part: Tensor) -> Tensor:
        return objective(target.respond(generator(part), objective.layers)).double()

    def clean(latents: Tensor) -> Tensor:
        if latents.requires_grad:
            return torch.cat([one(part) for part in latents.split(BATCH)])
        with torch.inference_mode():
            scores = torch.cat([one(part) for part in latents.split(BATCH)])
        return scores.clone()  # a plain tensor

    return clean, weights_digest(target_name)


def _problem(name: str, generator_name: str, target_name: str, unit: str, inner: bool) -> SearchProblem:
    generator = component("generator", generator_name)
    clean, digest = responder(generator, target_name, unit)
    prior = generator.prior
    return SearchProblem(
        name,
        unit,
        generator.latent,
        clean,
        f"{weights_digest(generator_name)}-{digest}",
        bank=prior.bank,
        density=lambda: prior.density,
        code_vectors=getattr(generator, "codebook", None),
        differentiable=generator.differentiable and component("target", target_name).differentiable,
        normal="sngan" in generator_name,
        ceiling=CEILINGS[target_name][inner] if target_name in CEILINGS else None,
    )


def families() -> dict[str, Family]:
    """VQ-VAE and SN-GAN, spiking network and CNN."""
    hidden = json.loads(UNITS.read_text())
    found: dict[str, Family] = {}
    for name, generator, target, output in (
        ("vqvae-snn", "cifar10-vqvae", "cifar10-snn", "lif_out"),
        ("sngan-snn", "cifar10-sngan", "cifar10-snn", "lif_out"),
        ("sngan-cnn", "cifar10-sngan", "cifar10-cnn", "fc"),
    ):
        inner = tuple(hidden[target])

        def build(
            unit: str, seed: int, name: str = name, generator: str = generator, target: str = target, inner: tuple[str, ...] = inner
        ) -> SearchProblem:
            del seed
            return _problem(name, generator, target, unit, unit in inner)

        units = (*(f"{output}[{k}]" for k in range(10)), *inner)
        first = (*(f"{output}[{k}]" for k in (0, 4, 7)), inner[2], inner[7])
        about = f"{generator.removeprefix('cifar10-').upper()} × {'spiking network' if target == 'cifar10-snn' else 'CNN'}"

        def respond(latents: Tensor, chosen: list[str], generator: str = generator, target: str = target) -> Tensor:
            network = component("target", target)
            addresses = [address for unit in chosen for address in resolve(unit, network.layers())]
            return all_responses(component("generator", generator), network, latents, addresses)

        found[name] = Family(build, units, 2000, first, about, respond)
    return found
