"""Chooses the hidden units of the benchmark: by seed, among those that natural images drive.

    python -m benchmarks.search.choose_units

Five single neurons and five channel means a network, of its deeper layers, written to ``units.json``. A unit qualifies when at least
one in a hundred of 500 natural images drives it above zero and its best is twice its mean.
"""

from __future__ import annotations

import json

import numpy as np
import torch

from .problems import derived_seed
from .vision import BATCH, UNITS, component

LAYERS = {"cifar10-snn": ("lif2", "lif3"), "cifar10-cnn": ("layer3", "layer4")}
IMAGES, NEURONS, CHANNELS = 500, 5, 5


def chosen(target_name: str) -> list[str]:
    """Addresses, neurons before channels."""
    generator, target = component("generator", "cifar10-vqvae"), component("target", target_name)
    random = np.random.default_rng(derived_seed("hidden units", target_name))
    images = generator.prior.bank[torch.from_numpy(random.choice(len(generator.prior.bank), IMAGES, replace=False))]
    neurons: list[str] = []
    channels: list[str] = []
    with torch.inference_mode():
        parts = [target.respond(generator(part), LAYERS[target_name]) for part in images.split(BATCH)]
    for number, layer in enumerate(LAYERS[target_name]):
        answers = torch.cat([part[layer] for part in parts])
        for addresses, values, count in (
            (neurons, answers, NEURONS - NEURONS // 2 if number == len(LAYERS[target_name]) - 1 else NEURONS // 2),
            (channels, answers.mean((2, 3)), CHANNELS - CHANNELS // 2 if number == len(LAYERS[target_name]) - 1 else CHANNELS // 2),
        ):
            selective = ((values > 0).float().mean(0) >= 0.01) & (values.amax(0) >= 2 * values.mean(0)) & (values.amax(0) > 0)
            places = selective.nonzero().numpy()
            picked = places[np.sort(random.choice(len(places), count, replace=False))]
            addresses.extend(f"{layer}[{', '.join(map(str, place))}]" for place in picked.tolist())
    return neurons + channels


if __name__ == "__main__":
    torch.set_num_threads(1)
    UNITS.write_text(json.dumps({name: chosen(name) for name in LAYERS}, indent=1) + "\n")
    print(UNITS.read_text())
