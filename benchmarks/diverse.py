"""Several optima instead of one: what a job with ``diverse`` finds, beside the best candidates of an ordinary search that lie as far apart.

    python -m benchmarks.diverse [--evaluations 800 2000] [--optimizer auto] [--n 4] [--distance 0.5] [--out FOLDER]

For each pair of the zoo, with and without gradients, three units are searched twice within the same budget: by one ordinary search, and for
``n`` optima. Printed are tables in Markdown, and with ``--out`` a sheet of the optima is drawn. The naive set takes from all that the
ordinary search has evaluated the best candidate, then the best one that is ``distance`` from it, and so on. Responses are given as
multiples of the ordinary search's single best.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from actmax.engine.build import check
from actmax.engine.resolved_job import ResolvedJob
from actmax.engine.run import execute, searches_of
from actmax.engine.search.diverse_selection import best_apart
from actmax.engine.spec import JobSpec
from actmax.models.spaces import Categorical

PAIRS = {
    "VQ-VAE × SNN": ("cifar10-vqvae", "cifar10-snn", ["lif_out[1]", "lif_out[3]", "lif_out[7]"]),
    "SN-GAN × CNN": ("cifar10-sngan", "cifar10-cnn", ["fc[3]", "fc[7]", "fc[8]"]),
}
FEATURES = "pool"


def job(pair: str, optimizer: str, gradient: bool, evaluations: int, **more: Any) -> ResolvedJob:
    """One job: a pair's three units."""
    generator, target, units = PAIRS[pair]
    spec = {
        "generator": {"name": generator},
        "target": {"name": target},
        "units": units,
        "optimizer": {"name": optimizer, "options": {"gradient": gradient} if optimizer == "auto" else {}},
        "budget": {"evaluations": evaluations},
        **more,
    }
    return check(JobSpec.parse(spec))


def plain(checked: ResolvedJob) -> tuple[list[float], list[tuple[Tensor, Tensor]]]:
    """The best response of an ordinary search for each unit, and all candidates with their scores."""
    searches = searches_of(checked)
    seen: list[tuple[list[Tensor], list[Tensor]]] = [([], []) for _ in searches]
    space = checked.generator.latent
    for search, (latents, scores) in zip(searches, seen, strict=True):
        tell = search.optimizer.tell

        def watched(evaluations: Any, tell: Any = tell, latents: list[Tensor] = latents, scores: list[Tensor] = scores) -> None:
            shown = evaluations.latents.detach().cpu()
            latents.append(space.harden(shown) if isinstance(space, Categorical) else shown)
            scores.append(evaluations.scores.nan_to_num(-torch.inf))
            tell(evaluations)

        search.optimizer.tell = watched  # type: ignore[method-assign]
    result = execute(checked, searches)
    return [found.response for found in result.searches], [(torch.cat(latents), torch.cat(scores)) for latents, scores in seen]


def naive(checked: ResolvedJob, latents: Tensor, scores: Tensor, n: int, distance: float) -> tuple[Tensor, list[float]]:
    """The best candidates at least ``distance`` apart, and their scores."""
    measure = checked.latent_distance()
    chosen = latents[:0]
    responses: list[float] = []
    for _ in range(n):
        row = best_apart(latents, scores, chosen, distance, measure)
        chosen = torch.cat([chosen, latents[row][None]])
        responses.append(float(scores[row]))
    return chosen, responses


def spread(checked: ResolvedJob, features: ResolvedJob, latents: Tensor) -> tuple[float, float, float]:
    """Mean pairwise distance in latents, in pixels (root mean square) and in a CNN's penultimate features (1 - cosine)."""
    pairs = torch.triu_indices(len(latents), len(latents), 1)
    with torch.inference_mode():
        stimuli = checked.generator(latents)
        pixels = (stimuli[pairs[0]] - stimuli[pairs[1]]).square().flatten(1).mean(1).sqrt()
        seen = features.target.respond(stimuli, {FEATURES})[FEATURES].flatten(1)
        apart = 1 - torch.cosine_similarity(seen[pairs[0]], seen[pairs[1]])
    between = checked.latent_distance().within(latents)[pairs[0], pairs[1]]
    return float(between.mean()), float(pixels.mean()), float(apart.mean())


