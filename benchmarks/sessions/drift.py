"""What a drift of the neuron's gain costs: the same experiments with and without it.

python -m benchmarks.sessions.drift --seeds 2 --out benchmarks/sessions/results

The gain falls by 30 % over the session, evenly; references are on, as by default. Compared are the true responses of what is recommended,
as the neuron would have answered at the beginning: the ratio of their sums over all pairs, with a bootstrap interval over pairs, for two
searches that met different noise end at different stimuli, and single pairs differ by a fifth.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from .experiments import FIRST, Experiment, perform

RESAMPLES = 10_000


def interval(steady: list[float], drifting: list[float]) -> tuple[float, float]:
    """Of the ratio of sums, 95 %: percentiles of a bootstrap over pairs."""
    arms = np.array([steady, drifting])
    chosen = np.random.default_rng(0).integers(len(steady), size=(RESAMPLES, len(steady)))
    below, above = arms[:, chosen].sum(2)
    low, high = np.percentile(above / below, (2.5, 97.5))
    return float(low), float(high)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problem", nargs="+", default=list(FIRST))
    parser.add_argument("--noise", nargs="+", default=["poisson"])
    parser.add_argument("--presentations", type=int, default=1000)
    parser.add_argument("--drift", type=float, default=-0.3)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--optimizer", default="auto")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    pairs: list[dict[str, Any]] = []
    for problem in options.problem:
        for noise in options.noise:
            for seed in range(options.seeds):
                experiment = Experiment(problem, noise, options.presentations, options.optimizer, seed)
                steady = perform(experiment)
                drifting = perform(experiment, drift=options.drift, span=options.presentations)
                pair = {
                    "problem": problem,
                    "noise": noise,
                    "seed": seed,
                    "steady": steady["true"],
                    "drifting": drifting["true"],
                    "ratio": drifting["true"] / steady["true"],
                    "gain": drifting["gain"],
                }
                pairs.append(pair)
                print(json.dumps(pair), flush=True)
    steady, drifting = ([pair[arm] for pair in pairs] for arm in ("steady", "drifting"))
    low, high = interval(steady, drifting)
    report = {"drift": options.drift, "presentations": options.presentations, "optimizer": options.optimizer}
    report |= {"ratio": sum(drifting) / sum(steady), "low": low, "high": high, "pairs": pairs}
    print(f"with the drift {report['ratio']:.3f} of the response without it ({low:.3f} to {high:.3f}), {len(pairs)} pairs")
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "drift.json").write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
