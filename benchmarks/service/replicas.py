"""What a second replica brings: one population on Ray evaluated by one process and by two, one core each, and the same bits.

python -m benchmarks.service.replicas --out benchmarks/service/results     (a machine with two quiet cores)
"""

from __future__ import annotations

import argparse
import io
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from actmax.client import Client
from benchmarks.service.cluster import ServerProcess

JOB: dict[str, Any] = {
    "generator": {"name": "cifar10-vqvae"},
    "target": {"name": "cifar10-snn"},
    "units": ["lif_out[3]"],
    "optimizer": {"name": "random", "options": {"batch": 128}},
    "seed": 1,
    "resources": {"cpus": 1},
}


def rate(client: Client, evaluations: int, replicas: int, chunk: int) -> tuple[float, dict[str, np.ndarray]]:
    """Evaluations a second over the last half, when every replica has long been there, and what was found."""
    spec = JOB | {"budget": {"evaluations": evaluations}, "replicas": {"n": replicas, "chunk": chunk}}
    name = client.create(spec).name
    seen: list[tuple[float, int]] = []
    for response in client.watch(name):
        if response.event.HasField("progress"):
            seen.append((time.monotonic(), response.event.progress.evaluations))
    late = [(at, done) for at, done in seen if done >= evaluations // 2]
    (began, before), (ended, after) = late[0], late[-1]
    found = dict(np.load(io.BytesIO(client.download(name, "arrays.npz"))))
    return (after - before) / (ended - began), found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--evaluations", type=int, default=12_000)
    parser.add_argument("--chunk", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    rates: dict[int, list[float]] = {1: [], 2: []}
    results: list[dict[str, np.ndarray]] = []
    with tempfile.TemporaryDirectory() as folder:
        server = ServerProcess(Path(folder) / "data", workers=1, threads=1, executor="ray")
        try:
            with Client(server.address) as client:
                for _ in range(options.repeats):  # in turns, so that a busy machine is busy for both
                    for replicas, measured in rates.items():
                        found, arrays = rate(client, options.evaluations, replicas, options.chunk)
                        measured.append(found)
                        results.append(arrays)
        finally:
            server.stop()
    first, *others = results
    same = all(np.array_equal(first[key], other[key], equal_nan=first[key].dtype.kind == "f") for other in others for key in first)
    medians = {replicas: float(np.median(measured)) for replicas, measured in rates.items()}
    report = {
        "evaluations": options.evaluations,
        "chunk": options.chunk,
        "evaluations_per_second": {str(replicas): [round(one, 1) for one in measured] for replicas, measured in rates.items()},
        "speedup_of_the_medians": round(medians[2] / medians[1], 3),
        "same_bits": same,
    }
    print(json.dumps(report, indent=2))
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "replicas.json").write_text(json.dumps(report, indent=2) + "\n")
    if not same:
        raise SystemExit("the number of replicas has changed the result")


if __name__ == "__main__":
    main()