def table(rows: Sequence[str]) -> str:
    """Rows under the heading that all tables have."""
    head = "| pair | search | evaluations | set | 1st | 2nd | 3rd | 4th | latents | pixels | features |"
    return "\n".join([head, "|---|---|---|---|---|---|---|---|---|---|---|", *rows])


def sheet(rows: Sequence[np.ndarray], path: Path) -> None:
    """One row of stimuli a unit, four times their size."""
    lines = [np.concatenate(list(row.transpose(0, 2, 3, 1)), 1) for row in rows]
    pixels = (np.concatenate(lines) * 255).clip(0, 255).astype(np.uint8)
    image = Image.fromarray(pixels)
    image.resize((image.width * 4, image.height * 4), Image.Resampling.NEAREST).save(path)


def main() -> None:
    """Run all and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--evaluations", type=int, nargs="+", default=[800, 2000])
    parser.add_argument("--pairs", nargs="+", default=list(PAIRS))
    parser.add_argument("--optimizer", default="auto")
    parser.add_argument("--gradient", type=int, nargs="+", default=[0, 1], help="0 without, 1 with")
    parser.add_argument("--n", type=int, default=4)
    parser.add_argument("--distance", type=float, default=0.5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=None)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    features = job("SN-GAN × CNN", "auto", True, 1)
    rows: list[str] = []
    for pair in asked.pairs:
        for gradient in map(bool, asked.gradient):
            for evaluations in asked.evaluations:
                began = time.monotonic()
                ordinary = job(pair, asked.optimizer, gradient, evaluations, seed=asked.seed)
                best, seen = plain(ordinary)
                took = time.monotonic() - began
                several = job(
                    pair, asked.optimizer, gradient, evaluations, seed=asked.seed, diverse={"n": asked.n, "distance": asked.distance}
                )
                found = execute(several, searches_of(several)).searches
                search = (
                    f"{asked.optimizer}, {'gradients' if gradient else 'no gradients'}" if asked.optimizer == "auto" else asked.optimizer
                )
                measured: dict[str, list[tuple[list[float], tuple[float, float, float]]]] = {"naive": [], "diverse": []}
                for top, (latents, scores), one in zip(best, seen, found, strict=True):
                    chosen, responses = naive(ordinary, latents, scores, asked.n, asked.distance)
                    measured["naive"].append(([response / top for response in responses], spread(ordinary, features, chosen)))
                    optima = torch.stack([torch.from_numpy(optimum.latent) for optimum in one.optima])
                    measured["diverse"].append(([each.response / top for each in one.optima], spread(several, features, optima)))
                for name, each in measured.items():
                    responses = np.mean([found for found, _ in each], 0)
                    apart = np.mean([found for _, found in each], 0)
                    cells = [*(f"{value:.2f}" for value in responses), *(f"{value:.2f}" for value in apart[:1])]
                    cells += [f"{apart[1]:.3f}", f"{apart[2]:.2f}"]
                    rows.append(f"| {pair} | {search} | {evaluations:,} | {name} | {' | '.join(cells)} |")
                    print(rows[-1], flush=True)
                for one, top in zip(found, best, strict=True):
                    print(f"  {one.unit}: ordinary {top:.3g}; optima", " ".join(f"{each.response:.3g}" for each in one.optima), flush=True)
                print(f"  {took:.0f} s and {time.monotonic() - began - took:.0f} s", flush=True)
                if asked.out is not None:
                    asked.out.mkdir(parents=True, exist_ok=True)
                    name = f"{PAIRS[pair][0]}-{asked.optimizer}-{'gradient' if gradient else 'blackbox'}-{evaluations}.png"
                    sheet([np.stack([each.stimulus for each in one.optima]) for one in found], asked.out / name)
    print(table(rows))


if __name__ == "__main__":
    main()
