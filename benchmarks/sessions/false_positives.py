"""How often a session claims an effect on a neuron that has none: dead, or dead and drifting.

python -m benchmarks.sessions.false_positives --sessions 200 --out benchmarks/sessions/results

Each session runs whole, by the search "xdream", with references, leaders measured again and drift normalised. It claims an effect where
its comparison with the first generation, or with references, has p <= 0.05. A responsive neuron says how often a true effect is found.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "fixtures"))

import toy_lab
from actmax.engine.session.checking import check_session
from actmax.engine.session.session import Session
from actmax.engine.session.spec import SessionSpec
from actmax.engine.session.trials import TrialResponse

LEVEL = 0.05
NEURONS = ("dead", "drifting down", "drifting up", "waking", "responsive")


def rate(neuron: str, share: float, stimulus: float) -> float:
    """Mean count; ``share`` of the session has gone by, ``stimulus`` is what a responsive neuron sees, 0 to 1."""
    match neuron:
        case "dead":
            return 4.0
        case "drifting down":
            return 6.0 * (1 - 0.6 * share)
        case "drifting up":
            return 3.0 * (1 + 2 * share)
        case "waking":  # it begins to fire in the middle of the session
            return 0.2 if share < 0.5 else 8.0
        case _:
            return 1.0 + 6.0 * stimulus


def simulate(neuron: str, seed: int, evaluations: int, significance: float) -> dict[str, Any]:
    spec = {
        "generator": {"name": "decoder"},
        "units": [{"name": "a"}],
        "optimizer": {"name": "xdream"},
        "stop": {"evaluations": evaluations, "significance": significance},
        "design": {"generation_size": 30, "references": {"rate": 0.15}, "leaders": 2},
        "seed": seed,
    }
    session = Session(check_session(SessionSpec.parse(spec), given={"decoder": toy_lab.decoder()}))
    draws = np.random.default_rng(seed)
    direction = np.array([1.0, -1.0, 0.5, 0.0, -0.5])
    while not session.stopped_by:
        told = []
        for trial in session.record.current:
            latent = session.stimuli.latent(trial.stimulus)
            drive = 0.0 if latent is None else float(latent.double().numpy() @ direction)
            mean = rate(neuron, min(trial.number / evaluations, 1.0), 1 / (1 + math.exp(-drive)))
            told.append(TrialResponse(trial.number, (float(draws.poisson(mean)),)))
        session.record.tell(told)
        session.step()
    found = session.found()
    over = {name: getattr(found, f"over_{name}") for name in ("first", "references")}
    return (
        {f"{name}": value.p_value <= LEVEL for name, value in over.items() if value is not None}
        | {f"{name}_interval": value.low > 0 for name, value in over.items() if value is not None}
        | {"stopped": session.stopped_by == "significance"}
    )


def upper(hits: int, n: int) -> float:
    """97.5 % upper bound of a share (Clopper and Pearson)."""
    from scipy.special import betaincinv

    return 1.0 if hits == n else float(betaincinv(hits + 1, n - hits, 0.975))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=200)
    parser.add_argument("--evaluations", type=int, default=240)
    parser.add_argument("--significance", type=float, default=0.05)
    parser.add_argument("--neurons", default=",".join(NEURONS))
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    report: dict[str, Any] = {"sessions": options.sessions, "evaluations": options.evaluations, "level": LEVEL}
    for neuron in options.neurons.split(","):
        began = time.monotonic()
        # without a stop rule all sessions reach their end; with it, what the stop rule itself claims
        full = [simulate(neuron, seed, options.evaluations, 0.0) for seed in range(options.sessions)]
        early = [simulate(neuron, 10_000 + seed, options.evaluations, options.significance) for seed in range(options.sessions)]
        row: dict[str, Any] = {}
        for claim in ("first", "references", "first_interval", "references_interval"):
            hits = sum(found[claim] for found in full)
            row[claim] = {"share": hits / len(full), "upper": round(upper(hits, len(full)), 4)}
        hits = sum(found["stopped"] for found in early)
        row["stopped"] = {"share": hits / len(early), "upper": round(upper(hits, len(early)), 4)}
        report[neuron] = row
        print(f"{neuron}: {json.dumps(row)} ({time.monotonic() - began:.0f} s)", flush=True)
        if options.out:
            options.out.mkdir(parents=True, exist_ok=True)
            (options.out / "false_positives.json").write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
