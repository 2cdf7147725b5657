"""A closed-loop experiment: show what the server proposes, tell what was recorded.

    actmax serve &
    python examples/session.py              # begins a session and prints its name
    python examples/session.py sessions/…   # goes on with it after a crash

Replace ``record`` by your rig. Nothing but numpy and `pip install actmax` is needed where this runs.
"""

import sys

import numpy as np

from actmax.client import Session

SPEC = {
    "title": "unit 7 in V4",
    "generator": "cifar10-sngan",
    "units": ["ch7"],  # spike counts
    "stop": {"evaluations": 200},
    "design": {"generation_size": 20, "references": {"rate": 0.1}},
    "seed": 1,
}


def record(trial: int, picture: np.ndarray) -> float:
    """Show a picture, (3, 32, 32) in [0, 1], and count spikes; here a neuron that likes red in the middle and now and then fails."""
    draws = np.random.default_rng(trial)
    if draws.random() < 0.02:
        return float("nan")  # a missed trial
    red, green, blue = picture[:, 8:24, 8:24].reshape(3, -1).mean(1)
    return float(draws.poisson(30 * max(red - 0.5 * (green + blue), 0.0) + 1))


def main() -> None:
    server = "127.0.0.1:50051"
    with Session(sys.argv[1], server) if len(sys.argv) > 1 else Session.create(SPEC, server) as session:
        print(session.name, flush=True)
        for generation in session:
            counts = [record(trial, picture) for trial, picture in zip(generation.trials, generation.stimuli, strict=True)]
            session.tell(counts)  # on the server's disk when this returns
            print(f"generation {generation.number}: {np.nanmean(counts):.1f} spikes", flush=True)
        found = session.described.recommendation
        print(f"recommended: {found.response:.1f} spikes ({found.low:.1f} to {found.high:.1f}), measured again {found.measurements} times")
        over = found.over_first
        compared = f"{over.difference:+.1f}, p = {over.p_value:.4f}" if found.HasField("over_first") else "no comparison"
        print(f"over the first generation: {compared}")


if __name__ == "__main__":
    main()
